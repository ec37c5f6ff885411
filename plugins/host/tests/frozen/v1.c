// A plugin as plugins were when the first tables were released. This file is never changed: it stands for libraries that
// nobody builds again. It includes no header of today's, and has the tables as they were then.
//
// A model is a file `line.txt`, whatever is in it: y = 2 * x + 1. With -DLATER the library stands for one of a time to
// come: it offers tables of names that this server has never heard of, asks for such, and its note has more keys.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { const char *data; size_t size; } Str;
typedef struct { void *context; void (*put)(void *context, Str text); } TextSink;
typedef struct { void *context; uint32_t (*fail)(void *context, uint32_t code, Str message); } ErrorSink;
typedef struct { uint32_t dtype, rank; const int64_t *shape; const void *data; size_t size; } Tensor;
typedef struct {
    Str name;
    uint32_t dtype;
    int32_t rank;
    const int64_t *shape;
    uint32_t flags;
    const Tensor *default_value;
} TensorSpec;
typedef struct {
    Str name, method;
    const TensorSpec *inputs;
    size_t input_count;
    const TensorSpec *outputs;
    size_t output_count;
} Signature;
typedef struct { const Signature *data; size_t count; } Signatures;
typedef struct { Str name; uint32_t kind; int64_t integer; double number; Str text; } Param;
typedef struct {
    const void *context;
    uint32_t (*max_level)(const void *context);
    void (*write)(const void *context, uint32_t level, Str target, Str message);
} Log;
typedef struct {
    const void *context;
    uint64_t (*make)(const void *context, uint32_t kind, Str name, Str help);
    void (*record)(const void *context, uint64_t id, double value);
} Metrics;
typedef struct { const void *context; uint32_t (*threads)(const void *context); } Cpu;
typedef struct {
    const void *context;
    const Log *log;
    const Metrics *metrics;
    const Cpu *cpu;
    Str plugin_path;
    const void *(*table)(const void *context, Str name);
} Host;
typedef struct {
    uint32_t signature;
    const Tensor *inputs;
    size_t input_count;
    const uint32_t *outputs;
    size_t output_count;
    uint64_t deadline_ns;
    const uint32_t *cancelled;
    uint8_t trace_id[16], span_id[8], trace_flags;
    Str request_id;
    const Param *params;
    size_t param_count;
} RunRequest;
typedef struct { const Tensor *tensors; size_t count; void *owner; } Outputs;
typedef struct {
    Signatures (*signatures)(void *model);
    uint32_t (*run)(void *model, const RunRequest *request, Outputs *out, const ErrorSink *error);
    void (*release)(void *model, void *owner);
    void (*unload)(void *model);
} Model;
typedef struct {
    Str name;
    int64_t version;
    Str directory;
    const Param *options;
    size_t option_count;
    const uint32_t *cancelled;
} LoadRequest;
typedef struct { void *model; const Model *table; } LoadedModel;
typedef struct {
    const void *context;
    Str name;
    uint32_t (*probe)(const void *context, Str directory, const TextSink *text);
    uint32_t (*load)(const void *context, const LoadRequest *request, LoadedModel *out, const ErrorSink *error);
} Platform;
typedef struct {
    uint32_t (*start)(const Host *host, const ErrorSink *error);
    size_t (*platform_count)(void);
    const Platform *(*platform)(size_t index);
} Plugin;

#if defined(__x86_64__)
#define TARGET "x86_64-linux"
#else
#define TARGET "aarch64-linux"
#endif
#ifdef LATER
#define NAME "later"
#define MORE "colour=green\n"
#else
#define NAME "frozen"
#define MORE ""
#endif
#define NOTE                                                                                                           \
    "abi=1\ndoor=c\nname=" NAME "\nversion=0.1.0\ntarget=" TARGET "\nsdk=c 1\n" MORE "platforms=" NAME "\n"
__attribute__((section(".note.salver"), used, aligned(4))) static const struct {
    uint32_t name_size, text_size, kind;
    char name[8];
    char text[sizeof(NOTE)];
} note = {7, sizeof(NOTE), 1, "Salver", NOTE};

static Str text(const char *of) { return (Str){of, strlen(of)}; }

enum { OK = 0, NOT_FOUND = 5, INTERNAL = 13, F32 = 11, ANY_RANK = -1, INFO = 3 };

static const TensorSpec x_spec = {.name = {"x", 1}, .dtype = F32, .rank = ANY_RANK};
static const TensorSpec y_spec = {.name = {"y", 1}, .dtype = F32, .rank = ANY_RANK};
static const Signature signature = {{"serving_default", 15}, {0, 0}, &x_spec, 1, &y_spec, 1};

static Signatures signatures(void *model) {
    (void)model;
    return (Signatures){&signature, 1};
}

static uint32_t run(void *model, const RunRequest *request, Outputs *out, const ErrorSink *error) {
    (void)model;
    const Tensor *x = request->inputs;
    if (request->input_count != 1 || x->dtype != F32) {
        return error->fail(error->context, INTERNAL, text("not what the server is to pass"));
    }
    Tensor *y = malloc(sizeof(Tensor) + x->rank * sizeof(int64_t) + x->size);
    int64_t *shape = (int64_t *)(y + 1);
    float *elements = (float *)(shape + x->rank);
    if (x->rank != 0) {
        memcpy(shape, x->shape, x->rank * sizeof(int64_t));
    }
    for (size_t i = 0; i < x->size / sizeof(float); i++) {
        elements[i] = 2 * ((const float *)x->data)[i] + 1;
    }
    *y = (Tensor){F32, x->rank, shape, elements, x->size};
    *out = (Outputs){y, 1, y};
    return OK;
}

static void release(void *model, void *owner) {
    (void)model;
    free(owner);
}

static void unload(void *model) { free(model); }

static const Model model_table = {signatures, run, release, unload};

static int is_there(Str directory) {
    char path[4096];
    snprintf(path, sizeof(path), "%.*s/line.txt", (int)directory.size, directory.data);
    FILE *file = fopen(path, "r");
    return file != NULL && fclose(file) == 0;
}

static uint32_t probe(const void *context, Str directory, const TextSink *sink) {
    (void)context;
    int found = is_there(directory);
    sink->put(sink->context, text(found ? "line.txt" : "no file `line.txt`"));
    return (uint32_t)found;
}

static uint32_t load(const void *context, const LoadRequest *request, LoadedModel *out, const ErrorSink *error) {
    (void)context;
    if (!is_there(request->directory)) {
        return error->fail(error->context, NOT_FOUND, text("no file `line.txt`"));
    }
    *out = (LoadedModel){malloc(1), &model_table};
    return OK;
}

static const Platform platform_table = {NULL, {NAME, sizeof(NAME) - 1}, probe, load};

static uint32_t start(const Host *host, const ErrorSink *error) {
    if (host->cpu->threads(host->cpu->context) == 0 || host->plugin_path.size == 0) {
        return error->fail(error->context, INTERNAL, text("not what the server is to offer"));
    }
    host->log->write(host->log->context, INFO, text(NAME), text("started"));
    host->metrics->record(host->metrics->context, 0, 1);
    // It lives without what the server has not.
    if (host->table(host->context, text("salver.of-a-time-to-come/7")) != NULL) {
        return error->fail(error->context, INTERNAL, text("a table that nobody knows"));
    }
    return OK;
}

static size_t platform_count(void) { return 1; }

static const Platform *platform(size_t index) { return index == 0 ? &platform_table : NULL; }

static const Plugin plugin_table = {start, platform_count, platform};

__attribute__((visibility("default"))) const void *salver_plugin_table(Str name) {
#ifdef LATER
    static const char *const later[] = {"salver.plugin/2", "salver.of-a-time-to-come/7"};
    for (size_t i = 0; i < sizeof(later) / sizeof(*later); i++) {
        if (name.size == strlen(later[i]) && memcmp(name.data, later[i], name.size) == 0) return later;
    }
#endif
    return name.size == 15 && memcmp(name.data, "salver.plugin/1", 15) == 0 ? &plugin_table : NULL;
}
