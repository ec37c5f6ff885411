//! A plugin built against a changed or an older copy of the ABI. It never gets so far as to start.

use salver_plugins_abi::rust_door::RustPlugin;
use salver_plugins_abi::{PluginV1, note};

enum Plugin {}

impl RustPlugin for Plugin {
    const TABLE: &'static PluginV1 = &PluginV1 { start: None, platform_count: None, platform: None };
}

salver_plugins_abi::__rust_door!(Plugin);

salver_plugins_abi::__note!(
    NOTE,
    &[
        "abi=",
        note::ABI,
        "\ndoor=rust\nname=wrong-layout\nversion=0.1.0\ntarget=",
        note::TARGET,
        "\nsdk=rust 0.0.0\nplatforms=none\n",
    ]
);
