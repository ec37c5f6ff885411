//! The ONNX Runtime platform as a plugin library.

use salver_platforms_onnxruntime::{LibrarySearch, OnnxRuntime};
use salver_plugins_sdk::{export_plugin, host};

export_plugin! {
    name: "onnxruntime",
    platforms: { "onnxruntime" => platform() },
}

/// The platform, on the server's processor budget, with ONNX Runtime near the plugin's file.
fn platform() -> OnnxRuntime {
    let search = host().plugin_path().map_or_else(LibrarySearch::new, LibrarySearch::beside);
    OnnxRuntime::new(search).with_threads(host().cpu_threads())
}
