//! A case, and how it ended.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Subject;

/// Something that every platform must do.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is called, in lower case with dashes.
    pub name: &'static str,
    /// What the platform must do, in a sentence.
    pub promise: &'static str,
    pub(crate) body: fn(&Subject<'_>) -> Result<(), Fault>,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The platform does it.
    Passed,
    /// The platform does not; why, in a sentence.
    Failed(String),
    /// The case does not apply, or cannot be run; why, in a sentence.
    Skipped(String),
}

/// Why a case ended before its end.
#[derive(Debug)]
pub(crate) enum Fault {
    Failed(String),
    Skipped(String),
}

/// Ends a case that fails.
macro_rules! fail {
    ($($what:tt)*) => {
        return Err($crate::case::Fault::Failed(format!($($what)*)))
    };
}
pub(crate) use fail;

/// A temporary folder or file could not be made.
impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Fault::Failed(format!("the case could not be prepared: {error}"))
    }
}

impl Case {
    /// Runs the case. May take seconds, and as long as the platform's loads and runs do.
    pub fn run(&self, subject: &Subject<'_>) -> Outcome {
        if let Some((_, reason)) = subject.ignored.iter().find(|(name, _)| *name == self.name) {
            return Outcome::Skipped((*reason).to_owned());
        }
        // Nothing of the subject is used again that a panic could have left in pieces: models are loaded for each case.
        match catch_unwind(AssertUnwindSafe(|| (self.body)(subject))) {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(Fault::Failed(why))) => Outcome::Failed(why),
            Ok(Err(Fault::Skipped(why))) => Outcome::Skipped(why),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text");
                Outcome::Failed(format!("the platform panicked: {text}"))
            }
        }
    }
}

/// Every case, in the order in which they are best read.
pub fn cases() -> &'static [Case] {
    crate::cases::ALL
}

/// Runs every case, and returns a line for each that did not pass, such as `skipped strings: why`: for a platform's own
/// tests, which say what they expect to be skipped.
pub fn exceptions(subject: &Subject<'_>) -> Vec<String> {
    let exception = |case: &Case| match case.run(subject) {
        Outcome::Passed => None,
        Outcome::Failed(why) => Some(format!("failed {}: {why}", case.name)),
        Outcome::Skipped(why) => Some(format!("skipped {}: {why}", case.name)),
    };
    cases().iter().filter_map(exception).collect()
}
