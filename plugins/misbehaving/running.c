// A plugin that opens and loads, and then returns what it must not. The signature says what; `good` is right.
//
// Every output is two floats, 1 and 2, that belong to the owner given with them.

#include <stdlib.h>

#include "salver_plugin.h"

SALVER_PLUGIN_NOTE("running", "0.1.0", "running");

static const int64_t two[] = {2};
static const int64_t negative[] = {-2};
static const int64_t huge[] = {INT64_MAX, INT64_MAX};
static const int64_t three[] = {3};

#define OUTPUT(element_type) \
    {.name = {"y", 1}, .dtype = element_type, .rank = 1, .shape = two}
static const SalverTensorSpec floats[] = {OUTPUT(SALVER_F32)};
static const SalverTensorSpec strings[] = {OUTPUT(SALVER_STRING)};
static const SalverTensorSpec bools[] = {OUTPUT(SALVER_BOOL)};
static const SalverTensorSpec counts[] = {{.name = {"released", 8}, .dtype = SALVER_I64, .rank = 0}};

#define SIGNATURE(name, outputs) \
    { {name, sizeof(name) - 1}, {0, 0}, 0, 0, outputs, 1 }
enum {
    GOOD, MISALIGNED, STATIC, SAME_OWNER, NO_OUTPUTS, TOO_MANY, NULL_LIST, NULL_ELEMENTS, NULL_SHAPE, GARBAGE_SIZE,
    GARBAGE_SHAPE, NEGATIVE_SHAPE, GARBAGE_RANK, GARBAGE_TYPE, OTHER_TYPE, OTHER_SHAPE, LONG_STRING, NULL_STRING,
    BAD_BOOL, GARBAGE_CODE, FAILS_SILENTLY, PANICS, RELEASED, SIGNATURES
};
static const SalverSignature signature_list[SIGNATURES] = {
    [GOOD] = SIGNATURE("good", floats),
    [MISALIGNED] = SIGNATURE("misaligned", floats),
    [STATIC] = SIGNATURE("static", floats),
    [SAME_OWNER] = SIGNATURE("same_owner", floats),
    [NO_OUTPUTS] = SIGNATURE("no_outputs", floats),
    [TOO_MANY] = SIGNATURE("too_many", floats),
    [NULL_LIST] = SIGNATURE("null_list", floats),
    [NULL_ELEMENTS] = SIGNATURE("null_elements", floats),
    [NULL_SHAPE] = SIGNATURE("null_shape", floats),
    [GARBAGE_SIZE] = SIGNATURE("garbage_size", floats),
    [GARBAGE_SHAPE] = SIGNATURE("garbage_shape", floats),
    [NEGATIVE_SHAPE] = SIGNATURE("negative_shape", floats),
    [GARBAGE_RANK] = SIGNATURE("garbage_rank", floats),
    [GARBAGE_TYPE] = SIGNATURE("garbage_type", floats),
    [OTHER_TYPE] = SIGNATURE("other_type", floats),
    [OTHER_SHAPE] = SIGNATURE("other_shape", floats),
    [LONG_STRING] = SIGNATURE("long_string", strings),
    [NULL_STRING] = SIGNATURE("null_string", strings),
    [BAD_BOOL] = SIGNATURE("bad_bool", bools),
    [GARBAGE_CODE] = SIGNATURE("garbage_code", floats),
    [FAILS_SILENTLY] = SIGNATURE("fails_silently", floats),
    [PANICS] = SIGNATURE("panics", floats),
    [RELEASED] = SIGNATURE("released", counts),
};

typedef struct {
    int64_t released;
} Model;

typedef struct {
    SalverTensor tensors[2];
    SalverBytes strings[2];
    _Alignas(8) float elements[4];
    unsigned char bools[2];
} Owner;

static Owner shared;

static SalverSignatures signatures(void *model) {
    (void)model;
    return (SalverSignatures){signature_list, SIGNATURES};
}

static uint32_t run(void *model, const SalverRunRequest *request, SalverOutputs *out, const SalverErrorSink *error) {
    Model *running = model;
    uint32_t how = request->signature;
    if (how == GARBAGE_CODE) return 4711;
    if (how == FAILS_SILENTLY) return SALVER_UNAVAILABLE;
    if (how == PANICS) return salver_fail(error, SALVER_PANICKED, "an exception was thrown");
    // One block that is never freed stands for an owner that is handed out twice.
    Owner *owner = how == SAME_OWNER || how == STATIC ? &shared : calloc(1, sizeof(Owner));
    owner->elements[0] = 1, owner->elements[1] = 2;
    SalverTensor *y = &owner->tensors[0];
    *y = (SalverTensor){SALVER_F32, 1, two, owner->elements, 2 * sizeof(float)};
    *out = (SalverOutputs){y, 1, how == STATIC ? NULL : owner};
    switch (how) {
    case MISALIGNED: y->data = memmove((char *)owner->elements + 1, owner->elements, 2 * sizeof(float)); break;
    case NO_OUTPUTS: *out = (SalverOutputs){NULL, 0, NULL}; break;
    case TOO_MANY: out->count = 2; break;
    case NULL_LIST: out->tensors = NULL; break;
    case NULL_ELEMENTS: y->data = NULL; break;
    case NULL_SHAPE: y->shape = NULL; break;
    case GARBAGE_SIZE: y->size = SIZE_MAX; break;
    case GARBAGE_SHAPE: y->rank = 2, y->shape = huge; break;
    case NEGATIVE_SHAPE: y->shape = negative; break;
    case GARBAGE_RANK: y->rank = UINT32_MAX; break;
    case GARBAGE_TYPE: y->dtype = 99; break;
    case OTHER_TYPE: y->dtype = SALVER_I32; break;
    case OTHER_SHAPE: y->shape = three, y->size = 3 * sizeof(float); break;
    case LONG_STRING:
    case NULL_STRING:
        owner->strings[0] = (SalverBytes){(const uint8_t *)"ab", 2};
        owner->strings[1] = (SalverBytes){NULL, how == LONG_STRING ? SIZE_MAX / 4 : 3};
        *y = (SalverTensor){SALVER_STRING, 1, two, owner->strings, sizeof(owner->strings)};
        break;
    case BAD_BOOL:
        owner->bools[1] = 2;
        *y = (SalverTensor){SALVER_BOOL, 1, two, owner->bools, 2};
        break;
    case RELEASED:
        memcpy(owner->elements, &running->released, sizeof(running->released));
        *y = (SalverTensor){SALVER_I64, 0, NULL, owner->elements, sizeof(int64_t)};
        break;
    default: break;
    }
    return SALVER_OK;
}

static void release(void *model, void *owner) {
    __atomic_add_fetch(&((Model *)model)->released, 1, __ATOMIC_RELAXED);
    if (owner != &shared) {
        free(owner);
    }
}

// How many models are loaded, as a metric: whoever tests can see it.
static const SalverHostV1 *server;
static uint64_t loaded;

static void unload(void *model) {
    server->metrics->record(server->metrics->context, loaded, -1);
    free(model);
}

static const SalverModelV1 model_table = {signatures, run, release, unload};
static const SalverModelV1 incomplete_table = {signatures, run, NULL, unload};
static const SalverSignature unnamed[] = {SIGNATURE("", floats)};

static SalverSignatures bad_signatures(void *model) {
    (void)model;
    return (SalverSignatures){unnamed, 1};
}
static SalverSignatures no_signatures(void *model) {
    (void)model;
    return (SalverSignatures){NULL, SIZE_MAX};
}
static const SalverModelV1 unnamed_table = {bad_signatures, run, release, unload};
static const SalverModelV1 countless_table = {no_signatures, run, release, unload};

static uint32_t probe(const void *context, SalverStr directory, const SalverTextSink *text) {
    (void)context, (void)directory, (void)text;
    return 0;
}

static uint32_t load(const void *context, const SalverLoadRequest *request, SalverLoadedModel *out,
                     const SalverErrorSink *error) {
    (void)context;
    const SalverModelV1 *table = &model_table;
    for (size_t i = 0; i < request->option_count; i++) {
        SalverStr how = request->options[i].text;
        if (salver_str_is(how, "panics")) return salver_fail(error, SALVER_PANICKED, "an exception was thrown");
        if (salver_str_is(how, "null_table")) table = NULL;
        if (salver_str_is(how, "incomplete")) table = &incomplete_table;
        if (salver_str_is(how, "unnamed")) table = &unnamed_table;
        if (salver_str_is(how, "countless")) table = &countless_table;
    }
    *out = (SalverLoadedModel){calloc(1, sizeof(Model)), table};
    if (table != NULL) {
        server->metrics->record(server->metrics->context, loaded, 1);
    }
    return SALVER_OK;
}

static const SalverPlatformV1 platform_table = {NULL, {"running", 7}, probe, load};

static uint32_t start(const SalverHostV1 *host, const SalverErrorSink *error) {
    (void)error;
    server = host;
    loaded = host->metrics->make(host->metrics->context, SALVER_METRIC_COUNTER, salver_str("loaded"), salver_str(""));
    return SALVER_OK;
}

#include "one_platform.h"

const void *salver_plugin_table(SalverStr name) {
    return salver_str_is(name, SALVER_PLUGIN_V1) ? &plugin_table : NULL;
}
