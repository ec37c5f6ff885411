//! Libraries that are not opened: each failure is its own error, and the server goes on.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a helper that fails ends its test")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use salver_core_status::{Code, ErrorCode};
use salver_plugins_host::Error;
use support::*;

/// The error of opening `path`, which does not open; after it, the server still serves.
#[track_caller]
fn refused(path: &Path) -> Error {
    let error = open(path).unwrap_err();
    println!("{}", error.to_status());
    assert!(error.to_string().contains(&format!("`{}`", path.display())), "{error}");
    assert_the_server_goes_on();
    error
}

/// Builds `opening.c` and is refused it.
#[track_caller]
fn opening(flags: &[&str]) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let names = [r#"-DNAME="opening""#, r#"-DPLATFORMS="nothing""#];
    refused(&misbehaving("opening", &[&names, flags].concat(), folder.path()))
}

/// Writes `bytes` to a file and is refused it.
#[track_caller]
fn file(bytes: &[u8]) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.so");
    fs::write(&path, bytes).unwrap();
    refused(&path)
}

fn sound_library() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let names = [r#"-DNAME="opening""#, r#"-DPLATFORMS="nothing""#];
    fs::read(misbehaving("opening", &names, folder.path())).unwrap()
}

#[test]
fn a_library_that_does_nothing_wrong_opens() {
    let folder = tempfile::tempdir().unwrap();
    let names = [r#"-DNAME="opening""#, r#"-DPLATFORMS="nothing""#];
    let nothing = platform(&misbehaving("opening", &names, folder.path()));
    let salver_core_platform::Probe::NoMatch { reason } = nothing.probe(folder.path()) else {
        panic!("a platform that answers 7 matches");
    };
    assert_eq!(reason, "the plugin answered 7, wanted 0 or 1");
}

/// A library of one function, and a plugin beside it that needs it.
fn needing(value: &str, folder: &Path) -> PathBuf {
    let source = folder.join("framework.c");
    fs::write(&source, format!("int framework_version(void) {{ return {value}; }}\n")).unwrap();
    compile(&source, &["-Wl,-soname,framework.so"], folder);
    let library = folder.join("framework.so");
    let names = [&format!(r#"-DNAME="needing-{value}""#), r#"-DPLATFORMS="nothing""#];
    let linked = ["-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN", library.to_str().unwrap()];
    misbehaving("opening", &[&names[..], &linked].concat(), folder)
}

#[test]
fn one_that_needs_a_library_in_whose_place_another_is_loaded() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [first, second, copy] = &folders;
    open(&needing("1", first.path())).unwrap();
    let error = refused(&needing("2", second.path()));
    assert_eq!(error.code(), Code::FailedPrecondition);
    let (needed, loaded) = (second.path().join("framework.so"), first.path().join("framework.so"));
    for part in [needed.display().to_string(), loaded.display().to_string(), "isolation=process".to_owned()] {
        assert!(error.to_string().contains(&part), "{error}");
    }
    // The same library, to the byte, does.
    let third = needing("3", copy.path());
    fs::copy(loaded, copy.path().join("framework.so")).unwrap();
    open(&third).unwrap();
}

#[test]
fn not_there() {
    let error = refused(Path::new("/no/such/plugin.so"));
    assert!(matches!(error, Error::Unreadable { .. }) && error.code() == Code::NotFound, "{error}");
}

#[test]
fn not_a_library() {
    assert!(matches!(file(b"#!/bin/sh\nexit 1\n"), Error::NotALibrary { .. }));
    assert!(matches!(file(b""), Error::NotALibrary { .. }));
    assert!(matches!(file(b"\x7fELF\x02\x01\x01"), Error::NotALibrary { .. }));
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(refused(folder.path()), Error::NotALibrary { .. }));
    // An object file is an ELF file of another type.
    let mut object = sound_library();
    object[16] = 1;
    assert!(matches!(file(&object), Error::NotALibrary { .. }));
}

#[test]
fn a_damaged_library() {
    let sound = sound_library();
    // The table of sections is at the end of the file.
    assert!(matches!(file(&sound[..sound.len() / 2]), Error::NotALibrary { .. }));
}

#[test]
fn another_architecture() {
    let mut library = sound_library();
    // `e_machine`: 243 is RISC-V.
    (library[18], library[19]) = (243, 0);
    let error = file(&library);
    let Error::WrongArchitecture { found, .. } = &error else { panic!("{error}") };
    assert_eq!(found, "riscv, 64 bits");
}

#[test]
fn not_a_plugin() {
    assert!(matches!(opening(&["-DNO_NOTE"]), Error::NotAPlugin { .. }));
}

#[test]
fn a_note_that_cannot_be_read() {
    let error = opening(&[r#"-DNOTE_TEXT="hello""#]);
    let Error::BadNote { what, .. } = &error else { panic!("{error}") };
    assert_eq!(what, "`abi` is missing");
}

#[test]
fn another_major_version_of_the_abi() {
    let text = r#"-DNOTE_TEXT="abi=2\ndoor=c\nname=x\nversion=1\ntarget=x\nsdk=x\nplatforms=x\n""#;
    let error = opening(&[text]);
    assert!(matches!(error, Error::WrongAbi { found: 2, wanted: 1, .. }), "{error}");
}

#[test]
fn no_entry() {
    let error = opening(&["-DNO_ENTRY"]);
    assert!(matches!(error, Error::NoEntry { symbol: "salver_plugin_table", .. }), "{error}");
}

#[test]
fn a_symbol_that_no_library_has() {
    let error = opening(&["-DMISSING_SYMBOL"]);
    let Error::DoesNotOpen { what, .. } = &error else { panic!("{error}") };
    assert!(what.contains("a_symbol_that_no_library_has"), "{what}");
}

#[test]
fn bad_tables() {
    for (flag, wanted) in [
        ("-DNULL_TABLE", "it does not offer `salver.plugin/1`"),
        ("-DMISALIGNED_TABLE", "the plugin's is null or misaligned"),
        ("-DMISSING_FUNCTION", "the plugin's lacks a function"),
        ("-DNULL_PLATFORM", "platform 0 is null or misaligned"),
    ] {
        let error = opening(&[flag]);
        let Error::BadTable { what, .. } = &error else { panic!("{flag}: {error}") };
        assert_eq!(what, wanted);
    }
}

#[test]
fn a_note_that_its_tables_contradict() {
    let folder = tempfile::tempdir().unwrap();
    for (platforms, wanted) in [
        (r#"-DPLATFORMS="one,two""#, "it has 1 platforms, its note lists 2"),
        (r#"-DPLATFORMS="other""#, r#"platform 0 is called "nothing", the note lists "other""#),
    ] {
        let error = refused(&misbehaving("opening", &[r#"-DNAME="opening""#, platforms], folder.path()));
        let Error::BadTable { what, .. } = &error else { panic!("{error}") };
        assert_eq!(what, wanted);
        fs::remove_file(folder.path().join("opening.so")).unwrap();
    }
}

#[test]
fn a_start_that_fails() {
    let error = opening(&["-DFAILS_TO_START"]);
    assert!(matches!(error, Error::Start { .. }), "{error}");
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.to_status().message().ends_with("did not start: the device is not there"));
}

#[test]
fn another_layout() {
    // A field of a struct that is reached only through a table, a function, an argument and two pointers.
    let error = refused(&build_against("wrong-layout", &[("pub rank: u32", "pub rank: u64")]));
    let Error::Layout { place, found, wanted, .. } = &error else { panic!("{error}") };
    assert_eq!([place, found, wanted], ["Tensor.rank", "u64", "u32"]);
    assert!(error.to_string().len() < 500);
    // And of a table that not every plugin has.
    let error = refused(&build_against("wrong-memory", &[("pub amount: u64", "pub amount: i64")]));
    let Error::Layout { place, found, wanted, .. } = &error else { panic!("{error}") };
    assert_eq!([place, found, wanted], ["Quantity.amount", "i64", "u64"]);
}

#[test]
fn a_plugin_from_before_a_table_was_added_has_the_right_layout() {
    for (time, root) in [
        ("first", "PluginRoot { plugin_v1: table::<P> }.leak_into_prefix()"),
        (
            "second",
            "PluginRoot { plugin_v1: table::<P>, platform_memory_v1: memory::<P> }.leak_into_prefix()",
        ),
        (
            "third",
            "PluginRoot { plugin_v1: table::<P>, platform_memory_v1: memory::<P>, sources_v1: sources::<P> }\
             .leak_into_prefix()",
        ),
    ] {
        let of_then = |text: &str| text.replace("PluginRoot", &format!("{time}::PluginRoot"));
        let older = build_against(
            time,
            &[
                // It exports a root of its time, and has never heard of another.
                (
                    "fn root<P: RustPlugin>() -> PluginRootRef",
                    &of_then("fn root<P: RustPlugin>() -> PluginRootRef"),
                ),
                (ROOT, &of_then(root)),
                ("from_constructor::<PluginRootRef>", &of_then("from_constructor::<PluginRootRef>")),
                (
                    "__call_root_module_loader(root::<P>)",
                    &of_then("__call_root_module_loader::<PluginRootRef>(root::<P>)"),
                ),
            ],
        );
        // Its layout is let in, and then it has no functions.
        let error = refused(&older);
        let Error::BadTable { what, .. } = &error else { panic!("{error}") };
        assert_eq!(what, "the plugin's lacks a function");
    }
}

#[test]
fn a_plugin_from_after_a_table_was_added_has_the_right_layout() {
    let newer = build_against(
        "newer",
        &[
            (
                "    pub tensor_details_v1: extern \"C\" fn() -> *const TensorDetailsV1,\n}",
                "    pub tensor_details_v1: extern \"C\" fn() -> *const TensorDetailsV1,\n    \
                 pub stream_v1: extern \"C\" fn() -> *const PluginV1,\n}",
            ),
            ("tensor_details_v1: details::<P>,", "tensor_details_v1: details::<P>, stream_v1: table::<P>,"),
        ],
    );
    // Its layout is let in, and then it has no functions.
    let error = refused(&newer);
    let Error::BadTable { what, .. } = &error else { panic!("{error}") };
    assert_eq!(what, "the plugin's lacks a function");
}

/// How a plugin of today makes its root.
const ROOT: &str = "PluginRoot {
        plugin_v1: table::<P>,
        platform_memory_v1: memory::<P>,
        sources_v1: sources::<P>,
        tensor_details_v1: details::<P>,
    }
    .leak_into_prefix()";

/// Builds `wrong_layout.rs` against a copy of the ABI, called `name`, with these texts replaced.
fn build_against(name: &str, edits: &[(&str, &str)]) -> PathBuf {
    let plugins = plugins_folder();
    let root = plugins.parent().unwrap();
    // Kept from run to run, with a target directory of its own: two packages of one name do not go well in one.
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (abi, plugin) = (copy.join("abi"), copy.join("plugin"));
    fs::create_dir_all(abi.join("src")).unwrap();
    fs::create_dir_all(&plugin).unwrap();

    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let settings = &manifest[manifest.find("[workspace.package]").unwrap()..];
    let workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"abi\", \"plugin\"]\n\n";
    write(&copy.join("Cargo.toml"), &format!("{workspace}{settings}").replace("\"plugins/abi\"", "\"abi\""));
    if !copy.join("Cargo.lock").exists() {
        fs::copy(root.join("Cargo.lock"), copy.join("Cargo.lock")).unwrap();
    }
    let manifest = fs::read_to_string(plugins.join("abi/Cargo.toml")).unwrap();
    let (before, after) = manifest.split_once("[dev-dependencies]").unwrap();
    write(&abi.join("Cargo.toml"), &format!("{before}{}", &after[after.find("[lints]").unwrap()..]));
    let mut left: Vec<_> = edits.iter().collect();
    for file in fs::read_dir(plugins.join("abi/src")).unwrap() {
        let file = file.unwrap();
        let mut text = fs::read_to_string(file.path()).unwrap();
        left.retain(|(before, _)| !text.contains(before));
        for (before, after) in edits {
            text = text.replace(before, after);
        }
        write(&abi.join("src").join(file.file_name()), &text);
    }
    assert!(left.is_empty(), "nowhere in the ABI: {left:?}");
    let source = plugins.join("misbehaving/wrong_layout.rs");
    write(
        &plugin.join("Cargo.toml"),
        &format!(
            "[package]\nname = \"wrong-layout\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [lib]\ncrate-type = [\"cdylib\"]\npath = {source:?}\n\n\
             [dependencies]\nsalver-plugins-abi.workspace = true\n"
        ),
    );
    let target = copy.join("target");
    build(&["--package", "wrong-layout", "--offline", "--target-dir", target.to_str().unwrap()], &copy)
}

/// Writes a file unless it has this text already, so that nothing is built again for its date.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return;
    }
    fs::write(path, text).unwrap();
}
