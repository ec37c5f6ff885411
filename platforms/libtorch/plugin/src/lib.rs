//! The libtorch platform as a plugin library.

use salver_platforms_libtorch::Libtorch;
use salver_plugins_sdk::{export_plugin, host};

export_plugin! {
    name: "libtorch",
    platforms: { "libtorch" => Libtorch::new(host().cpu_threads()) },
}
