// A plugin of one platform: its table, from `start` and `platform_table`, which the file that includes this has defined.

static size_t platform_count(void) {
    return 1;
}

static const SalverPlatformV1 *platform(size_t index) {
    (void)index;
    return &platform_table;
}

static const SalverPluginV1 plugin_table = {start, platform_count, platform};
