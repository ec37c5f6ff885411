//! What every source must do.

use std::path::PathBuf;
use std::sync::Arc;

use salver_core_loader::{AspiredVersions, Source as _, Target};
use salver_platforms_conformance::Outcome;
use salver_plugins_host::SourceKind;
use salver_server_config::SourceEntry;

/// The case before the other: the plugin opens, and has the source.
pub(super) const OPENS: &str = "opens";

/// The cases of a source, each with what it promises.
pub(super) const CASES: [(&str, &str); 2] =
    [(OPENS, "the plugin opens, and has the source"), (ENDS, "sources are made and ended, time after time")];

const ENDS: &str = "makes and ends";

/// How many sources are made and ended.
const ROUNDS: usize = 20;

/// Hears, and does nothing.
struct Nobody;

impl Target<PathBuf> for Nobody {
    fn set_aspired(&self, _aspired: AspiredVersions<PathBuf>) {}
}

/// Runs a case. A source that does not end is seen from outside, by the time it takes.
pub(super) fn run(kind: &SourceKind, case: &str, entry: &SourceEntry) -> Outcome {
    match case {
        OPENS if kind.description().trim().is_empty() => Outcome::Failed("it has no description".to_owned()),
        OPENS => Outcome::Passed,
        ENDS if entry.options.iter().len() == 0 => Outcome::Skipped(
            "no settings to make one with were given: `--source NAME:OPTION=VALUE`".to_owned(),
        ),
        ENDS => {
            for _ in 0..ROUNDS {
                match kind.create(&entry.options) {
                    Ok(mut source) => source.connect(Arc::new(Nobody)),
                    Err(status) => return Outcome::Failed(format!("it is not made: {status}")),
                }
            }
            Outcome::Passed
        }
        other => Outcome::Failed(format!("there is no case `{other}`")),
    }
}
