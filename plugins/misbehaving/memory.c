// A plugin that says wrongly what its models take: the option `how` chooses in what way, `good` is right.

#include <stdlib.h>

#include "salver_plugin.h"

SALVER_PLUGIN_NOTE("memory", "0.1.0", "memory");

static const char *const hows[] = {
    "good",   "loaded_only", "cannot_tell",  "silent",     "fails",         "panics",    "garbage_code", "null",
    "noname", "endless",     "not_utf8",     "null_name",  "negative",      "bad_time",  "twice",        "countless",
    "loading_when_loaded",
};
enum {
    GOOD, LOADED_ONLY, CANNOT_TELL, SILENT, FAILS, PANICS, GARBAGE_CODE, NULL_QUANTITY, NO_NAME, ENDLESS, NOT_UTF8,
    NULL_NAME, NEGATIVE, BAD_TIME, TWICE, COUNTLESS, LOADING_WHEN_LOADED, HOWS
};

// Which `how` a load's options choose.
static int chosen(const SalverLoadRequest *request) {
    for (size_t i = 0; i < request->option_count; i++) {
        for (int how = 0; how < HOWS; how++) {
            if (salver_str_is(request->options[i].text, hows[how])) return how;
        }
    }
    return GOOD;
}

static uint32_t tell(int how, int is_loaded, const SalverQuantitySink *quantities, const SalverErrorSink *error) {
    SalverQuantity ram = {{"main", 4}, {"ram_in_bytes", 12}, 0, SALVER_WHEN_LOADED, 100};
    switch (how) {
        case CANNOT_TELL:
            // What was told nevertheless does not count.
            quantities->add(quantities->context, &ram);
            return SALVER_CANNOT_TELL;
        case SILENT:
            return SALVER_OK;
        case FAILS:
            return salver_fail(error, SALVER_DATA_LOSS, "the file is cut off");
        case PANICS:
            return salver_fail(error, SALVER_PANICKED, "an exception was thrown");
        case GARBAGE_CODE:
            return 4711;
        case NULL_QUANTITY:
            quantities->add(quantities->context, NULL);
            return SALVER_OK;
        case NO_NAME:
            ram.device.size = 0;
            break;
        case ENDLESS:
            ram.kind.size = SIZE_MAX;
            break;
        case NOT_UTF8:
            ram.device.data = "\xff\xff\xff\xff";
            break;
        case NULL_NAME:
            ram.kind.data = NULL;
            break;
        case NEGATIVE:
            ram.instance = -7;
            break;
        case BAD_TIME:
            ram.when = 9;
            break;
        case TWICE:
            quantities->add(quantities->context, &ram);
            break;
        case COUNTLESS:
            for (int i = 0; i < 1000000; i++) {
                ram.instance = i;
                quantities->add(quantities->context, &ram);
            }
            return SALVER_OK;
        case LOADING_WHEN_LOADED:
            ram.when = SALVER_WHEN_LOADING;
            break;
        case GOOD:
            if (!is_loaded) {
                SalverQuantity loading = ram, gpu = {{"gpu", 3}, ram.kind, SALVER_ANY_INSTANCE, SALVER_WHEN_LOADED, 7};
                loading.when = SALVER_WHEN_LOADING;
                loading.amount = 300;
                quantities->add(quantities->context, &loading);
                quantities->add(quantities->context, &gpu);
            }
            break;
        default:
            break;
    }
    quantities->add(quantities->context, &ram);
    return SALVER_OK;
}

static uint32_t estimate(size_t platform, const SalverLoadRequest *request, const SalverQuantitySink *quantities,
                         const SalverErrorSink *error) {
    return platform == 0 ? tell(chosen(request), 0, quantities, error) : SALVER_INTERNAL;
}

static uint32_t resources(size_t platform, void *model, const SalverQuantitySink *quantities,
                          const SalverErrorSink *error) {
    return platform == 0 ? tell(*(int *)model, 1, quantities, error) : SALVER_INTERNAL;
}

static uint32_t trim(size_t platform, const SalverErrorSink *error) {
    (void)platform;
    return salver_fail(error, SALVER_PANICKED, "an exception was thrown");
}

static const SalverTensorSpec output = {.name = {"y", 1}, .dtype = SALVER_F32};
static const SalverSignature signature = {.name = {"s", 1}, .outputs = &output, .output_count = 1};

static SalverSignatures signatures(void *model) {
    (void)model;
    return (SalverSignatures){&signature, 1};
}

static uint32_t run(void *model, const SalverRunRequest *request, SalverOutputs *out, const SalverErrorSink *error) {
    (void)model, (void)request, (void)out;
    return salver_fail(error, SALVER_UNIMPLEMENTED, "it only takes memory");
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
    int *how = malloc(sizeof(int));
    if (how == NULL) return salver_fail(error, SALVER_RESOURCE_EXHAUSTED, "no memory");
    *how = chosen(request);
    *out = (SalverLoadedModel){how, &model_table};
    return SALVER_OK;
}

static const SalverPlatformV1 platform_table = {NULL, {"memory", 6}, probe, load};

static uint32_t start(const SalverHostV1 *host, const SalverErrorSink *error) {
    (void)host, (void)error;
    return SALVER_OK;
}

#include "one_platform.h"

#ifdef MISSING_FUNCTION
static const SalverPlatformMemoryV1 memory_table = {estimate, NULL, trim};
#else
static const SalverPlatformMemoryV1 memory_table = {estimate, resources, trim};
#endif

const void *salver_plugin_table(SalverStr name) {
    if (salver_str_is(name, SALVER_PLUGIN_V1)) return &plugin_table;
#ifdef MISALIGNED
    if (salver_str_is(name, SALVER_PLATFORM_MEMORY_V1)) return (const char *)&memory_table + 1;
#elif !defined(NO_MEMORY_TABLE)
    if (salver_str_is(name, SALVER_PLATFORM_MEMORY_V1)) return &memory_table;
#endif
    return NULL;
}
