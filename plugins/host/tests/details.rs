//! What more plugins say of inputs and outputs: passed on where it can be right, refused with a sentence where it cannot.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails ends its test")]

mod support;

use std::sync::Arc;

use salver_core_platform::{Model, OptionValue, Options, Platform};
use salver_core_status::{Code, Status};
use salver_core_tensor::{Shape, Tensor};
use salver_plugins_host::Error;
use support::*;

/// The platform of `details.c`, in a library of its own.
fn details(flags: &[&str]) -> Result<Arc<dyn Platform>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let plugin = open(&misbehaving("details", flags, folder.path()))?;
    Ok(Arc::clone(&plugin.platforms()[0]))
}

fn loaded(platform: &dyn Platform, how: &str) -> Result<Box<dyn Model>, Status> {
    let mut options = Options::new();
    options.set("how", OptionValue::Text(how.to_owned()));
    load(platform, &std::env::temp_dir(), &options)
}

/// What the model answers, which declares `[-1, 1]` and returns a vector of three.
fn answer(model: &dyn Model) -> Result<Vec<Tensor>, Status> {
    run(model, "s", &[&floats(&[1., 2.])])
}

#[test]
fn what_a_plugin_says_arrives_and_an_advisory_shape_holds_nobody_to_it() {
    let model = loaded(&*details(&[]).unwrap(), "good").unwrap();
    let signature = &model.signatures().as_slice()[0];
    let names = [&signature.inputs[0], &signature.outputs[0]].map(|spec| spec.graph_name.as_deref());
    assert_eq!(names, [Some("in:0"), Some("out:0")]);
    assert!(signature.inputs[0].is_shape_advisory && signature.outputs[0].is_shape_advisory);
    assert_eq!(answer(&*model).unwrap()[0].shape(), &Shape::new(&[3]).unwrap());
}

#[test]
fn where_a_plugin_has_no_more_to_say_shapes_bind() {
    for how in ["cannot_tell", "garbage_code", "silent"] {
        let model = loaded(&*details(&[]).unwrap(), how).unwrap();
        let output = &model.signatures().as_slice()[0].outputs[0];
        assert_eq!((output.graph_name.as_deref(), output.is_shape_advisory), (None, false), "{how}");
        let status = answer(&*model).unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{how}");
        assert!(status.message().contains("has shape [3], declared is [-1, 1]"), "{how}: {status}");
    }
}

#[test]
fn what_cannot_be_fails_the_load_with_a_sentence() {
    let within = "signature `s`: input `x`";
    for (how, wanted) in [
        ("unknown_flags", "has the unknown details 0x6"),
        ("null_name", "is not described: its name in the graph is null or misaligned"),
        ("not_utf8", "is not described: its name in the graph is not UTF-8"),
        (
            "endless",
            "is not described: its name in the graph has 18446744073709551615 entries, at most 65536 are read",
        ),
    ] {
        let status = loaded(&*details(&[]).unwrap(), how).err().unwrap();
        assert_eq!(status.code(), Code::Internal, "{how}");
        assert!(status.message().ends_with(&format!("{within} {wanted}")), "{how}: {status}");
        assert_the_server_goes_on();
    }
}

#[test]
fn a_table_that_is_not_whole_is_refused() {
    let error = details(&["-DMISSING_FUNCTION"]).err().unwrap();
    let Error::BadTable { what, .. } = &error else { panic!("{error}") };
    assert_eq!(what, "`salver.tensor-details/1` lacks a function");
}
