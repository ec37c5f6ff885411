// A plugin that says wrongly what there is to say of its input and output: the option `how` chooses in what way, `good` is right.

#include <stdlib.h>

#include "salver_plugin.h"

SALVER_PLUGIN_NOTE("details", "0.1.0", "details");

static const char *const hows[] = {
    "good", "cannot_tell", "garbage_code", "silent", "unknown_flags", "null_name", "not_utf8", "endless",
};
enum { GOOD, CANNOT_TELL, GARBAGE_CODE, SILENT, UNKNOWN_FLAGS, NULL_NAME, NOT_UTF8, ENDLESS, HOWS };

static uint32_t tensor(size_t platform, void *model, uint32_t signature, uint32_t kind, uint32_t position,
                       SalverTensorDetail *out) {
    if (platform != 0 || signature != 0 || position != 0) return SALVER_INTERNAL;
    SalverStr name = kind == SALVER_KIND_INPUT ? salver_str("in:0") : salver_str("out:0");
    uint32_t flags = SALVER_SHAPE_IS_ADVISORY;
    switch (*(int *)model) {
        case CANNOT_TELL:
            // What was told nevertheless does not count.
            *out = (SalverTensorDetail){name, flags};
            return SALVER_CANNOT_TELL;
        case GARBAGE_CODE:
            *out = (SalverTensorDetail){name, flags};
            return 4711;
        case SILENT:
            return SALVER_OK;
        case UNKNOWN_FLAGS:
            flags = 6;
            break;
        case NULL_NAME:
            name.data = NULL;
            break;
        case NOT_UTF8:
            name.data = "\xff\xff\xff\xff\xff";
            break;
        case ENDLESS:
            name.size = SIZE_MAX;
            break;
        default:
            break;
    }
    *out = (SalverTensorDetail){name, flags};
    return SALVER_OK;
}

static const int64_t shape[] = {-1, 1};
static const SalverTensorSpec input = {.name = {"x", 1}, .dtype = SALVER_F32, .rank = 2, .shape = shape};
static const SalverTensorSpec output = {.name = {"y", 1}, .dtype = SALVER_F32, .rank = 2, .shape = shape};
static const SalverSignature signature = {
    .name = {"s", 1}, .inputs = &input, .input_count = 1, .outputs = &output, .output_count = 1,
};

static SalverSignatures signatures(void *model) {
    (void)model;
    return (SalverSignatures){&signature, 1};
}

// Returns three numbers, whatever comes in.
static uint32_t run(void *model, const SalverRunRequest *request, SalverOutputs *out, const SalverErrorSink *error) {
    static const float numbers[] = {1, 2, 3};
    static const int64_t three[] = {3};
    static const SalverTensor vector = {
        .dtype = SALVER_F32, .rank = 1, .shape = three, .data = numbers, .size = sizeof(numbers),
    };
    (void)model, (void)request, (void)error;
    *out = (SalverOutputs){.tensors = &vector, .count = 1};
    return SALVER_OK;
}

static void release(void *model, void *owner) {
    (void)model, (void)owner;
}

static const SalverModelV1 model_table = {signatures, run, release, free};

static uint32_t probe(const void *context, SalverStr directory, const SalverTextSink *text) {
    (void)context, (void)directory, (void)text;
    return 0;
}

static uint32_t load(const void *context, const SalverLoadRequest *request, SalverLoadedModel *out,
                     const SalverErrorSink *error) {
    (void)context;
    int *how = calloc(1, sizeof(int));
    if (how == NULL) return salver_fail(error, SALVER_RESOURCE_EXHAUSTED, "no memory");
    for (size_t i = 0; i < request->option_count; i++) {
        for (int known = 0; known < HOWS; known++) {
            if (salver_str_is(request->options[i].text, hows[known])) *how = known;
        }
    }
    *out = (SalverLoadedModel){how, &model_table};
    return SALVER_OK;
}

static const SalverPlatformV1 platform_table = {NULL, {"details", 7}, probe, load};

static uint32_t start(const SalverHostV1 *host, const SalverErrorSink *error) {
    (void)host, (void)error;
    return SALVER_OK;
}

#include "one_platform.h"

#ifdef MISSING_FUNCTION
static const SalverTensorDetailsV1 details_table = {NULL};
#else
static const SalverTensorDetailsV1 details_table = {tensor};
#endif

const void *salver_plugin_table(SalverStr name) {
    if (salver_str_is(name, SALVER_PLUGIN_V1)) return &plugin_table;
    if (salver_str_is(name, SALVER_TENSOR_DETAILS_V1)) return &details_table;
    return NULL;
}
