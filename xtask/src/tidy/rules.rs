//! The tables of the design: who may depend on whom, and what may be used where.
//!
//! A pattern is a path of folders, in which `*` stands for any one; it fits everything below.

/// Which folders the crates in a folder may depend on. The first pattern that fits a crate decides.
pub(super) const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("core", &["core"]),
    ("manager", &["core", "manager"]),
    ("batching", &["core", "batching"]),
    ("plugins/abi", &["core"]),
    ("plugins/sdk", &["core", "plugins/abi"]),
    ("plugins/host", &["core", "plugins/abi"]),
    ("plugins/isolated", &["core", "plugins/host"]),
    ("plugins/examples", &["plugins/sdk"]),
    ("plugins/misbehaving", &["plugins/sdk"]),
    ("platforms/*/plugin", &["plugins/sdk", "platforms"]),
    ("platforms/tensorflow", &["core", "platforms/tensorflow-sys"]),
    ("platforms", &["core"]),
    ("proto", &[]),
    (
        "server/config",
        &["batching/concat", "batching/parameters", "batching/queue", "core", "manager", "proto"],
    ),
    ("server/wire", &["core", "proto"]),
    ("server/json", &["core"]),
    ("server/memory", &[]),
    ("server/metrics", &["core"]),
    ("server/inference", &["batching", "core"]),
    (
        "server/assembly",
        &[
            "batching",
            "core",
            "manager",
            "plugins/host",
            "plugins/isolated",
            "server/config",
            "server/inference",
            "server/memory",
            "server/metrics",
        ],
    ),
    ("server/http", &["core"]),
    ("server/grpc", &["core", "proto", "server/http", "server/inference", "server/wire"]),
    (
        "server/rest",
        &["batching/queue", "core", "proto", "server/http", "server/inference", "server/json", "server/wire"],
    ),
    ("server/listen", &["core", "server/http", "server/metrics"]),
    ("server/embed", &["core", "proto", "server"]),
    ("server/bin", &["core", "platforms/conformance", "plugins/host", "proto", "server"]),
    ("examples", &["batching", "core", "manager", "server", "platforms/echo"]),
    ("tests/weights", &[]),
    ("tests", &["core", "proto", "platforms/echo", "tests/weights"]),
    ("benches", &["batching", "core", "manager", "plugins", "platforms", "proto", "server", "tests/weights"]),
    ("xtask", &[]),
];

/// What tests may depend on beside what their crate may.
pub(super) const TESTS_MAY_DEPEND: &[&str] = &["core", "proto", "platforms/conformance", "platforms/echo"];

/// Crates of others that are kept in some folders, they and those named after them (`tonic` fences `tonic-health`).
pub(super) const FENCED: &[(&str, &[&str])] = &[
    // Each at home in one crate: what is there can be replaced.
    ("abi_stable", &["plugins/abi"]),
    ("libloading", &["platforms/libtorch", "platforms/tensorflow-sys", "plugins/host"]),
    ("ort", &["platforms/onnxruntime"]),
    ("object_store", &["manager/source-object-store"]),
    ("reqwest", &["manager/source-object-store"]),
    ("tch", &["platforms/libtorch"]),
    // A runtime and a network belong to the server: a library user brings their own, or none.
    ("axum", &["server", "tests", "benches"]),
    ("hyper", &["server", "tests", "benches"]),
    // The TensorFlow platform reads signatures out of SavedModels.
    ("prost", &["platforms/tensorflow", "server", "proto", "xtask/codegen", "tests", "benches"]),
    // The source of object stores keeps a runtime of its own out of sight: whatever speaks to them is asynchronous.
    ("tokio", &["manager/source-object-store", "server", "examples", "tests", "benches"]),
    ("tonic", &["server", "proto", "xtask/codegen", "tests", "benches"]),
    ("tower", &["server", "tests", "benches"]),
    // Errors have types wherever somebody might tell them apart.
    ("anyhow", &["server/bin", "xtask", "tests", "benches"]),
];

/// The only crates of others that `core` knows.
pub(super) const CORE_KNOWS: &[&str] = &[
    "bytemuck",
    "bytes",
    "crossbeam-utils",
    "half",
    "loom",
    "proptest",
    "smallvec",
    "tempfile",
    "thiserror",
    "tracing",
];

/// Where `unsafe` may be: at the edges to code that is not Rust.
pub(super) const MAY_BE_UNSAFE: &[&str] = &[
    "platforms/libtorch",
    "platforms/onnxruntime",
    "platforms/tensorflow-sys",
    "plugins/abi",
    "plugins/host",
    "plugins/isolated",
    "plugins/sdk",
    "server/memory",
];

/// Files past this many lines are worth a look for a second idea in them.
pub(super) const LONG: usize = 500;

/// Whether a pattern fits a path.
pub(super) fn fits(pattern: &str, path: &str) -> bool {
    let mut folders = path.split('/');
    pattern.split('/').all(|wanted| folders.next().is_some_and(|found| wanted == "*" || wanted == found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_what_is_below_it_folder_by_folder() {
        assert!(fits("core", "core/status"));
        assert!(fits("core", "core"));
        assert!(fits("platforms/*/plugin", "platforms/echo/plugin"));
        assert!(!fits("platforms/*/plugin", "platforms/echo"));
        assert!(!fits("server/js", "server/json"));
    }
}
