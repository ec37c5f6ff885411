//! Models that return what they must not: the call fails with a sentence, and the server goes on.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a helper that fails ends its test"
)]

mod support;

use salver_core_platform::{Model, OptionValue, Options, RequestContext};
use salver_core_status::{Code, Status};
use salver_core_tensor::Tensor;
use std::sync::Arc;
use support::*;

/// A model of `running.c`, in a library of its own.
fn running(options: &Options) -> (Result<Box<dyn Model>, Status>, Arc<Figures>) {
    let folder = tempfile::tempdir().unwrap();
    let library = misbehaving("running", &[], folder.path());
    let (platform, figures) = own_platform(&library, folder.path());
    (load(&*platform, folder.path(), options), figures)
}

fn model() -> Box<dyn Model> {
    running(&Options::new()).0.unwrap()
}

fn released(model: &dyn Model) -> i64 {
    run(model, "released", &[]).unwrap()[0].view().as_slice::<i64>().unwrap()[0]
}

/// What the plugin is told to have done wrong, running this signature.
#[track_caller]
fn wrong(model: &dyn Model, signature: &str) -> String {
    let status = run(model, signature, &[]).unwrap_err();
    println!("{status}");
    assert_eq!(status.code(), Code::Internal, "{status}");
    let text = status.message().strip_prefix("plugin `running`, running model `m:1`, ");
    text.unwrap_or_else(|| panic!("{status}")).to_owned()
}

#[test]
fn each_wrong_output_is_told_apart_and_released_once() {
    let model = model();
    let y = |what: &str| format!("returned output `y`, which {what}");
    for (signature, wanted) in [
        ("no_outputs", "returned 0 outputs, 1 were asked for".to_owned()),
        ("too_many", "returned 2 outputs, 1 were asked for".to_owned()),
        ("null_list", "returned a null or misaligned list of outputs".to_owned()),
        ("null_elements", y("has no elements")),
        ("null_shape", y("has a null or misaligned shape")),
        ("garbage_size", y(&format!("has {} bytes, a FP32 tensor of shape [2] has 8", usize::MAX))),
        ("garbage_shape", y("has no valid shape: the shape has more elements than can be addressed")),
        ("negative_shape", y("has no valid shape: dimension 0 of the shape is -2, wanted 0 or more")),
        ("garbage_rank", y("has 4294967295 dimensions, at most 254 are allowed")),
        ("garbage_type", y("has the unknown element type 99")),
        ("other_type", y("has data type INT32, declared is FP32")),
        ("other_shape", y("has shape [3], declared is [2]")),
        ("long_string", y(&format!("has a string, element 1, of {} bytes", usize::MAX / 4))),
        ("null_string", y("has a null string, element 1")),
        ("bad_bool", y("is no tensor: BOOL element 1 is 2, wanted 0 or 1")),
    ] {
        let before = released(&*model);
        assert_eq!(wrong(&*model, signature), wanted, "{signature}");
        // One for what `released` itself returned, and one for what was wrong, unless it had no owner.
        let owned = i64::from(signature != "no_outputs");
        assert_eq!(released(&*model), before + 1 + owned, "{signature}");
    }
    assert_eq!(run(&*model, "good", &[]).unwrap(), [floats(&[1.0, 2.0])]);
    assert_the_server_goes_on();
}

#[test]
fn misaligned_outputs_are_copied_and_static_ones_are_not_released() {
    let model = model();
    for signature in ["misaligned", "static"] {
        assert_eq!(run(&*model, signature, &[]).unwrap(), [floats(&[1.0, 2.0])], "{signature}");
    }
    assert_eq!(released(&*model), 1);
}

#[test]
fn an_owner_that_is_handed_out_twice_is_released_once() {
    let model = model();
    let first = run(&*model, "same_owner", &[]).unwrap();
    let what = wrong(&*model, "same_owner");
    assert_eq!(what, "returned outputs whose owner it had handed out before and not had back");
    assert_eq!((released(&*model), &first[..]), (0, &[floats(&[1.0, 2.0])][..]));
    drop(first);
    // The first `released`, and the shared owner.
    assert_eq!(released(&*model), 2);
    // It was had back: it may be handed out again.
    assert!(run(&*model, "same_owner", &[]).is_ok());
}

#[test]
fn an_unknown_code_and_a_failure_without_a_reason_are_told() {
    let model = model();
    let unknown = run(&*model, "garbage_code", &[]).unwrap_err();
    let text = "plugin `running` returned the unknown code 4711 running model `m:1`: it gave no reason";
    assert_eq!(unknown, Status::internal(text));
    assert_eq!(run(&*model, "fails_silently", &[]).unwrap_err(), Status::unavailable("it gave no reason"));
}

#[test]
fn what_is_wrong_with_a_load_is_told_and_the_model_unloaded() {
    for (how, wanted) in [
        ("null_table", "its table is null or misaligned"),
        ("incomplete", "its table lacks `run` or `release`"),
        ("unnamed", "a signature has no name"),
        ("countless", &format!("the list of signatures has {} entries, at most 65536 are read", usize::MAX)),
    ] {
        let mut options = Options::new();
        options.set("how", OptionValue::Text(how.to_owned()));
        let (loaded, figures) = running(&options);
        let status = loaded.err().unwrap();
        assert_eq!(
            status,
            Status::internal(format!("plugin `running` loaded model `m:1` wrongly: {wanted}"))
        );
        assert_eq!(figures.get("loaded"), 0.0, "{how}");
    }
}

#[test]
fn a_model_is_unloaded_once_after_the_last_of_its_outputs() {
    let (model, figures) = running(&Options::new());
    let model = model.unwrap();
    let outputs: Vec<Tensor> = (0..3).flat_map(|_| run(&*model, "good", &[]).unwrap()).collect();
    drop(model);
    for output in outputs {
        assert_eq!(figures.get("loaded"), 1.0);
        drop(output);
    }
    assert_eq!(figures.get("loaded"), 0.0);
}

#[test]
fn an_exception_in_a_c_plugin_is_told_and_the_model_loaded_anew() {
    let (model, figures) = running(&Options::new());
    let model = model.unwrap();
    let status = run(&*model, "panics", &[]).unwrap_err();
    let text = "plugin `running` panicked running model `m:1`: an exception was thrown";
    assert_eq!(status, Status::internal(text));
    drop(model);
    assert_eq!(figures.get("loaded"), 0.0);
    let mut options = Options::new();
    options.set("how", OptionValue::Text("panics".to_owned()));
    let status = running(&options).0.err().unwrap();
    assert_eq!(status.message(), "plugin `running` panicked loading model `m:1`: an exception was thrown");
}

#[test]
fn a_request_that_was_not_checked_does_not_reach_the_plugin() {
    let model = model();
    let one = floats(&[1.0]);
    let status = run_in(&*model, "good", &[&one], &RequestContext::default()).unwrap_err();
    assert_eq!(status, Status::internal("1 inputs were bound, wanted 0"));
}
