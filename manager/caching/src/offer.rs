//! Versions that come to a stream and go from it, where somebody tells.

use std::collections::BTreeSet;
use std::time::Instant;

use salver_core_servable::{ServableId, StreamName, Version};

use crate::cache::Cache;
use crate::entry::Command;

/// Versions of one stream that are not offered any more, and not gone yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retiring {
    versions: BTreeSet<Version>,
    /// Whether they go before another one is there.
    at_once: bool,
}

impl<L, W> Cache<L, W> {
    /// A stream has these versions from now on, and no others.
    pub(crate) fn offer(
        &mut self,
        name: &StreamName,
        offered: BTreeSet<Version>,
        at_once: bool,
        now: Instant,
    ) -> Vec<Command<L, W>> {
        self.failures.forget_stream(name);
        self.latest.remove(name);
        if self.has_question(name) {
            self.outdated.insert(name.clone());
        }
        let here = self.of_stream(name).map(|(id, _)| id.version);
        let versions: BTreeSet<_> = here.filter(|version| !offered.contains(version)).collect();
        let at_once = at_once || offered.is_empty();
        if versions.is_empty() {
            self.retiring.remove(name);
        } else {
            self.retiring.insert(name.clone(), Retiring { versions, at_once });
        }
        // Asked first: with what goes at once the knowledge would go that the stream is in use.
        if !offered.is_empty() && self.has(name) {
            self.ask_latest(name, None, now);
        }
        self.retire(name);
        self.fill(now);
        self.take_commands()
    }

    /// Lets those go that are not offered any more, where they go at once or requests find another one already.
    pub(crate) fn retire(&mut self, name: &StreamName) {
        let Some(retiring) = self.retiring.get(name) else { return };
        let is_succeeded = self.labelled.get(name).is_some_and(|found| !retiring.versions.contains(found));
        if !retiring.at_once && !is_succeeded {
            return;
        }
        for version in retiring.versions.clone() {
            // What is still on its way goes when it has come.
            self.put_out(&ServableId::new(name.clone(), version));
        }
    }

    /// A version has no entry any more.
    pub(crate) fn is_gone(&mut self, id: &ServableId) {
        if let Some(retiring) = self.retiring.get_mut(&id.name) {
            retiring.versions.remove(&id.version);
            if retiring.versions.is_empty() {
                self.retiring.remove(&id.name);
            }
        }
    }
}
