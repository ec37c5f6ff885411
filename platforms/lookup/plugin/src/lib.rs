//! The lookup platform as a plugin library.

salver_plugins_sdk::export_plugin! {
    name: "lookup",
    platforms: { "lookup" => salver_platforms_lookup::Lookup },
}
