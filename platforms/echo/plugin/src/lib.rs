//! The echo platform as a plugin library.

salver_plugins_sdk::export_plugin! {
    name: "echo",
    platforms: { "echo" => salver_platforms_echo::Echo::new() },
}
