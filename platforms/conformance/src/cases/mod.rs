//! The cases.

mod identity;
mod models;
mod process;
mod runs;
mod unwanted;

use crate::Case;

/// All of them.
pub(crate) const ALL: &[Case] = &[
    Case {
        name: "foreign-directory",
        promise: "a directory that holds no model of the platform is not recognised",
        body: models::foreign_directory,
    },
    Case {
        name: "own-directory",
        promise: "a model of the platform is recognised",
        body: models::own_directory,
    },
    Case {
        name: "no-model",
        promise: "a directory that is empty, or not there, does not load, and the error says why",
        body: models::no_model,
    },
    Case {
        name: "truncated-model",
        promise: "a model whose files are cut short does not load, or serves",
        body: models::truncated,
    },
    Case {
        name: "garbage-model",
        promise: "a model whose files are garbage does not load",
        body: models::garbage,
    },
    Case {
        name: "stable-signatures",
        promise: "a model has the same signatures each time it is loaded",
        body: models::stable_signatures,
    },
    Case {
        name: "element-types",
        promise: "elements of every type come back bit for bit",
        body: identity::element_types,
    },
    Case { name: "ranks", promise: "tensors of 0 to 8 dimensions come back", body: identity::ranks },
    Case {
        name: "empty-dimensions",
        promise: "tensors without elements come back in their shape",
        body: identity::empty_dimensions,
    },
    Case {
        name: "dynamic-shapes",
        promise: "one model takes tensors of many sizes, one after the other",
        body: identity::dynamic_shapes,
    },
    Case {
        name: "strings",
        promise: "strings come back that are empty, long, or hold zeros or bytes that are no UTF-8",
        body: identity::strings,
    },
    Case {
        name: "declared-outputs",
        promise: "outputs are of the types and shapes that the signature says",
        body: runs::declared_outputs,
    },
    Case {
        name: "chosen-outputs",
        promise: "only the outputs asked for are returned, in the order asked for",
        body: runs::chosen_outputs,
    },
    Case {
        name: "wild-values",
        promise: "infinities, bits that are no numbers and odd sizes get an answer or an error",
        body: runs::wild_values,
    },
    Case {
        name: "concurrent-runs",
        promise: "runs on many threads at once answer as they do one by one",
        body: runs::concurrent,
    },
    Case {
        name: "outputs-outlive-model",
        promise: "outputs stay as they are when the model is unloaded",
        body: runs::outputs_outlive_model,
    },
    Case {
        name: "unwanted-requests",
        promise: "requests that are cancelled or late end soon, and say which they are",
        body: unwanted::unwanted,
    },
    Case {
        name: "given-up-midway",
        promise: "requests given up while they run end soon or are answered right, and so is the next",
        body: unwanted::given_up,
    },
    Case {
        name: "memory",
        promise: "loading, running and unloading over and over takes no more memory each time",
        body: process::memory,
    },
    Case {
        name: "threads",
        promise: "models share as many threads as the server allows, however many are loaded",
        body: process::threads,
    },
];
