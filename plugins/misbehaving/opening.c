// A plugin that fails before it serves. Without any of the macros it opens, and has a platform that does nothing.

#include "salver_plugin.h"

#ifdef NOTE_TEXT
SALVER_NOTE_(NOTE_TEXT);
#elif !defined(NO_NOTE)
SALVER_PLUGIN_NOTE(NAME, "0.1.0", PLATFORMS);
#endif

#ifdef MISSING_SYMBOL
extern int a_symbol_that_no_library_has(void);
#endif

static uint32_t probe(const void *context, SalverStr directory, const SalverTextSink *text) {
    (void)context, (void)directory, (void)text;
    return 7;
}

static uint32_t load(const void *context, const SalverLoadRequest *request, SalverLoadedModel *out,
                     const SalverErrorSink *error) {
    (void)context, (void)request, (void)out;
    return salver_fail(error, SALVER_UNIMPLEMENTED, "there is nothing to load");
}

static const SalverPlatformV1 platform_table = {0, {"nothing", 7}, probe, load};

static uint32_t start(const SalverHostV1 *host, const SalverErrorSink *error) {
    (void)host, (void)error;
#ifdef FAILS_TO_START
    return salver_fail(error, SALVER_UNAVAILABLE, "the device is not there");
#elif defined(MISSING_SYMBOL)
    return a_symbol_that_no_library_has() ? SALVER_OK : SALVER_INTERNAL;
#else
    return SALVER_OK;
#endif
}

static size_t platform_count(void) {
    return 1;
}

static const SalverPlatformV1 *platform(size_t index) {
    (void)index;
#ifdef NULL_PLATFORM
    return 0;
#else
    return &platform_table;
#endif
}

#ifdef MISSING_FUNCTION
static const SalverPluginV1 plugin_table = {start, platform_count, NULL};
#else
static const SalverPluginV1 plugin_table = {start, platform_count, platform};
#endif

#ifdef NO_ENTRY
const SalverPluginV1 *not_the_entry(void);
const SalverPluginV1 *not_the_entry(void) {
    return &plugin_table;
}
#else
const void *salver_plugin_table(SalverStr name) {
#ifdef NULL_TABLE
    (void)name;
    return 0;
#elif defined(MISALIGNED_TABLE)
    return salver_str_is(name, SALVER_PLUGIN_V1) ? (const char *)&plugin_table + 1 : 0;
#else
    return salver_str_is(name, SALVER_PLUGIN_V1) ? &plugin_table : 0;
#endif
}
#endif
