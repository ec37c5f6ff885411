//! The TensorFlow platform as a plugin library.

use salver_platforms_tensorflow::{LibrarySearch, TensorFlow};
use salver_plugins_sdk::{export_plugin, host};

export_plugin! {
    name: "tensorflow",
    platforms: { "tensorflow" => platform() },
}

/// The platform, on the server's processor budget, with TensorFlow near the plugin's file.
fn platform() -> TensorFlow {
    let search = host().plugin_path().map_or_else(LibrarySearch::new, LibrarySearch::beside);
    TensorFlow::new(search, host().cpu_threads())
}
