// A plugin that does one thing wrong, or nothing: `-D` chooses what. It is what `salver plugin check` is tested with.
//
// A model is a file `value.txt` of one digit; it has no inputs, and its output is the digit. With the option `seven=7` an
// `x` is a digit, too.
//
// - CRASHES: writes where nothing is when it loads a directory without a model
// - NONSENSE: says that the output is as large as the address space
// - THREADS: starts 64 threads for each model
// - HANGS: does not return from there
// - ENDS: ends the process there

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "salver_plugin.h"

SALVER_PLUGIN_NOTE("checked", "0.1.0", "checked");

#define FILE_NAME "value.txt"

static const SalverTensorSpec outputs[] = {{.name = {"y", 1}, .dtype = SALVER_I64, .rank = 0}};
static const SalverSignature signature = {
    .name = {"serving_default", 15}, .outputs = outputs, .output_count = 1,
};

static SalverSignatures signatures(void *model) {
    (void)model;
    return (SalverSignatures){&signature, 1};
}

typedef struct {
    SalverTensor tensor;
    int64_t value;
} Owner;

static uint32_t run(void *model, const SalverRunRequest *request, SalverOutputs *out, const SalverErrorSink *error) {
    (void)request, (void)error;
    Owner *owner = malloc(sizeof(Owner));
    owner->value = *(int64_t *)model;
    owner->tensor = (SalverTensor){SALVER_I64, 0, NULL, &owner->value, sizeof(int64_t)};
#ifdef NONSENSE
    owner->tensor.size = SIZE_MAX;
#endif
    *out = (SalverOutputs){&owner->tensor, 1, owner};
    return SALVER_OK;
}

static void release(void *model, void *owner) {
    (void)model;
    free(owner);
}

static const SalverModelV1 model_table = {signatures, run, release, free};

// The first byte of the model's file; negative where there is none.
static int first_byte(SalverStr directory) {
    char path[4096];
    snprintf(path, sizeof(path), "%.*s/" FILE_NAME, (int)directory.size, directory.data);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return -1;
    }
    int byte = fgetc(file);
    fclose(file);
    return byte == EOF ? 0 : byte;
}

static uint32_t probe(const void *context, SalverStr directory, const SalverTextSink *text) {
    (void)context;
    int is_there = first_byte(directory) >= 0;
    text->put(text->context, salver_str(is_there ? FILE_NAME : "no file `" FILE_NAME "`"));
    return is_there;
}

static void *wait_forever(void *nothing) {
    for (;;) {
        pause();
    }
    return nothing;
}

static uint32_t load(const void *context, const SalverLoadRequest *request, SalverLoadedModel *out,
                     const SalverErrorSink *error) {
    (void)context;
    int byte = first_byte(request->directory);
    if (byte < 0) {
#ifdef CRASHES
        *(volatile int *)NULL = 1;
#endif
#ifdef HANGS
        wait_forever(NULL);
#endif
#ifdef ENDS
        _exit(0);
#endif
        return salver_fail(error, SALVER_NOT_FOUND, "`" FILE_NAME "` cannot be opened");
    }
    for (size_t i = 0; i < request->option_count; i++) {
        if (salver_str_is(request->options[i].name, "seven") && request->options[i].integer == 7 && byte == 'x') {
            byte = '7';
        }
    }
    if (byte < '0' || byte > '9') {
        return salver_fail(error, SALVER_INVALID_ARGUMENT, "`" FILE_NAME "` does not hold a digit");
    }
#ifdef THREADS
    for (int i = 0; i < 64; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, wait_forever, NULL);
    }
#else
    (void)wait_forever;
#endif
    int64_t *value = malloc(sizeof(int64_t));
    *value = byte - '0';
    *out = (SalverLoadedModel){value, &model_table};
    return SALVER_OK;
}

static const SalverPlatformV1 platform_table = {NULL, {"checked", 7}, probe, load};

static uint32_t start(const SalverHostV1 *host, const SalverErrorSink *error) {
    (void)host, (void)error;
    return SALVER_OK;
}

static size_t platform_count(void) { return 1; }

static const SalverPlatformV1 *platform(size_t index) { return index == 0 ? &platform_table : NULL; }

static const SalverPluginV1 plugin_table = {start, platform_count, platform};

const void *salver_plugin_table(SalverStr name) {
    return salver_str_is(name, SALVER_PLUGIN_V1) ? &plugin_table : NULL;
}
