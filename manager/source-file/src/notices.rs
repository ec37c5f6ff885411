//! What a person should know about one place, said once and not at every scan.

use std::collections::BTreeSet;

/// The notices that hold at present about one model or repository.
#[derive(Debug, Default)]
pub(crate) struct Notices(BTreeSet<String>);

impl Notices {
    /// Takes in what holds now: what is new is logged as a warning, and that all is well again as information.
    pub(crate) fn replace(&mut self, subject: &str, now: BTreeSet<String>) {
        for notice in now.difference(&self.0) {
            tracing::warn!(subject, "{notice}");
        }
        if now.is_empty() && !self.0.is_empty() {
            tracing::info!(subject, "in order again");
        }
        self.0 = now;
    }

    #[cfg(test)]
    pub(crate) fn shown(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}
