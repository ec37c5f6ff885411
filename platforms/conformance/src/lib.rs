//! What every platform must do, as cases that are run against any of them.
//!
//! The cases are written once over [`Platform`](salver_core_platform::Platform), so that they run on a platform in this
//! process, on one behind the plugin interface, and in `salver plugin check`. A [`Subject`] is a platform and what the
//! cases need to know of it; [`cases`] are the cases; [`Case::run`] runs one, and a panic in it is a failure of its own.
//!
//! Cases that count threads and memory look at the whole process: run nothing else in it meanwhile.
//!
//! ```no_run
//! # fn check(subject: &salver_platforms_conformance::Subject<'_>) {
//! for case in salver_platforms_conformance::cases() {
//!     println!("{}: {:?}", case.name, case.run(subject));
//! }
//! # }
//! ```

mod case;
mod cases;
mod inputs;
mod process;
mod subject;
mod tolerance;

pub use case::{Case, Outcome, cases, exceptions};
pub use subject::{Identity, Subject};
pub use tolerance::Tolerance;
