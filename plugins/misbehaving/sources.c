// A plugin without platforms, whose source says what it must not, in `create`. The option `say` chooses what; with `late` it
// speaks in `destroy`, too, with `hang` it never returns from there, and with `of_first` to the target of the source that was made first. The code that the server
// answers with is in the metric `code`. With macros its tables are wrong.

#include <stdlib.h>
#include <unistd.h>

#include "salver_plugin.h"

#ifndef SOURCES
#define SOURCES "wrong"
#endif
#ifndef NAME
#define NAME "sources"
#endif
SALVER_PLUGIN_NOTE_WITH_SOURCES(NAME, "0.1.0", "", SOURCES);

static const SalverHostV1 *server;
static uint64_t code_metric, live_metric;
static const SalverTargetV1 *first_target;

static SalverAspiredVersion version(int64_t number, const char *directory) {
    return (SalverAspiredVersion){.number = number, .revision = 5, .directory = salver_str(directory)};
}

static void say(const SalverTargetV1 *target, SalverStr what, const SalverErrorSink *error) {
    SalverAspiredVersion versions[] = {version(1, "/m/1"), version(2, "/m/2")};
    SalverAspiredStream stream = {.name = salver_str("m"), .versions = versions, .version_count = 2};
    const SalverAspiredStream *given = &stream;
    const SalverErrorSink *sink = error;
    char long_name[300];
    memset(long_name, 'x', sizeof(long_name));
    if (salver_str_is(what, "null_stream")) given = NULL;
    if (salver_str_is(what, "misaligned_stream")) given = (const SalverAspiredStream *)((const char *)&stream + 1);
    if (salver_str_is(what, "null_name")) stream.name = (SalverStr){NULL, 3};
    if (salver_str_is(what, "no_name")) stream.name.size = 0;
    if (salver_str_is(what, "not_utf8")) stream.name = salver_str("caf\xff");
    if (salver_str_is(what, "slash")) stream.name = salver_str("../m");
    if (salver_str_is(what, "nul")) stream.name = (SalverStr){"a\0b", 3};
    if (salver_str_is(what, "long_name")) stream.name = (SalverStr){long_name, sizeof(long_name)};
    if (salver_str_is(what, "null_versions")) stream.versions = NULL;
    if (salver_str_is(what, "misaligned_versions"))
        stream.versions = (const SalverAspiredVersion *)((const char *)versions + 1);
    if (salver_str_is(what, "countless")) stream.version_count = SIZE_MAX;
    if (salver_str_is(what, "negative")) versions[1].number = -1;
    if (salver_str_is(what, "twice")) versions[1].number = 1;
    if (salver_str_is(what, "no_directory")) versions[1].directory.size = 0;
    if (salver_str_is(what, "null_directory")) versions[1].directory.data = NULL;
    if (salver_str_is(what, "relative")) versions[1].directory = salver_str("m/2");
    if (salver_str_is(what, "nul_directory")) versions[1].directory = (SalverStr){"/m\0/2", 5};
    if (salver_str_is(what, "error")) versions[1].code = SALVER_DATA_LOSS, versions[1].message = salver_str("the disk is on fire");
    if (salver_str_is(what, "unknown_error")) versions[1].code = 57;
    if (salver_str_is(what, "trouble")) stream.code = SALVER_UNAVAILABLE, stream.message = salver_str("no answer");
    if (salver_str_is(what, "panicked")) stream.code = SALVER_PANICKED, stream.message = (SalverStr){NULL, 9};
    if (salver_str_is(what, "none")) stream.version_count = 0, stream.versions = NULL;
    if (salver_str_is(what, "null_sink")) sink = NULL, versions[1].number = -1;
    uint32_t code = target->set_aspired(target->context, given, sink);
    server->metrics->record(server->metrics->context, code_metric, code);
}

typedef struct {
    const SalverTargetV1 *target;
    int is_late, hangs;
} Source;

static uint32_t ignore(void *context, uint32_t code, SalverStr message) {
    (void)context, (void)message;
    return code;
}

static uint32_t create(const void *context, const SalverParam *options, size_t option_count, const SalverTargetV1 *target,
                       void **source, const SalverErrorSink *error) {
    (void)context;
    Source *made = calloc(1, sizeof(Source));
    made->target = target;
    *source = made;
    if (first_target == NULL) first_target = target;
    SalverStr what = salver_str("both");
    for (size_t i = 0; i < option_count; i++) {
        if (salver_str_is(options[i].name, "say")) what = options[i].text;
        if (salver_str_is(options[i].name, "late")) made->is_late = 1;
        if (salver_str_is(options[i].name, "hang")) made->hangs = 1;
        if (salver_str_is(options[i].name, "of_first")) target = first_target;
    }
    server->metrics->record(server->metrics->context, live_metric, 1);
    say(target, what, error);
    if (salver_str_is(what, "refuse")) {
        free(made);
        server->metrics->record(server->metrics->context, live_metric, -1);
        return salver_fail(error, SALVER_FAILED_PRECONDITION, "there is nothing to watch");
    }
    return SALVER_OK;
}

static void destroy(const void *context, void *source) {
    (void)context;
    Source *made = source;
    SalverErrorSink sink = {NULL, ignore};
    while (made->hangs) pause();
    if (made->is_late) say(made->target, salver_str("both"), &sink);
    free(made);
    server->metrics->record(server->metrics->context, live_metric, -1);
}

#ifdef NO_DESTROY
static const SalverSourceV1 source_table = {NULL, {"wrong", 5}, {"Says what it must not.", 22}, create, NULL};
#else
static const SalverSourceV1 source_table = {NULL, {"wrong", 5}, {"Says what it must not.", 22}, create, destroy};
#endif

static size_t count(void) {
    return 1;
}

static const SalverSourceV1 *source(size_t index) {
    (void)index;
#ifdef NULL_SOURCE
    return NULL;
#else
    return &source_table;
#endif
}

#ifdef NO_COUNT
static const SalverSourcesV1 sources_table = {NULL, source};
#else
static const SalverSourcesV1 sources_table = {count, source};
#endif

static uint32_t start(const SalverHostV1 *host, const SalverErrorSink *error) {
    (void)error;
    server = host;
    code_metric = host->metrics->make(host->metrics->context, SALVER_METRIC_COUNTER, salver_str("code"), salver_str(""));
    live_metric = host->metrics->make(host->metrics->context, SALVER_METRIC_COUNTER, salver_str("live"), salver_str(""));
    return SALVER_OK;
}

static size_t platform_count(void) {
    return 0;
}

static const SalverPlatformV1 *platform(size_t index) {
    (void)index;
    return NULL;
}

static const SalverPluginV1 plugin_table = {start, platform_count, platform};

const void *salver_plugin_table(SalverStr name) {
#ifndef NO_SOURCES
    if (salver_str_is(name, SALVER_SOURCES_V1)) {
#ifdef MISALIGNED
        return (const char *)&sources_table + 1;
#else
        return &sources_table;
#endif
    }
#endif
    return salver_str_is(name, SALVER_PLUGIN_V1) ? &plugin_table : NULL;
}
