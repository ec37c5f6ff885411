//! Panics in a Rust plugin: told to the caller, survived by the server, and followed by a new load.

#![expect(clippy::unwrap_used, reason = "a helper that fails ends its test")]

mod support;

use salver_core_platform::{Model, OptionValue, Options, Probe, RequestContext};
use salver_core_status::Status;
use support::*;

const PANICS: &str = "salver-plugins-misbehaving-panics";

fn context(panic: &str) -> RequestContext {
    let mut context = RequestContext::default();
    context.parameters.set("panic", OptionValue::Text(panic.to_owned()));
    context
}

#[track_caller]
fn assert_mirrors(model: &dyn Model) {
    let tensor = floats(&[1.0, 2.0]);
    assert_eq!(run(model, "FP32", &[&tensor]).unwrap(), [tensor]);
}

#[track_caller]
fn assert_panics(model: &dyn Model, text: &str) {
    let status = run_in(model, "FP32", &[&floats(&[1.0])], &context(text)).unwrap_err();
    assert_eq!(status, Status::internal(format!("plugin `panics` panicked running model `m:1`: {text}")));
}

#[test]
fn a_panic_in_a_load_or_a_probe_fails_that_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let platform = platform(&cdylib(PANICS));
    let mut options = Options::new();
    options.set("panic", OptionValue::Text("no such device".to_owned()));
    let status = load(&*platform, folder.path(), &options).err().unwrap();
    assert_eq!(status, Status::internal("plugin `panics` panicked loading model `m:1`: no such device"));
    assert_mirrors(&*load(&*platform, folder.path(), &Options::new()).unwrap());

    std::fs::write(folder.path().join("panic"), "").unwrap();
    assert_eq!(
        platform.probe(folder.path()),
        Probe::NoMatch { reason: "panicked: probing `panic`".to_owned() }
    );
    assert_the_server_goes_on();
}

#[test]
fn a_model_that_panicked_is_replaced_and_unloaded() {
    let folder = tempfile::tempdir().unwrap();
    let (platform, figures) = own_platform(&cdylib(PANICS), folder.path());
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    assert_panics(&*model, "ouch");
    // The old one is unloaded after the new one is in its place.
    figures.wait_for("unloads", 1.0);
    assert_eq!(figures.get("loads"), 2.0);
    assert_mirrors(&*model);
    drop(model);
    assert_eq!((figures.get("loads"), figures.get("unloads")), (2.0, 2.0));
    assert_the_server_goes_on();
}

#[test]
fn outputs_of_a_model_that_is_replaced_stay_valid() {
    let folder = tempfile::tempdir().unwrap();
    let (platform, figures) = own_platform(&cdylib(PANICS), folder.path());
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    let held = run(&*model, "FP32", &[&floats(&[3.0])]).unwrap();
    assert_panics(&*model, "ouch");
    figures.wait_for("loads", 2.0);
    // Whether the new one is in place already or not, the old one is still there.
    drop(model);
    assert_eq!((&held[..], figures.get("unloads")), (&[floats(&[3.0])][..], 1.0));
    drop(held);
    assert_eq!(figures.get("unloads"), 2.0);
}

#[test]
fn a_model_serves_on_while_its_replacement_does_not_load() {
    let folder = tempfile::tempdir().unwrap();
    let (platform, figures) = own_platform(&cdylib(PANICS), folder.path());
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    std::fs::write(folder.path().join("panic"), "").unwrap();
    assert_panics(&*model, "ouch");
    for _ in 0..100 {
        assert_mirrors(&*model);
        // A second panic of the same instance starts no second replacement.
        assert_panics(&*model, "again");
    }
    std::fs::remove_file(folder.path().join("panic")).unwrap();
    figures.wait_for("unloads", 1.0);
    assert_mirrors(&*model);
    assert_eq!(figures.get("loads"), 2.0);
}

#[test]
fn a_replacement_with_other_signatures_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (platform, figures) = own_platform(&cdylib(PANICS), folder.path());
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    let signatures = model.signatures().clone();
    std::fs::write(folder.path().join("other"), "").unwrap();
    assert_panics(&*model, "ouch");
    // The new one is unloaded again.
    figures.wait_for("unloads", 1.0);
    assert_mirrors(&*model);
    assert_eq!(*model.signatures(), signatures);
    drop(model);
    assert_eq!((figures.get("loads"), figures.get("unloads")), (2.0, 2.0));
}

#[test]
fn a_model_is_dropped_while_it_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (platform, figures) = own_platform(&cdylib(PANICS), folder.path());
    for _ in 0..20 {
        let model = load(&*platform, folder.path(), &Options::new()).unwrap();
        assert_panics(&*model, "ouch");
        drop(model);
        assert_eq!(figures.get("loads"), figures.get("unloads"));
    }
}
