//! Operators of a library of one's own.
#![cfg(test)]

mod common;

use std::process::Command;

use common::{fixtures, library, load_fixture, options, run, tensor, text, with};
use salver_core_status::Code;

#[test]
fn a_model_has_the_operators_of_the_libraries_that_its_options_name() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let operators = folder.path().join("operators.so");
    let source = fixtures().join("operators.c");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&operators, &source]).status();
    assert!(made.unwrap().success());
    let options = options(&library);
    let load = |libraries: &str| {
        load_fixture("operator.onnx", &with(&options, "operator_libraries", text(libraries)))
    };
    let x = tensor(&[3], vec![1f32, -2.0, 0.5]);
    // More than once: each session opens it, and closes it.
    for _ in 0..2 {
        let model = load(operators.to_str().unwrap()).unwrap();
        assert_eq!(run(&*model, &[("x", &x)], &[]).unwrap(), [tensor(&[3], vec![2f32, -4.0, 1.0])]);
    }

    let without = load_fixture("operator.onnx", &options).err().unwrap();
    assert!(without.message().contains("test.salver"), "{without}");
    let missing = load("none.so").err().unwrap();
    assert_eq!(missing.code(), Code::FailedPrecondition);
    assert!(missing.message().contains("option `operator_libraries`: there is no file `"), "{missing}");
    // Beside the model, and no library at all.
    let wrong = load("operators.c").err().unwrap();
    assert!(
        wrong.message().contains("operators.c") && wrong.message().contains("invalid ELF header"),
        "{wrong}"
    );
}
