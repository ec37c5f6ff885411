//! Benchmarks that print their figure beside the promise.
//!
//! `salver-benches [NAME]...` runs the benchmarks named, or all of them. What is compared is measured in the same run,
//! in rounds that take turns, so that whatever else the machine does falls on both; figures are medians with the
//! least and the most in brackets. A missed promise is a finding, and not an error.

#![expect(clippy::print_stdout, reason = "its output is for the person at the terminal")]

mod batching;
mod boundary;
mod built;
mod client;
mod dispatch;
mod figures;
mod load;
mod lookup;
mod machine;
mod messages;
mod models;
mod platforms;
mod process;
mod serve;
mod swap;

use std::process::ExitCode;

use figures::Promise;

/// A benchmark: prints what it finds, and returns what was promised of it.
type Bench = fn() -> anyhow::Result<Vec<Promise>>;

const BENCHES: [(&str, Bench); 7] = [
    ("lookup", lookup::run),
    ("dispatch", dispatch::run),
    ("boundary", boundary::run),
    ("batching", batching::run),
    ("platforms", platforms::run),
    ("serve", serve::run),
    ("swap", swap::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [flag, rest @ ..] if flag == serve::CHILD_FLAG => serve::child(rest),
        names => run(names),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is what a person sees whose benchmark could not run")]
fn eprint(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

fn run(names: &[String]) -> anyhow::Result<()> {
    let known = BENCHES.map(|(name, _)| name);
    if let Some(stranger) = names.iter().find(|name| !known.contains(&name.as_str())) {
        anyhow::bail!("there is no benchmark `{stranger}`; there are: {}", known.join(", "));
    }
    machine::print();
    for (name, bench) in BENCHES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("\n{name}");
            for promise in bench()? {
                println!("{promise}");
            }
        }
    }
    Ok(())
}
