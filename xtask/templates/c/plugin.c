// A platform plugin: models of one file, `@NAME@.txt`, that holds two numbers, `a` and `b`: y = a * x + b.

#include <stdio.h>
#include <stdlib.h>

#include "salver_plugin.h"

// What the server reads before it runs any of this.
SALVER_PLUGIN_NOTE("@NAME@", "0.1.0", "@NAME@");

typedef struct {
    float a, b;
} Model;

// What the model takes and returns: a tensor of any shape, and one of the same. It does not differ between models.
static const SalverTensorSpec inputs[] = {
    {.name = {"x", 1}, .dtype = SALVER_F32, .rank = SALVER_ANY_RANK},
};
static const SalverTensorSpec outputs[] = {
    {.name = {"y", 1}, .dtype = SALVER_F32, .rank = SALVER_ANY_RANK},
};
static const SalverSignature signature = {
    .name = {"serving_default", 15}, .inputs = inputs, .input_count = 1, .outputs = outputs, .output_count = 1,
};

static SalverSignatures signatures(void *model) {
    (void)model;
    return (SalverSignatures){&signature, 1};
}

// The output, its shape and its elements are one block of memory, which `release` frees.
static uint32_t run(void *model, const SalverRunRequest *request, SalverOutputs *out, const SalverErrorSink *error) {
    const Model *line = model;
    if (request->output_count != 1) {
        return salver_fail(error, SALVER_INVALID_ARGUMENT, "there is one output, `y`");
    }
    const SalverTensor *x = &request->inputs[0];
    size_t shape_size = x->rank * sizeof(int64_t);
    SalverTensor *y = malloc(sizeof(SalverTensor) + shape_size + x->size);
    if (y == NULL) {
        return salver_fail(error, SALVER_RESOURCE_EXHAUSTED, "no memory for the output");
    }
    int64_t *shape = (int64_t *)(y + 1);
    float *elements = (float *)(shape + x->rank);
    for (uint32_t axis = 0; axis < x->rank; axis++) {
        shape[axis] = x->shape[axis];
    }
    for (size_t i = 0; i < x->size / sizeof(float); i++) {
        elements[i] = line->a * ((const float *)x->data)[i] + line->b;
    }
    *y = (SalverTensor){SALVER_F32, x->rank, shape, elements, x->size};
    *out = (SalverOutputs){y, 1, y};
    return SALVER_OK;
}

static void release(void *model, void *owner) {
    (void)model;
    free(owner);
}

static const SalverModelV1 model_table = {signatures, run, release, free};

// Opens the model's file; NULL where there is none.
static FILE *open_file(SalverStr directory) {
    char path[4096];
    int size = snprintf(path, sizeof(path), "%.*s/@NAME@.txt", (int)directory.size, directory.data);
    return size > 0 && (size_t)size < sizeof(path) ? fopen(path, "r") : NULL;
}

static uint32_t probe(const void *context, SalverStr directory, const SalverTextSink *text) {
    (void)context;
    FILE *file = open_file(directory);
    text->put(text->context, salver_str(file != NULL ? "@NAME@.txt" : "no file `@NAME@.txt`"));
    if (file == NULL) {
        return 0;
    }
    fclose(file);
    return 1;
}

static uint32_t load(const void *context, const SalverLoadRequest *request, SalverLoadedModel *out,
                     const SalverErrorSink *error) {
    (void)context;
    FILE *file = open_file(request->directory);
    if (file == NULL) {
        return salver_fail(error, SALVER_NOT_FOUND, "`@NAME@.txt` cannot be opened");
    }
    Model line;
    int numbers = fscanf(file, "%f %f", &line.a, &line.b);
    fclose(file);
    if (numbers != 2) {
        return salver_fail(error, SALVER_INVALID_ARGUMENT, "`@NAME@.txt` does not hold two numbers");
    }
    Model *model = malloc(sizeof(Model));
    if (model == NULL) {
        return salver_fail(error, SALVER_RESOURCE_EXHAUSTED, "no memory for the model");
    }
    *model = line;
    *out = (SalverLoadedModel){model, &model_table};
    return SALVER_OK;
}

static const SalverPlatformV1 platform_table = {NULL, {"@NAME@", sizeof("@NAME@") - 1}, probe, load};

static uint32_t start(const SalverHostV1 *host, const SalverErrorSink *error) {
    (void)error;
    host->log->write(host->log->context, SALVER_LEVEL_DEBUG, salver_str("@NAME@"), salver_str("started"));
    return SALVER_OK;
}

static size_t platform_count(void) { return 1; }

static const SalverPlatformV1 *platform(size_t index) { return index == 0 ? &platform_table : NULL; }

static const SalverPluginV1 plugin_table = {start, platform_count, platform};

const void *salver_plugin_table(SalverStr name) {
    return salver_str_is(name, SALVER_PLUGIN_V1) ? &plugin_table : NULL;
}
