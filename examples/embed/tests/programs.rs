//! Runs both programs to their end.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::process::Command;

/// What a program says, which must end well.
fn run(program: &str, flags: &[&str]) -> String {
    let output = Command::new(program).args(flags).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn a_hash_map_is_served_while_its_next_version_arrives() {
    let said = run(env!("CARGO_BIN_EXE_hash_map"), &[]);
    let lines: Vec<_> = said.lines().collect();
    let [first, second, held, gone, end] = lines[..] else { panic!("{said}") };
    assert_eq!(first, r#"capitals:1: Some("Almaty")"#);
    assert!(second.starts_with(r#"capitals:2: Some("Astana"), after "#), "{second}");
    assert_eq!(held, r#"capitals:1 is still there for who holds it: Some("Almaty")"#);
    assert_eq!(gone, "capitals:1 is unloaded now that nobody does");
    assert_eq!(end, "everything is unloaded: true");
}

#[test]
fn a_server_with_a_platform_of_its_own_answers() {
    let said = run(env!("CARGO_BIN_EXE_server"), &["--once"]);
    let lines: Vec<_> = said.lines().collect();
    let [listening, answer, end] = lines[..] else { panic!("{said}") };
    assert!(listening.starts_with("listening on 127.0.0.1:"), "{listening}");
    let answer: String = answer.split_whitespace().collect();
    assert_eq!(answer, r#"2*3+1:{"predictions":[7.0]}"#);
    assert_eq!(end, "ended: Drained");
}
