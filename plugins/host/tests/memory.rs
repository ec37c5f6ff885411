//! What plugins say that their models take: passed on where it can be right, refused with a sentence where it cannot.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails ends its test")]

mod support;

use std::path::Path;
use std::sync::Arc;

use salver_core_platform::{Cancellation, LoadRequest, Model, OptionValue, Options, Platform};
use salver_core_resource::{Allocation, Estimate, GPU, RAM_BYTES, Resource};
use salver_core_servable::{ServableId, Version};
use salver_core_status::Status;
use salver_plugins_host::Error;
use support::*;

const PANICS: &str = "salver-plugins-misbehaving-panics";

fn with(name: &str, value: &str) -> Options {
    let mut options = Options::new();
    options.set(name, OptionValue::Text(value.to_owned()));
    options
}

fn estimate(platform: &dyn Platform, options: &Options) -> Result<Option<Estimate>, Status> {
    let id = ServableId::new("m", Version::new(1).unwrap());
    let directory = Path::new("/no/such/directory");
    platform.estimate(&LoadRequest {
        id: &id,
        directory,
        options,
        cancel: Cancellation::NEVER,
        batcher: salver_core_platform::unbatched(),
    })
}

/// So many bytes on this machine and so many on any GPU.
fn bytes(ram: u64, gpu: u64) -> Allocation {
    [(Resource::ram(), ram), (Resource::unbound(GPU, RAM_BYTES), gpu)].into_iter().collect()
}

/// The platform of `memory.c`, in a library of its own.
fn memory(flags: &[&str]) -> Result<Arc<dyn Platform>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let plugin = open(&misbehaving("memory", flags, folder.path()))?;
    Ok(Arc::clone(&plugin.platforms()[0]))
}

fn loaded(platform: &dyn Platform, options: &Options) -> Box<dyn Model> {
    load(platform, &std::env::temp_dir(), options).unwrap()
}

#[test]
fn what_a_rust_plugin_says_arrives_unchanged() {
    let platform = platform(&cdylib(PANICS));
    let wanted = Estimate { loading: bytes(300, 21), loaded: bytes(100, 7) };
    assert_eq!(estimate(&*platform, &Options::new()), Ok(Some(wanted)));
    assert_eq!(estimate(&*platform, &with("estimate", "none")), Ok(None));
    let refused = estimate(&*platform, &with("estimate", "guess")).unwrap_err();
    assert_eq!(refused, Status::invalid_argument("no way to estimate `guess`"));
    assert_eq!(loaded(&*platform, &Options::new()).resources(), Some(Allocation::ram_bytes(90)));
}

#[test]
fn a_panic_in_a_rust_plugin_fails_that_call_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (platform, figures) = own_platform(&cdylib(PANICS), folder.path());
    let status = estimate(&*platform, &with("estimate", "panic")).unwrap_err();
    let text = "plugin `panics` panicked estimating model `m:1`: estimating `m:1`";
    assert_eq!(status, Status::internal(text));

    let model = loaded(&*platform, &with("trim", "panic"));
    for trims in [1.0, 2.0] {
        platform.trim();
        assert_eq!(figures.get("trims"), trims);
    }
    assert_eq!(model.resources(), Some(Allocation::ram_bytes(90)));
    drop(model);

    let model = loaded(&*platform, &with("resources", "panic"));
    assert_eq!((figures.get("loads"), model.resources()), (2.0, None));
    // The code of the model has panicked: it is loaded anew.
    figures.wait_for("loads", 3.0);
    drop(model);
    assert_the_server_goes_on();
}

#[test]
fn a_platform_that_does_not_say_what_its_models_take_is_served_without() {
    for platform in
        [platform(&cdylib("salver-plugins-examples-minimal-rust")), memory(&["-DNO_MEMORY_TABLE"]).unwrap()]
    {
        assert_eq!(estimate(&*platform, &Options::new()), Ok(None));
        platform.trim();
    }
    let model = loaded(&*memory(&["-DNO_MEMORY_TABLE"]).unwrap(), &Options::new());
    assert_eq!(model.resources(), None);
    assert_the_server_goes_on();
}

#[test]
fn a_table_that_is_not_whole_is_refused() {
    for (flag, wanted) in [
        ("-DMISSING_FUNCTION", "`salver.platform-memory/1` lacks a function"),
        ("-DMISALIGNED", "`salver.platform-memory/1` is misaligned"),
    ] {
        let error = memory(&[flag]).err().unwrap();
        let Error::BadTable { what, .. } = &error else { panic!("{flag}: {error}") };
        assert_eq!(what, wanted);
        assert_the_server_goes_on();
    }
}

#[test]
fn what_a_c_plugin_says_arrives_and_what_it_leaves_out_is_as_its_contract_says() {
    let platform = memory(&[]).unwrap();
    let good = Estimate { loading: bytes(300, 7), loaded: bytes(100, 7) };
    for (how, wanted) in [
        ("good", Some(good)),
        ("loaded_only", Some(Estimate::steady(bytes(100, 0)))),
        ("silent", Some(Estimate::default())),
        ("cannot_tell", None),
    ] {
        assert_eq!(estimate(&*platform, &with("how", how)), Ok(wanted), "{how}");
    }
    for (how, wanted) in
        [("good", Some(bytes(100, 0))), ("silent", Some(Allocation::none())), ("cannot_tell", None)]
    {
        assert_eq!(loaded(&*platform, &with("how", how)).resources(), wanted, "{how}");
    }
    // It panics, which is nobody else's trouble.
    platform.trim();
    assert_the_server_goes_on();
}

#[test]
fn what_cannot_be_right_is_refused_with_a_sentence() {
    let platform = memory(&[]).unwrap();
    let told =
        |what: &str| Status::internal(format!("plugin `memory`, estimating model `m:1`, told of {what}"));
    let internal = |what: &str| Status::internal(format!("plugin `memory` {what}"));
    for (how, wanted) in [
        ("fails", Status::data_loss("the file is cut off")),
        ("panics", internal("panicked estimating model `m:1`: an exception was thrown")),
        (
            "garbage_code",
            internal("returned the unknown code 4711 estimating model `m:1`: it gave no reason"),
        ),
        ("null", told("a quantity that is null or misaligned")),
        ("noname", told("a device whose name has 0 bytes, wanted 1 to 64")),
        ("endless", told(&format!("a kind whose name has {} bytes, wanted 1 to 64", usize::MAX))),
        ("not_utf8", told("a device whose name is not UTF-8")),
        ("null_name", told("a kind whose name is null")),
        ("negative", told("instance -7 of device `main`, wanted 0 or more, or -1")),
        ("bad_time", told("main:0 ram_in_bytes at the unknown time 9")),
        ("twice", told("main:0 ram_in_bytes twice")),
        ("countless", told("more than 256 quantities")),
    ] {
        assert_eq!(estimate(&*platform, &with("how", how)), Err(wanted), "{how}");
        // After the load the estimate stands, whatever is said then.
        assert_eq!(loaded(&*platform, &with("how", how)).resources(), None, "{how}");
    }
    assert_eq!(loaded(&*platform, &with("how", "loading_when_loaded")).resources(), None);
    assert_the_server_goes_on();
}
