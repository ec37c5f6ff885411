// A plugin whose models open a queue for a step, and then ask of it what they must not. An option of the load chooses how a queue
// is opened, the signature what is asked; `good` is right, and doubles.

#include <stdlib.h>

#include "salver_plugin.h"

SALVER_PLUGIN_NOTE("batching", "0.1.0", "batching");

static const SalverHostV1 *server;
static const SalverBatchingV1 *batching;
// How many steps there are, and how many there were.
static uint64_t steps, opened;

static const int64_t any[] = {-1};
static const SalverTensorSpec x_spec[] = {{.name = {"x", 1}, .dtype = SALVER_I64, .rank = 1, .shape = any}};
static const SalverTensorSpec y_spec[] = {{.name = {"y", 1}, .dtype = SALVER_I64, .rank = 1, .shape = any}};

#define SIGNATURE(name) {{name, sizeof(name) - 1}, {0, 0}, x_spec, 1, y_spec, 1}
enum {
    GOOD, UNKNOWN_QUEUE, NO_SIGNATURE, NO_INPUTS, ENDLESS, ABSENT_INPUT, OTHER_TYPE, OTHER_RANK, NO_OUTPUT, TWICE, BAD_PARAM,
    BAD_FLAG, NULL_REQUEST, NULL_PLACE, NULL_SINK, RELEASES, CLOSED, PANICS, FAILS, SIGNATURES
};
static const SalverSignature signature_list[SIGNATURES] = {
    [GOOD] = SIGNATURE("good"),
    [UNKNOWN_QUEUE] = SIGNATURE("unknown_queue"),
    [NO_SIGNATURE] = SIGNATURE("no_signature"),
    [NO_INPUTS] = SIGNATURE("no_inputs"),
    [ENDLESS] = SIGNATURE("endless"),
    [ABSENT_INPUT] = SIGNATURE("absent_input"),
    [OTHER_TYPE] = SIGNATURE("other_type"),
    [OTHER_RANK] = SIGNATURE("other_rank"),
    [NO_OUTPUT] = SIGNATURE("no_output"),
    [TWICE] = SIGNATURE("twice"),
    [BAD_PARAM] = SIGNATURE("bad_param"),
    [BAD_FLAG] = SIGNATURE("bad_flag"),
    [NULL_REQUEST] = SIGNATURE("null_request"),
    [NULL_PLACE] = SIGNATURE("null_place"),
    [NULL_SINK] = SIGNATURE("null_sink"),
    [RELEASES] = SIGNATURE("releases"),
    [CLOSED] = SIGNATURE("closed"),
    [PANICS] = SIGNATURE("panics"),
    [FAILS] = SIGNATURE("fails"),
};

// The outputs of a step or a model: its own copy of the values.
typedef struct {
    SalverTensor tensor;
    int64_t shape;
    int64_t values[];
} Owner;

static void hand_out(const SalverTensor *from, int64_t factor, SalverOutputs *out) {
    size_t count = from->size / sizeof(int64_t);
    Owner *owner = malloc(sizeof(Owner) + from->size);
    for (size_t i = 0; i < count; i++) {
        owner->values[i] = ((const int64_t *)from->data)[i] * factor;
    }
    owner->shape = (int64_t)count;
    owner->tensor = (SalverTensor){SALVER_I64, 1, &owner->shape, owner->values, from->size};
    *out = (SalverOutputs){&owner->tensor, 1, owner};
}

static void release(void *model, void *owner) {
    (void)model;
    free(owner);
}

// The step: it fails for -1, and throws for -2.
static SalverSignatures step_signatures(void *step) {
    (void)step;
    return (SalverSignatures){signature_list, 1};
}

static uint32_t step_run(void *step, const SalverRunRequest *request, SalverOutputs *out, const SalverErrorSink *error) {
    (void)step;
    const SalverTensor *x = &request->inputs[0];
    int64_t first = x->size == 0 ? 0 : *(const int64_t *)x->data;
    if (first == -1) return salver_fail(error, SALVER_DATA_LOSS, "the step failed");
    if (first == -2) return salver_fail(error, SALVER_PANICKED, "the step threw");
    hand_out(x, 2, out);
    return SALVER_OK;
}

static void step_unload(void *step) {
    server->metrics->record(server->metrics->context, steps, -1);
    free(step);
}

static const SalverModelV1 step_table = {step_signatures, step_run, release, step_unload};
static const SalverModelV1 no_run_table = {step_signatures, NULL, release, step_unload};
static const SalverModelV1 no_unload_table = {step_signatures, step_run, release, NULL};

typedef struct {
    uint64_t queue;
} Model;

static SalverSignatures signatures(void *model) {
    (void)model;
    return (SalverSignatures){signature_list, SIGNATURES};
}

static uint32_t run(void *model, const SalverRunRequest *request, SalverOutputs *out, const SalverErrorSink *error) {
    Model *running = model;
    const void *context = batching->context;
    uint64_t queue = running->queue;
    int64_t odd = request->signature == PANICS ? -2 : -1;
    int64_t rank_2[] = {1, 1};
    SalverTensor x = request->inputs[0];
    uint32_t outputs[] = {0, 0};
    SalverParam param = {.name = {"p", 1}, .kind = 99};
    SalverRunRequest step = *request;
    step.signature = 0, step.inputs = &x, step.outputs = outputs, step.output_count = 1;
    const SalverRunRequest *asked = &step;
    SalverOutputs found = {NULL, 0, NULL}, *place = &found;
    const SalverErrorSink *sink = error;
    switch (request->signature) {
    case UNKNOWN_QUEUE: queue = 4711; break;
    case NO_SIGNATURE: step.signature = 7; break;
    case NO_INPUTS: step.input_count = 0; break;
    case ENDLESS: step.input_count = SIZE_MAX; break;
    case ABSENT_INPUT: x.dtype = SALVER_ABSENT; break;
    case OTHER_TYPE: x.dtype = SALVER_F64; break;
    case OTHER_RANK: x.rank = 2, x.shape = rank_2, x.size = 8; break;
    case NO_OUTPUT: outputs[0] = 5; break;
    case TWICE: step.output_count = 2; break;
    case BAD_PARAM: step.params = &param, step.param_count = 1; break;
    case BAD_FLAG: step.cancelled = (const uint32_t *)((const char *)outputs + 1); break;
    case NULL_REQUEST: asked = NULL; break;
    case NULL_PLACE: place = NULL; break;
    case NULL_SINK: sink = NULL, step.signature = 7; break;
    case CLOSED: batching->close(context, queue), batching->close(context, queue); break;
    case PANICS:
    case FAILS: x.data = &odd, x.size = 8, x.shape = rank_2; break;
    default: break;
    }
    uint32_t code = batching->run(context, queue, asked, place, sink);
    if (code != SALVER_OK) {
        return code;
    }
    hand_out(&found.tensors[0], 1, out);
    batching->release(context, found.owner);
    if (request->signature == RELEASES) {
        batching->release(context, found.owner);
        batching->release(context, NULL);
        batching->release(context, &found);
    }
    return SALVER_OK;
}

static void unload(void *model) {
    batching->close(batching->context, ((Model *)model)->queue);
    free(model);
}

static const SalverModelV1 model_table = {signatures, run, release, unload};

static uint32_t probe(const void *context, SalverStr directory, const SalverTextSink *text) {
    (void)context, (void)directory, (void)text;
    return 0;
}

static uint32_t load(const void *context, const SalverLoadRequest *request, SalverLoadedModel *out,
                     const SalverErrorSink *error) {
    (void)context;
    static const SalverParam param = {.name = {"p", 1}, .kind = 99};
    SalverStepV1 step = {request->name, request->version, {"double", 6}, {malloc(1), &step_table}, NULL, 0};
    const SalverStepV1 *given = &step;
    Model *model = calloc(1, sizeof(Model));
    uint64_t *place = &model->queue;
    for (size_t i = 0; i < request->option_count; i++) {
        SalverStr how = request->options[i].text;
        if (salver_str_is(how, "null_step")) given = NULL;
        if (salver_str_is(how, "null_table")) step.step.table = NULL;
        if (salver_str_is(how, "no_run")) step.step.table = &no_run_table;
        if (salver_str_is(how, "no_unload")) step.step.table = &no_unload_table;
        if (salver_str_is(how, "no_name")) step.name.size = 0;
        if (salver_str_is(how, "null_name")) step.name.data = NULL;
        if (salver_str_is(how, "not_utf8")) step.name = (SalverStr){"caf\xff", 4};
        if (salver_str_is(how, "version")) step.version = -1;
        if (salver_str_is(how, "countless")) step.option_count = SIZE_MAX;
        if (salver_str_is(how, "bad_option")) step.options = &param, step.option_count = 1;
        if (salver_str_is(how, "null_place")) place = NULL;
    }
    server->metrics->record(server->metrics->context, steps, 1);
    server->metrics->record(server->metrics->context, opened, 1);
    uint32_t code = batching->open(batching->context, given, place, error);
    if (code != SALVER_OK) {
        free(model);
        return code;
    }
    *out = (SalverLoadedModel){model, &model_table};
    return SALVER_OK;
}

static const SalverPlatformV1 platform_table = {NULL, {"batching", 8}, probe, load};

static uint32_t start(const SalverHostV1 *host, const SalverErrorSink *error) {
    server = host;
    steps = host->metrics->make(host->metrics->context, SALVER_METRIC_COUNTER, salver_str("steps"), salver_str(""));
    opened = host->metrics->make(host->metrics->context, SALVER_METRIC_COUNTER, salver_str("opened"), salver_str(""));
    batching = host->table(host->context, salver_str(SALVER_BATCHING_V1));
    if (batching == NULL) return salver_fail(error, SALVER_UNIMPLEMENTED, "this server batches no steps");
    if (host->table(host->context, salver_str("salver.batching/2")) != NULL ||
        host->table(host->context, (SalverStr){NULL, 3}) != NULL) {
        return salver_fail(error, SALVER_INTERNAL, "this server has tables that there are not");
    }
    return SALVER_OK;
}

#include "one_platform.h"

const void *salver_plugin_table(SalverStr name) {
    return salver_str_is(name, SALVER_PLUGIN_V1) ? &plugin_table : NULL;
}
