// A plugin that ends its process, or is busy for ever, where the signature says so; otherwise it answers with its process.

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "salver_plugin.h"

SALVER_PLUGIN_NOTE("crashing", "0.1.0", "crashing");

static const SalverTensorSpec pid[] = {{.name = {"pid", 3}, .dtype = SALVER_I64, .rank = 0}};

#define SIGNATURE(name) \
    { {name, sizeof(name) - 1}, {0, 0}, 0, 0, pid, 1 }
enum { ANSWERS, CRASHES, EXITS, WAITS, SIGNATURES };
static const SalverSignature signature_list[SIGNATURES] = {
    [ANSWERS] = SIGNATURE("answers"),
    [CRASHES] = SIGNATURE("crashes"),
    [EXITS] = SIGNATURE("exits"),
    // Until it is cancelled.
    [WAITS] = SIGNATURE("waits"),
};

static SalverSignatures signatures(void *model) {
    (void)model;
    return (SalverSignatures){signature_list, SIGNATURES};
}

static uint32_t run(void *model, const SalverRunRequest *request, SalverOutputs *out, const SalverErrorSink *error) {
    (void)model;
    const struct timespec moment = {0, 1000000};
    volatile int *volatile nowhere = NULL;
    switch (request->signature) {
    case CRASHES: *nowhere = 1; break;
    case EXITS: _exit(3);
    case WAITS:
        while (__atomic_load_n(request->cancelled, __ATOMIC_ACQUIRE) == 0) nanosleep(&moment, NULL);
        return salver_fail(error, SALVER_CANCELLED, "it was cancelled");
    default: break;
    }
    SalverTensor *tensor = calloc(1, sizeof(SalverTensor) + sizeof(int64_t));
    int64_t *number = (int64_t *)(tensor + 1);
    *number = getpid();
    *tensor = (SalverTensor){SALVER_I64, 0, NULL, number, sizeof(int64_t)};
    *out = (SalverOutputs){tensor, 1, tensor};
    return SALVER_OK;
}

static void release(void *model, void *owner) {
    (void)model;
    free(owner);
}

static void unload(void *model) {
    (void)model;
}

static const SalverModelV1 model_table = {signatures, run, release, unload};

static uint32_t probe(const void *context, SalverStr directory, const SalverTextSink *text) {
    (void)context;
    char path[4096];
    int length = snprintf(path, sizeof(path), "%.*s/crash.txt", (int)directory.size, directory.data);
    int is_there = length < (int)sizeof(path) && access(path, F_OK) == 0;
    text->put(text->context, salver_str(is_there ? "crash.txt" : "no file `crash.txt`"));
    return is_there ? 1 : 0;
}

static uint32_t load(const void *context, const SalverLoadRequest *request, SalverLoadedModel *out,
                     const SalverErrorSink *error) {
    (void)context;
    for (size_t i = 0; i < request->option_count; i++) {
        SalverStr how = request->options[i].text;
        if (salver_str_is(how, "crashes")) raise(SIGABRT);
        if (salver_str_is(how, "fails")) return salver_fail(error, SALVER_DATA_LOSS, "the disk is on fire");
        if (salver_str_is(how, "waits")) {
            const struct timespec moment = {0, 1000000};
            while (__atomic_load_n(request->cancelled, __ATOMIC_ACQUIRE) == 0) nanosleep(&moment, NULL);
            return salver_fail(error, SALVER_CANCELLED, "it was cancelled");
        }
    }
    *out = (SalverLoadedModel){NULL, &model_table};
    return SALVER_OK;
}

static const SalverPlatformV1 platform_table = {NULL, {"crashing", 8}, probe, load};

static uint32_t start(const SalverHostV1 *host, const SalverErrorSink *error) {
    (void)host, (void)error;
    return SALVER_OK;
}

#include "one_platform.h"

const void *salver_plugin_table(SalverStr name) {
    return salver_str_is(name, SALVER_PLUGIN_V1) ? &plugin_table : NULL;
}
