//! End-to-end tests: the real binary, talked to by real clients.
//!
//! A test takes the [`Bundle`] under test, lays out a [`Repository`] of models, starts a [`Server`] on a port of its own,
//! and asks it through [`Http`], tonic's generated clients or a socket. Everything is on the loopback interface and in
//! temporary folders, so tests run side by side. Nothing sleeps: a test waits for a line of the server's log, or for an
//! answer, and gives up after [`PATIENCE`].

mod bundle;
mod echo;
mod grpc;
mod http_client;
mod log;
mod pytest;
mod repository;
mod server;

pub use bundle::{Bundle, python, root, skip};
pub use echo::{HELD, TAGGED, echo_of};
pub use grpc::{Grpc, Reply, fp32_infer, fp32_predict, fp32_values};
pub use http_client::{Answer, Http};
pub use log::Log;
pub use pytest::{check_pytest, pytest};
pub use repository::{Repository, copy};
pub use server::Server;

use std::time::Duration;

/// How long a test waits for what should happen at once. Generous: it is a test's failure, and machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
