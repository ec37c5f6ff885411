//! Turns a safe `Platform` into a plugin library: `export_plugin!`.
