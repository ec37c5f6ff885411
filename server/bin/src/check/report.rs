//! What is printed of a check.

use std::io::{Result, Write as _};
use std::path::Path;

use salver_plugins_host::Inspection;
use serde_json::json;

use crate::check::within::Of;

/// How a case ended, as seen from outside its process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Passed,
    Failed(String),
    Crashed {
        signal: i32,
        /// Nothing, or a word on when, for the end of the sentence.
        when: &'static str,
    },
    Skipped(String),
}

/// A case of a platform or a source, and how it ended.
pub(super) struct Verdict {
    /// `platform` or `source`.
    kind: &'static str,
    name: String,
    case: &'static str,
    promise: &'static str,
    ending: Ending,
}

impl Verdict {
    pub(super) fn new(of: &Of<'_>, case: &'static str, promise: &'static str, ending: Ending) -> Self {
        let (kind, name) = match of {
            Of::Platform(name) => ("platform", (*name).to_owned()),
            Of::Source(entry) => ("source", entry.name.clone()),
        };
        Self { kind, name, case, promise, ending }
    }

    /// One word, and what there is to say.
    fn words(&self) -> (&'static str, String) {
        match &self.ending {
            Ending::Passed => ("passed", self.promise.to_owned()),
            Ending::Failed(why) => ("failed", why.clone()),
            Ending::Crashed { signal, when } => {
                let case = self.case;
                ("crashed", format!("crashed with signal {signal} in case `{case}`{when}"))
            }
            Ending::Skipped(why) => ("skipped", why.clone()),
        }
    }

    fn is_good(&self) -> bool {
        matches!(self.ending, Ending::Passed | Ending::Skipped(_))
    }
}

/// All of them.
pub(super) struct Report {
    /// The plugin's file.
    file: String,
    /// Its name and version; or why it cannot be used.
    plugin: std::result::Result<String, String>,
    verdicts: Vec<Verdict>,
}

impl Report {
    pub(super) fn new(inspection: &Inspection) -> Self {
        let Inspection { path, name, version, .. } = inspection;
        let file = path.display().to_string();
        Self { file, plugin: Ok(format!("{name} {version}")), verdicts: Vec::new() }
    }

    pub(super) fn of_unusable(file: &Path, why: String) -> Self {
        Self { file: file.display().to_string(), plugin: Err(why), verdicts: Vec::new() }
    }

    pub(super) fn add(&mut self, verdict: Verdict) {
        self.verdicts.push(verdict);
    }

    /// Whether nothing failed.
    pub(super) fn is_good(&self) -> bool {
        self.plugin.is_ok() && self.verdicts.iter().all(Verdict::is_good)
    }

    /// How many ended with this word.
    fn count(&self, word: &str) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.words().0 == word).count()
    }

    /// Prints it for people.
    pub(super) fn print(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let plugin = match &self.plugin {
            Ok(plugin) => plugin,
            Err(why) => return writeln!(out, "{}\n  cannot be used: {why}", self.file),
        };
        writeln!(out, "{}: {plugin}", self.file)?;
        let mut heading = ("", "");
        for verdict in &self.verdicts {
            let of = (verdict.kind, verdict.name.as_str());
            if of != heading {
                heading = of;
                writeln!(out, "{} `{}`", verdict.kind, verdict.name)?;
            }
            let (word, text) = verdict.words();
            writeln!(out, "  {word:<8} {:<22} {text}", verdict.case)?;
        }
        let counts =
            ["passed", "failed", "crashed", "skipped"].map(|word| format!("{} {word}", self.count(word)));
        writeln!(out, "{}", counts.join(", "))
    }

    /// Prints it for programs.
    pub(super) fn print_json(&self) -> Result<()> {
        let cases = self.verdicts.iter().map(|verdict| {
            let (result, text) = verdict.words();
            let Verdict { kind, name, case, .. } = verdict;
            json!({ *kind: name, "case": case, "result": result, "text": text })
        });
        let report = json!({
            "file": self.file,
            "plugin": self.plugin.as_ref().ok(),
            "error": self.plugin.as_ref().err(),
            "good": self.is_good(),
            "cases": cases.collect::<Vec<_>>(),
        });
        writeln!(std::io::stdout().lock(), "{report}")
    }
}
