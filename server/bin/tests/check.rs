//! `salver plugin check`, of plugins that do one thing wrong.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A library of `plugins/SOURCE`, compiled into `folder`.
fn compile(source: &str, flags: &[&str], folder: &Path) -> PathBuf {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let library = folder.join("plugin.so");
    let mut compiler = Command::new("cc");
    compiler.args([
        "-std=c11",
        "-D_DEFAULT_SOURCE",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O1",
        "-shared",
        "-fPIC",
        "-pthread",
    ]);
    compiler.args(flags).arg("-I").arg(plugins.join("c")).arg("-o").arg(&library).arg(plugins.join(source));
    let output = compiler.output().expect("a C compiler called `cc`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

fn check(library: &Path, arguments: &[&str]) -> Output {
    let mut salver = Command::new(env!("CARGO_BIN_EXE_salver"));
    salver.args(["plugin", "check"]).arg(library).args(arguments).output().unwrap()
}

/// The lines of a report whose first word is this one, with their spaces made one.
fn lines(output: &Output, word: &str) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| line.starts_with(word)).collect()
}

/// Checks `checked.c` with a fault and a model, and returns what did not pass and was not skipped.
fn faults(fault: &str, more: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let library = compile("misbehaving/checked.c", &[&format!("-D{fault}")], folder.path());
    let model = folder.path().join("model");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("value.txt"), "7").unwrap();
    let output = check(&library, &[&["--model", model.to_str().unwrap()], more].concat());
    let found = [lines(&output, "failed"), lines(&output, "crashed")].concat();
    assert_eq!(output.status.code(), Some(i32::from(!found.is_empty())), "{output:?}");
    assert!(lines(&output, "passed").len() > 8, "{output:?}");
    found
}

#[test]
fn a_plugin_without_a_fault_passes() {
    assert_eq!(faults("NOTHING", &[]), [""; 0]);
}

#[test]
fn the_smallest_plugin_in_c_passes_and_the_report_is_json_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile("c/example/scale.c", &[], folder.path());
    let model = folder.path().join("model");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("scale.txt"), "2 1").unwrap();
    let output = check(&library, &["--json", "--model", model.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["good"], &report["plugin"]), (&true.into(), &"minimal-c 0.1.0".into()));
    let cases = report["cases"].as_array().unwrap();
    let passed = cases.iter().filter(|case| case["result"] == "passed").count();
    assert!(passed >= 14, "{report}");
    assert_eq!((&cases[0]["platform"], &cases[0]["case"]), (&"scale".into(), &"opens".into()));
}

#[test]
fn a_crash_takes_its_case_with_it_and_no_other() {
    assert_eq!(faults("CRASHES", &[]), ["crashed no-model crashed with signal 11 in case `no-model`"]);
}

#[test]
fn nonsense_is_told_in_the_words_of_the_host() {
    let found = faults("NONSENSE", &[]);
    let declared = found.iter().find(|line| line.starts_with("failed declared-outputs")).unwrap();
    assert!(
        declared.contains("does not answer: plugin `checked`, running model `conformance:1`"),
        "{declared}"
    );
}

#[test]
fn threads_that_nobody_allowed_are_counted() {
    let found = faults("THREADS", &[]);
    let [threads] = &found[..] else { panic!("{found:?}") };
    assert!(threads.starts_with("failed threads 8 models start 512 threads, 512 are there"), "{threads}");
}

#[test]
fn a_case_that_does_not_end_is_ended() {
    assert_eq!(faults("HANGS", &["--timeout", "5"]), ["failed no-model did not end within 5 s"]);
}

#[test]
fn a_plugin_that_ends_the_process_has_not_passed() {
    assert_eq!(faults("ENDS", &[]), ["failed no-model the plugin ended the process, with exit status: 0"]);
}

#[test]
fn what_is_no_plugin_or_has_no_such_platform_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.so");
    std::fs::write(&file, "notes").unwrap();
    let output = check(&file, &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("cannot be used: ") && told.contains("is not an ELF file"), "{told}");

    let library = compile("c/example/scale.c", &[], folder.path());
    let output = check(&library, &["--platform", "other"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("there is no platform `other`; there are: `scale`"), "{told}");
}

#[test]
fn a_model_is_loaded_with_the_settings_given_and_those_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("1");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("value.txt"), "x").unwrap();
    let library = compile("misbehaving/checked.c", &[], folder.path());
    let arguments = ["--model", model.to_str().unwrap(), "--platform-option"];
    let failed = |option: &str| lines(&check(&library, &[&arguments, &[option][..]].concat()), "failed");
    assert!(failed("checked.seven=0")[0].ends_with("`value.txt` does not hold a digit"));
    assert_eq!(failed("checked.seven=7"), [""; 0]);
    assert!(failed("other.seven=7")[0].ends_with("`value.txt` does not hold a digit"));
    std::fs::write(folder.path().join("model.toml"), "options = { seven = 7 }").unwrap();
    assert_eq!(failed("checked.seven=0"), [""; 0]);
    std::fs::write(folder.path().join("model.toml"), "optoins = {}").unwrap();
    assert!(failed("checked.seven=7")[0].contains("unknown field `optoins`"));
}

#[test]
fn without_a_model_what_needs_one_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let output = check(&compile("c/example/scale.c", &[], folder.path()), &[]);
    assert!(output.status.success(), "{output:?}");
    let passed: Vec<_> =
        lines(&output, "passed").iter().filter_map(|line| Some(line.split(' ').nth(1)?.to_owned())).collect();
    assert_eq!(passed, ["opens", "foreign-directory", "no-model"]);
    assert!(lines(&output, "skipped").contains(&"skipped memory needs a model".to_owned()));
}

#[test]
fn sources_are_made_and_ended_with_the_settings_given() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile("misbehaving/sources.c", &["-Wno-unused"], folder.path());
    let output = check(&library, &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(lines(&output, "source"), ["source `wrong`"]);
    assert_eq!(lines(&output, "passed"), ["passed opens the plugin opens, and has the source"]);
    assert_eq!(lines(&output, "skipped").len(), 1, "nothing was said to make one with");
    assert_eq!(lines(&check(&library, &["--source=wrong:say=both"]), "passed").len(), 2);
    let refused = check(&library, &["--source=wrong:say=refuse"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        lines(&refused, "failed"),
        ["failed makes and ends it is not made: there is nothing to watch"]
    );
    let other = check(&library, &["--source=other"]);
    assert_eq!(
        lines(&other, "cannot be used"),
        ["cannot be used: there is no source `other`; there are: `wrong`"]
    );
    let mut inspect = Command::new(env!("CARGO_BIN_EXE_salver"));
    let inspected = inspect.args(["plugin", "inspect"]).arg(&library).output().unwrap();
    assert_eq!(lines(&inspected, "sources"), ["sources wrong"]);
    assert_eq!(lines(&inspected, "platforms"), [""; 0]);
}
