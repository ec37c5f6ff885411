// The C-layout contract between the server and a platform plugin. See plugins/c/README.md and the example beside it.
//
// A plugin in C or C++ exports one function, `salver_plugin_table`, and carries one note, `SALVER_PLUGIN_NOTE`.
//
// A table never changes once released; a new ability is a new table under a new name. Rules that hold for every table:
// - Every pointer is borrowed for the call, unless its documentation names another owner. What is borrowed is not
//   written to, and not kept.
// - Nothing unwinds out of a function of a table: a C++ exception is caught inside, and is SALVER_PANICKED.
// - A function may be called from many threads at once, unless its documentation says otherwise.
// - A function that returns `uint32_t` returns SALVER_OK or how it failed; it says why through the SalverErrorSink it
//   is given. One that may have no answer returns SALVER_CANNOT_TELL then.
// - Numbers that are names (SALVER_F32, SALVER_PARAM_TEXT) are `uint32_t`; one that is not known is refused.
// - Tables, and all that they point to, live as long as the process: a library is never unmapped.
//
// Made from the Rust contract in plugins/abi by `cargo xtask codegen`: do not edit.

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// It did what it should.
#define SALVER_OK 0

// The caller gave up.
#define SALVER_CANCELLED 1

// Nobody knows.
#define SALVER_UNKNOWN 2

// The request can never be right.
#define SALVER_INVALID_ARGUMENT 3

// The time allowed has passed.
#define SALVER_DEADLINE_EXCEEDED 4

// What was asked for is not there.
#define SALVER_NOT_FOUND 5

// What was to be made is there already.
#define SALVER_ALREADY_EXISTS 6

// The caller may not do this.
#define SALVER_PERMISSION_DENIED 7

// A limit of memory, queue or size is reached.
#define SALVER_RESOURCE_EXHAUSTED 8

// The system is not in the state that the request needs.
#define SALVER_FAILED_PRECONDITION 9

// The operation was given up because of a conflict.
#define SALVER_ABORTED 10

// Past the valid range.
#define SALVER_OUT_OF_RANGE 11

// Not implemented here.
#define SALVER_UNIMPLEMENTED 12

// An invariant is broken: the plugin's fault.
#define SALVER_INTERNAL 13

// Not now; the same request may succeed later.
#define SALVER_UNAVAILABLE 14

// Stored data is damaged.
#define SALVER_DATA_LOSS 15

// The caller did not say who it is.
#define SALVER_UNAUTHENTICATED 16

// The plugin's code panicked or threw, and was caught at the boundary. The caller is told SALVER_INTERNAL; a model that
// says this is loaded anew.
#define SALVER_PANICKED 100

// It has no answer, which is no failure: what it was asked for is done without.
#define SALVER_CANNOT_TELL 101

// No tensor: an optional input that is left out.
#define SALVER_ABSENT 0

// One byte, 0 or 1.
#define SALVER_BOOL 1

// 8 bits, unsigned.
#define SALVER_U8 2

// 16 bits, unsigned.
#define SALVER_U16 3

// 32 bits, unsigned.
#define SALVER_U32 4

// 64 bits, unsigned.
#define SALVER_U64 5

// 8 bits, signed.
#define SALVER_I8 6

// 16 bits, signed.
#define SALVER_I16 7

// 32 bits, signed.
#define SALVER_I32 8

// 64 bits, signed.
#define SALVER_I64 9

// IEEE 754 half precision.
#define SALVER_F16 10

// IEEE 754 single precision.
#define SALVER_F32 11

// IEEE 754 double precision.
#define SALVER_F64 12

// A string of bytes of any length, not necessarily UTF-8.
#define SALVER_STRING 13

// The upper half of a single precision float.
#define SALVER_BF16 14

// Two single precision floats: real, imaginary.
#define SALVER_C64 15

// Two double precision floats: real, imaginary.
#define SALVER_C128 16

// 8-bit float: 4 bits of exponent, 3 of mantissa, no infinities.
#define SALVER_F8E4M3FN 17

// 8-bit float: 4 bits of exponent, 3 of mantissa, no infinities, no negative zero.
#define SALVER_F8E4M3FNUZ 18

// 8-bit float: 5 bits of exponent, 2 of mantissa.
#define SALVER_F8E5M2 19

// 8-bit float: 5 bits of exponent, 2 of mantissa, no infinities, no negative zero.
#define SALVER_F8E5M2FNUZ 20

// TensorFlow's quantised 8 bits, signed.
#define SALVER_QI8 21

// TensorFlow's quantised 8 bits, unsigned.
#define SALVER_QU8 22

// TensorFlow's quantised 16 bits, signed.
#define SALVER_QI16 23

// TensorFlow's quantised 16 bits, unsigned.
#define SALVER_QU16 24

// TensorFlow's quantised 32 bits, signed.
#define SALVER_QI32 25

// The `rank` of a SalverTensorSpec that allows any.
#define SALVER_ANY_RANK -1

// A flag of SalverTensorSpec: a request may leave the input out.
#define SALVER_OPTIONAL 1

// The value is true or false: `integer` is 1 or 0.
#define SALVER_PARAM_BOOL 1

// The value is `integer`.
#define SALVER_PARAM_INT 2

// The value is `number`.
#define SALVER_PARAM_FLOAT 3

// The value is `text`.
#define SALVER_PARAM_TEXT 4

// Nothing is logged.
#define SALVER_LEVEL_OFF 0

// A person must act.
#define SALVER_LEVEL_ERROR 1

// Degraded.
#define SALVER_LEVEL_WARN 2

// The life of models and platforms.
#define SALVER_LEVEL_INFO 3

// For who looks for a fault.
#define SALVER_LEVEL_DEBUG 4

// Everything.
#define SALVER_LEVEL_TRACE 5

// A figure that only rises: recording adds to it.
#define SALVER_METRIC_COUNTER 1

// A figure that rises and falls: recording sets it.
#define SALVER_METRIC_GAUGE 2

// A distribution: recording adds an observation.
#define SALVER_METRIC_HISTOGRAM 3

// A SalverQuantity is what a model takes while it is being loaded, all told.
#define SALVER_WHEN_LOADING 1

// A SalverQuantity is what a model takes from then on.
#define SALVER_WHEN_LOADED 2

// The `instance` of a SalverQuantity that may be of any instance of the device.
#define SALVER_ANY_INSTANCE -1

// The `kind` of an input, for SalverTensorDetailsV1.
#define SALVER_KIND_INPUT 1

// The `kind` of an output, for SalverTensorDetailsV1.
#define SALVER_KIND_OUTPUT 2

// A flag of SalverTensorDetail: the shape in the SalverTensorSpec is what the model was made for, and no more.
// A request's tensor of another shape is given to `run`, and an output of another shape is taken from it. Where the flag
// is not set, neither happens.
#define SALVER_SHAPE_IS_ADVISORY 1

// A text: UTF-8, not terminated, borrowed. An empty text may have a null pointer.
typedef struct {
    // The first byte.
    const char *data;
    // How many bytes.
    size_t size;
} SalverStr;

// The server's log.
typedef struct {
    // Passed to the functions below.
    const void *context;
    // The finest level that anybody reads now, such as SALVER_LEVEL_INFO; it may change at any time.
    uint32_t (*max_level)(const void *context);
    // Writes a line. `target` says which part of the plugin speaks; it may be empty.
    void (*write)(const void *context, uint32_t level, SalverStr target, SalverStr message);
} SalverLogV1;

// The server's metrics.
typedef struct {
    // Passed to the functions below.
    const void *context;
    // Makes a metric of a kind such as SALVER_METRIC_COUNTER and returns its id, the same for the same name; 0 where the
    // server does not take it.
    uint64_t (*make)(const void *context, uint32_t kind, SalverStr name, SalverStr help);
    // Records `value`; does nothing for the id 0.
    void (*record)(const void *context, uint64_t id, double value);
} SalverMetricsV1;

// What the plugin may use of the processor.
typedef struct {
    // Passed to the function below.
    const void *context;
    // How many threads the plugin's pools should have together; at least 1.
    uint32_t (*threads)(const void *context);
} SalverCpuV1;

// The server, as this plugin sees it. None of the pointers is null.
typedef struct {
    // Passed to `table`.
    const void *context;
    // The server's log.
    const SalverLogV1 *log;
    // The server's metrics.
    const SalverMetricsV1 *metrics;
    // What the plugin may use of the processor.
    const SalverCpuV1 *cpu;
    // The plugin's own file, near which the libraries lie that it needs; its bytes as the file system has them.
    SalverStr plugin_path;
    // A table that came later, by name, such as `salver.batching/1`; null where this server has none of that name.
    const void *(*table)(const void *context, SalverStr name);
} SalverHostV1;

// Where a function says why it fails.
typedef struct {
    // Passed to `fail`.
    void *context;
    // Copies `message` and returns `code`, so that a function can end with
    // `return error->fail(error->context, SALVER_INVALID_ARGUMENT, message);`. Only during the call that was given
    // the sink, and only on its thread. At most 4096 bytes of the message are kept.
    uint32_t (*fail)(void *context, uint32_t code, SalverStr message);
} SalverErrorSink;

// Where a function writes a text that the other side copies at once.
typedef struct {
    // Passed to `put`.
    void *context;
    // Copies `text`, in place of what was put before. Only during the call that was given the sink, and only on its
    // thread.
    void (*put)(void *context, SalverStr text);
} SalverTextSink;

// A value by name. No name is there twice.
typedef struct {
    // What it is called.
    SalverStr name;
    // Which of the fields below holds the value: SALVER_PARAM_BOOL, SALVER_PARAM_INT, SALVER_PARAM_FLOAT or SALVER_PARAM_TEXT.
    uint32_t kind;
    // Of SALVER_PARAM_BOOL and SALVER_PARAM_INT; otherwise 0.
    int64_t integer;
    // Of SALVER_PARAM_FLOAT; otherwise 0.
    double number;
    // Of SALVER_PARAM_TEXT; otherwise empty.
    SalverStr text;
} SalverParam;

// What a platform is given to load a model. All of it is borrowed for the call.
typedef struct {
    // The model's name.
    SalverStr name;
    // Its version, 0 or more.
    int64_t version;
    // Where the version's files are: an absolute path, or one relative to the working directory; its bytes as the file
    // system has them.
    SalverStr directory;
    // Settings for this platform.
    const SalverParam *options;
    // How many there are.
    size_t option_count;
    // A word that turns from 0 to 1 when the load is no longer wanted: read it with an atomic load. Null where that
    // cannot happen.
    const uint32_t *cancelled;
} SalverLoadRequest;

// A tensor, borrowed: dense, row-major, little-endian, in the memory of this machine.
typedef struct {
    // The type of the elements, such as SALVER_F32; SALVER_ABSENT where an optional input is left out, and the other
    // fields mean nothing.
    uint32_t dtype;
    // How many dimensions there are, 0 to 254.
    uint32_t rank;
    // The sizes of the dimensions, outermost first, each 0 or more.
    const int64_t *shape;
    // The elements, aligned for their type; of SALVER_STRING, one SalverBytes for each. Null is allowed
    // where there are none.
    const void *data;
    // The size of what `data` points to, in bytes: the number of elements times the size of one. One SALVER_STRING
    // element counts as one SalverBytes, 16 bytes, however long the string is.
    size_t size;
} SalverTensor;

// One input or output.
typedef struct {
    // What requests call it; not empty, and no name twice among the inputs, nor among the outputs.
    SalverStr name;
    // The type of its elements, such as SALVER_F32.
    uint32_t dtype;
    // How many dimensions it has, 0 to 254, or SALVER_ANY_RANK.
    int32_t rank;
    // `rank` sizes, -1 for any; null is allowed where there are none.
    const int64_t *shape;
    // SALVER_OPTIONAL, or 0. Other bits are 0.
    uint32_t flags;
    // Of an optional input: what stands in for it; null where the model runs without it.
    const SalverTensor *default_value;
} SalverTensorSpec;

// One way to call a model.
typedef struct {
    // What requests call it. A request that names none means `serving_default`, or the first signature.
    SalverStr name;
    // TensorFlow Serving's method name; empty means `tensorflow/serving/predict`.
    SalverStr method;
    // The inputs, in the order in which `run` is given them.
    const SalverTensorSpec *inputs;
    // How many inputs there are.
    size_t input_count;
    // The outputs, in the order that positions of outputs refer to.
    const SalverTensorSpec *outputs;
    // How many outputs there are.
    size_t output_count;
} SalverSignature;

// The signatures of a model: at least one, no name twice.
typedef struct {
    // The first.
    const SalverSignature *data;
    // How many there are.
    size_t count;
} SalverSignatures;

// What a model is given to compute. All of it is borrowed for the call.
typedef struct {
    // Which of the model's signatures, by position; there is one at that position.
    uint32_t signature;
    // The signature's inputs, in its order, of the declared element types. Only an optional one may be SALVER_ABSENT.
    const SalverTensor *inputs;
    // As many as the signature has inputs.
    size_t input_count;
    // Which of the signature's outputs to return, by position; there is one at each position.
    const uint32_t *outputs;
    // How many outputs to return.
    size_t output_count;
    // When the answer is of no more use, in nanoseconds of `CLOCK_MONOTONIC`; 0 where it always is.
    uint64_t deadline_ns;
    // A word that turns from 0 to 1 when nobody waits for the answer any more: read it with an atomic load. Null
    // where that cannot happen.
    const uint32_t *cancelled;
    // The trace that the request belongs to, as in W3C Trace Context; zeros where it belongs to none.
    uint8_t trace_id[16];
    // The caller's span in the trace.
    uint8_t span_id[8];
    // Flags of the trace; bit 0 says that it is sampled.
    uint8_t trace_flags;
    // The caller's name for the request; may be empty.
    SalverStr request_id;
    // Further parameters of the request.
    const SalverParam *params;
    // How many there are.
    size_t param_count;
} SalverRunRequest;

// What a model computed.
typedef struct {
    // The outputs asked for, in the order asked for. They, their shapes and their elements stay as they are until
    // `owner` is released; where `owner` is null, as long as the model is loaded.
    const SalverTensor *tensors;
    // As many as were asked for.
    size_t count;
    // What the plugin needs to free the outputs: given to SalverModelV1.release once. No two outputs that are not yet
    // released may have the same owner. Null where there is nothing to free.
    void *owner;
} SalverOutputs;

// How a model is used. `model` is what SalverPlatformV1.load made.
//
// Every function must be there. `unload` is called once, after every other call has returned and every output is
// released; the others may be called from many threads at once.
typedef struct {
    // The ways to call the model. They belong to the model and stay as they are until it is unloaded.
    SalverSignatures (*signatures)(void *model);
    // Computes outputs. On SALVER_OK, `out` is filled and belongs to the plugin until its owner is released;
    // on anything else `out` is not looked at.
    uint32_t (*run)(void *model, const SalverRunRequest *request, SalverOutputs *out, const SalverErrorSink *error);
    // Frees outputs. Called once for each `owner` that is not null, on any thread.
    void (*release)(void *model, void *owner);
    // Frees the model and all it holds. May block.
    void (*unload)(void *model);
} SalverModelV1;

// What a load made.
typedef struct {
    // Passed to the functions of `table`; may be null if they do not need it.
    void *model;
    // How the model is used: lives as long as the process.
    const SalverModelV1 *table;
} SalverLoadedModel;

// A framework that can load models from directories. Every function must be there.
typedef struct {
    // Passed to the functions below.
    const void *context;
    // What configuration calls the platform: lower case. The plugin's note lists it.
    SalverStr name;
    // Whether the files in `directory`, one version of a model, look like this platform's: 1 where they do, 0 where
    // not. Puts into `text` the file it recognises the model by, or why it does not. Looks at names, at most at the
    // first bytes.
    uint32_t (*probe)(const void *context, SalverStr directory, const SalverTextSink *text);
    // Loads a model. May take minutes. On SALVER_OK, `out` is filled, and what it holds belongs to the plugin
    // until it is unloaded; on anything else `out` is not looked at.
    uint32_t (*load)(const void *context,
                     const SalverLoadRequest *request,
                     SalverLoadedModel *out,
                     const SalverErrorSink *error);
} SalverPlatformV1;

// A plugin. Every function must be there.
typedef struct {
    // Starts the plugin. Called once, before any other function; `host` lives as long as the process.
    uint32_t (*start)(const SalverHostV1 *host, const SalverErrorSink *error);
    // How many platforms the plugin has. Called after `start`.
    size_t (*platform_count)(void);
    // The platform at `index`, below `platform_count`. Called after `start`; the table lives as long as the process.
    const SalverPlatformV1 *(*platform)(size_t index);
} SalverPluginV1;

// So much of a resource. Devices and kinds that every server knows are `main`, the processor and its memory, `gpu`, and
// `ram_in_bytes`.
typedef struct {
    // The device, such as `main`; of 1 to 64 bytes.
    SalverStr device;
    // What there is so much of, such as `ram_in_bytes`; of 1 to 64 bytes.
    SalverStr kind;
    // Which device of that name, counted from 0, or SALVER_ANY_INSTANCE. `main` has only the instance 0.
    int32_t instance;
    // SALVER_WHEN_LOADING or SALVER_WHEN_LOADED.
    uint32_t when;
    // How much, in the unit of the kind.
    uint64_t amount;
} SalverQuantity;

// Where a function says how much there is of what.
typedef struct {
    // Passed to `add`.
    void *context;
    // Adds a quantity, which it copies. At most 256, and none twice of the same resource and time. Only during the call
    // that was given the sink, and only on its thread.
    void (*add)(void *context, const SalverQuantity *quantity);
} SalverQuantitySink;

// What the models of a plugin's platforms take. Every function must be there.
//
// `platform` is the position of a platform, as for SalverPluginV1.platform. The functions are
// called after `start`, may block, and may be called from many threads at once; never from one that serves requests.
typedef struct {
    // Says what a model will take, without loading it: upper bounds. What is not said for SALVER_WHEN_LOADING is what is
    // said for SALVER_WHEN_LOADED. Returns SALVER_CANNOT_TELL where the platform knows no better than by
    // the size of the files; on any other failure the model is not loaded.
    uint32_t (*estimate)(size_t platform,
                         const SalverLoadRequest *request,
                         const SalverQuantitySink *quantities,
                         const SalverErrorSink *error);
    // Says what a model takes now that it is loaded, SALVER_WHEN_LOADED: at most what was estimated. Called between `load`
    // and `unload` of the model. Returns SALVER_CANNOT_TELL where the platform does not know; the
    // estimate then stands.
    uint32_t (*resources)(size_t platform,
                          void *model,
                          const SalverQuantitySink *quantities,
                          const SalverErrorSink *error);
    // Gives memory that is kept for later back to the operating system. Called after a model of the platform was
    // unloaded. What the plugin has from the C library's `malloc` is the server's to give back, not the plugin's.
    uint32_t (*trim)(size_t platform, const SalverErrorSink *error);
} SalverPlatformMemoryV1;

// A step that is to have a queue. All of it is borrowed for the call, but for the step.
typedef struct {
    // The name of the model that the step is of, as SalverLoadRequest.name says it.
    SalverStr model;
    // The model's version.
    int64_t version;
    // What metrics and messages call the step; of 1 to 64 bytes.
    SalverStr name;
    // What is run: as if SalverPlatformV1.load had made it, with signatures whose inputs and
    // outputs have a first dimension of any size, which counts rows. It belongs to the server from the call on, whether
    // that succeeds or not: SalverModelV1.unload is called once, after the queue is closed, its
    // runs have returned and their outputs are released, or before a call that fails returns. On any thread.
    SalverLoadedModel step;
    // Settings of batching, such as `max_batch_size`.
    const SalverParam *options;
    // How many there are.
    size_t option_count;
} SalverStepV1;

// Queues in which a step of many requests is run at once. None of the functions is null, and each may be called from any
// thread.
typedef struct {
    // Passed to the functions below.
    const void *context;
    // Opens a queue. On SALVER_OK, `queue` is its number, never 0, until it is closed; on anything else it is not
    // written to. Called while a model is loaded, as a rule.
    uint32_t (*open)(const void *context, const SalverStepV1 *step, uint64_t *queue, const SalverErrorSink *error);
    // Runs the step of a queue for the inputs of one request, with those of whoever else is there. Blocks until it is done,
    // the deadline passes or the request is cancelled. `request` is as for SalverModelV1.run, of the
    // step's signatures; it is borrowed for the call.
    //
    // On SALVER_OK, `out` is filled: the outputs asked for, with as many rows as the inputs have. They belong to the
    // server, and stay as they are until the plugin gives their owner to `release`; where `owner` is null there is nothing
    // to release. On anything else `out` is not written to. SALVER_PANICKED: the step's code panicked, for
    // this request or for one before; return it from the model's own `run`, so that the model is loaded anew.
    //
    // A step that calls this is not queued: the step it asks for is run at once, by itself, on the calling thread.
    uint32_t (*run)(const void *context,
                    uint64_t queue,
                    const SalverRunRequest *request,
                    SalverOutputs *out,
                    const SalverErrorSink *error);
    // Frees the outputs of a run. To be called once for each `owner` that is not null, on any thread, also after the queue
    // is closed.
    void (*release)(const void *context, void *owner);
    // Closes a queue: nothing is run in it from here on. To be called once, and not from within a step. Blocks until the
    // runs that are under way have returned.
    void (*close)(const void *context, uint64_t queue);
} SalverBatchingV1;

// A version that there should be.
typedef struct {
    // Its number, 0 or more.
    int64_t number;
    // Changes when the stored data do, and only then. A version that failed is tried again when it does; one that is
    // loaded stays as it is.
    uint64_t revision;
    // SALVER_OK; on anything else there is nothing to load it from, for the reason in `message`.
    uint32_t code;
    // Where the version's files are: an absolute path; its bytes as the file system has them. Looked at where `code` is
    // SALVER_OK.
    SalverStr directory;
    // What is wrong with it.
    SalverStr message;
} SalverAspiredVersion;

// Which versions a stream should have. All of it is borrowed for the call.
typedef struct {
    // What clients call the model: not empty, and without a slash. Streams that a source never names are not touched.
    SalverStr name;
    // SALVER_OK; on anything else the source cannot tell, for the reason in `message`: what is loaded stays.
    uint32_t code;
    // Why the source cannot tell.
    SalverStr message;
    // The versions, no number twice.
    const SalverAspiredVersion *versions;
    // How many there are, at most 65,536. None unloads all.
    size_t version_count;
} SalverAspiredStream;

// The server, as a source sees it: whoever is told which versions there should be. It lives as long as the process.
typedef struct {
    // Passed to the function below.
    const void *context;
    // Says which versions one stream should have, **all of them**: one that is left out is to be unloaded. From any
    // thread. Returns soon: versions are loaded later, elsewhere. Repeating a call is harmless; of several calls for one
    // stream the last counts.
    //
    // Fails, and changes nothing, with SALVER_INVALID_ARGUMENT where what is said cannot be, with
    // SALVER_ALREADY_EXISTS where the stream is another source's, which may pass: say it again later;
    // and with SALVER_CANCELLED where the source is being ended.
    uint32_t (*set_aspired)(const void *context, const SalverAspiredStream *stream, const SalverErrorSink *error);
} SalverTargetV1;

// A kind of source, of which any number may be made. Every function must be there.
typedef struct {
    // Passed to the functions below.
    const void *context;
    // What the command line calls it: lower case. The plugin's note lists it.
    SalverStr name;
    // What it is, in a sentence.
    SalverStr description;
    // Makes a source and starts it. From here on it may call `target`, also during this call. On SALVER_OK,
    // `source` is filled, perhaps with null; on anything else it is not looked at, and `target` is not called again.
    uint32_t (*create)(const void *context,
                       const SalverParam *options,
                       size_t option_count,
                       const SalverTargetV1 *target,
                       void **source,
                       const SalverErrorSink *error);
    // Ends a source. Called once; returns when no thread calls `target` any more, nor ever will. Unloads nothing.
    void (*destroy)(const void *context, void *source);
} SalverSourceV1;

// The kinds of sources that a plugin has. Every function must be there.
typedef struct {
    // How many there are. Called after SalverPluginV1.start.
    size_t (*count)(void);
    // The one at `index`, below `count`. Called after `start`; the table lives as long as the process.
    const SalverSourceV1 *(*source)(size_t index);
} SalverSourcesV1;

// More about an input or output.
typedef struct {
    // What the framework calls it, such as `x:0` of a TensorFlow graph; empty where that is its name. The text belongs to the
    // model, and stays as it is until it is unloaded.
    SalverStr graph_name;
    // SALVER_SHAPE_IS_ADVISORY, or 0. Other bits are 0.
    uint32_t flags;
} SalverTensorDetail;

// More about the inputs and outputs of the models of a plugin's platforms. Every function must be there.
typedef struct {
    // Says more about one input (SALVER_KIND_INPUT) or output (SALVER_KIND_OUTPUT): the one at `position` of the signature at the
    // position `signature`; there is one. `platform` is the position of a platform, as for
    // SalverPluginV1.platform, and `model` is one that it loaded. On SALVER_OK, `out` is
    // filled; on anything else, such as SALVER_CANNOT_TELL, there is no more to say. Called after `load`,
    // before the model's first `run`.
    uint32_t (*tensor)(size_t platform,
                       void *model,
                       uint32_t signature,
                       uint32_t kind,
                       uint32_t position,
                       SalverTensorDetail *out);
} SalverTensorDetailsV1;

// Bytes of any value, borrowed: one element of a string tensor. No bytes may have a null pointer.
typedef struct {
    // The first byte.
    const uint8_t *data;
    // How many bytes.
    size_t size;
} SalverBytes;

// The name of SalverPluginV1 at the door.
#define SALVER_PLUGIN_V1 "salver.plugin/1"

// The name of SalverPlatformMemoryV1 at the door, behind which there need be none.
#define SALVER_PLATFORM_MEMORY_V1 "salver.platform-memory/1"

// The name of SalverBatchingV1, for the `table` of a SalverHostV1, which is NULL on a server that does not batch steps.
#define SALVER_BATCHING_V1 "salver.batching/1"

// The name of SalverSourcesV1 at the door, behind which there need be none.
#define SALVER_SOURCES_V1 "salver.sources/1"

// The name of SalverTensorDetailsV1 at the door, behind which there need be none.
#define SALVER_TENSOR_DETAILS_V1 "salver.tensor-details/1"

#if defined(__x86_64__) && defined(__linux__)
#define SALVER_TARGET "x86_64-linux"
#elif defined(__aarch64__) && defined(__linux__)
#define SALVER_TARGET "aarch64-linux"
#else
#error "plugins are for Linux on x86_64 or aarch64"
#endif

// The plugin's name, its version, and the names of its platforms with commas between, as string literals. Once, in one
// file of the library. The server reads it before it runs any of the library's code.
#define SALVER_PLUGIN_NOTE(plugin_name, plugin_version, plugin_platforms)                                              \
    SALVER_NOTE_("abi=1\ndoor=c\nname=" plugin_name "\nversion=" plugin_version "\ntarget=" SALVER_TARGET             \
                 "\nsdk=c 1\nplatforms=" plugin_platforms "\n")
// The same for a plugin with sources, whose names are a list like that of the platforms; either list may be "".
#define SALVER_PLUGIN_NOTE_WITH_SOURCES(plugin_name, plugin_version, plugin_platforms, plugin_sources)                 \
    SALVER_PLUGIN_NOTE(plugin_name, plugin_version, plugin_platforms "\nsources=" plugin_sources)
#define SALVER_NOTE_(note_text)                                                                                        \
    __attribute__((section(".note.salver"), used, aligned(4))) static const struct {                                   \
        uint32_t name_size, text_size, kind;                                                                           \
        char name[8];                                                                                                  \
        char text[sizeof(note_text)];                                                                                  \
    } salver_plugin_note = {7, sizeof(note_text), 1, "Salver", note_text}

#ifdef __cplusplus
#define SALVER_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define SALVER_EXPORT __attribute__((visibility("default")))
#endif

// The door: hands out the table called `name`, such as SALVER_PLUGIN_V1, and NULL where the plugin has none of that
// name. Called from any thread, before anything else.
SALVER_EXPORT const void *salver_plugin_table(SalverStr name);

// Borrows a text that ends with a zero.
static inline SalverStr salver_str(const char *text) {
    SalverStr str = {text, strlen(text)};
    return str;
}

// Whether a text is this one.
static inline int salver_str_is(SalverStr str, const char *text) {
    size_t size = strlen(text);
    return str.size == size && (size == 0 || memcmp(str.data, text, size) == 0);
}

// Says why a function fails, and returns `code` for it to return.
static inline uint32_t salver_fail(const SalverErrorSink *error, uint32_t code, const char *message) {
    return error->fail(error->context, code, salver_str(message));
}

// Whether the word is set that says: nobody waits any more. NULL is never set.
static inline int salver_is_cancelled(const uint32_t *cancelled) {
    return cancelled != NULL && __atomic_load_n(cancelled, __ATOMIC_ACQUIRE) != 0;
}
