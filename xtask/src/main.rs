//! Everything a person or a CI job runs in this repository.
//!
//! One file per command; what several of them need is in [`workspace`], [`cache`], [`hash`], [`libraries`] and
//! [`python`]. The heavy half, code generation, is a crate of its own, so that this one is built in seconds.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is for the person at the terminal"
)]

mod bench;
mod bundle;
mod cache;
mod codegen;
mod demo;
mod fetch;
mod hash;
mod libraries;
mod loom;
mod new_plugin;
mod python;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything a person or a CI job runs in this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch framework libraries into the cache; what is there already is not asked for again
    Fetch(fetch::Args),
    /// Make a folder that runs on another machine: the server, plugins, libraries, licences and a manifest
    Bundle(bundle::Args),
    /// Build, fetch, serve the sample digits and say how to ask for them
    Demo(demo::Args),
    /// Write a folder that is a platform plugin already, to be made into another
    NewPlugin(new_plugin::Args),
    /// What `demo` leaves running until the server is ready
    #[command(hide = true)]
    Announce(demo::AnnounceArgs),
    /// Run every test, from units to the packed server and its real clients
    Test(test::Args),
    /// Run the loom models: what is shared without locks, in every order that threads can take
    Loom,
    /// Check what the compiler does not: who depends on whom, descriptions, unsafe, sleeps in tests
    Tidy,
    /// Generate the committed code
    Codegen(codegen::Args),
    /// Measure, and print each figure beside its promise
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Fetch(args) => fetch::run(&args),
        Task::Bundle(args) => bundle::run(&args),
        Task::Demo(args) => demo::run(&args),
        Task::NewPlugin(args) => new_plugin::run(&args),
        Task::Announce(args) => demo::announce(&args),
        Task::Test(args) => test::run(&args),
        Task::Loom => loom::run(),
        Task::Tidy => tidy::run(),
        Task::Codegen(args) => codegen::run(&args),
        Task::Bench(args) => bench::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
