//! What is remembered of one model from look to look, and what follows from it. Pure: asking is somebody else's.
//!
//! A look goes: [`Model::begin`] with the names of the folders; then, as long as [`Model::next`] names a version,
//! [`Model::observe`] with what is in it; then [`Model::end`].

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant, SystemTime};

use object_store::path::Path;
use salver_core_loader::Aspired;
use salver_core_servable::Version;
use salver_core_status::{Quoted, Status};
use salver_manager_source_file::{ModelPolicy, VersionPolicy, parse_version};

use crate::RemoteVersion;

/// One model.
#[derive(Debug, Default)]
pub(crate) struct Model {
    seen: BTreeMap<Version, Seen>,
    /// What was asked for last.
    aspired: Vec<Aspired<RemoteVersion>>,
    /// Whether the store ever answered, be it that there is nothing.
    was_answered: bool,
}

/// One version that was there at the last look.
#[derive(Debug)]
struct Seen {
    folder: Path,
    /// Whether it was there before anybody watched.
    was_first: bool,
    /// Whether it was looked into in this look.
    is_observed: bool,
    /// How it was when it was last looked into, and since when.
    present: Option<(u64, Instant)>,
    /// How it was when it was last complete, as far as one can tell.
    taken: Option<(u64, Result<RemoteVersion, Status>)>,
}

/// What is in a version's folder: its objects, or what is wrong with them, whoever looks.
pub(crate) enum Sight {
    /// Nothing, or not the object that says it is complete.
    Incomplete,
    Complete,
    /// No more than that there are objects.
    Objects,
}

/// The time of a look, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    /// What objects' times are compared with.
    pub(crate) wall: SystemTime,
}

/// What a look came to.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) versions: Vec<Aspired<RemoteVersion>>,
    /// When another look may find at rest what still changes.
    pub(crate) settles: Option<Instant>,
    /// What a person should know, as long as it holds.
    pub(crate) notices: BTreeSet<String>,
}

impl Model {
    /// A model that nobody looked at. `is_new`: it appeared while its place was being watched.
    pub(crate) fn new(is_new: bool) -> Self {
        Self { was_answered: is_new, ..Self::default() }
    }

    /// Takes in that there is nothing: what appears from now on is new.
    pub(crate) fn nothing(&mut self) {
        self.was_answered = true;
    }

    /// Takes in which folders there are, ordered. Returns a sentence for each version that is there twice.
    pub(crate) fn begin(&mut self, folders: Vec<(String, Path)>) -> BTreeSet<String> {
        let mut duplicates = BTreeSet::new();
        let mut versions = BTreeMap::new();
        for (name, folder) in folders {
            let Some(version) = parse_version(&name) else { continue };
            if let Some(other) = versions.insert(version, folder) {
                let (used, unused) = (Quoted(&name), Quoted(other.filename().unwrap_or_default()));
                duplicates.insert(format!("{used} is used, and {unused}, of the same version, is not"));
            }
        }
        self.seen.retain(|version, seen| versions.get(version) == Some(&seen.folder));
        for (version, folder) in versions {
            let was_first = !self.was_answered;
            let new = Seen { folder, was_first, is_observed: false, present: None, taken: None };
            self.seen.entry(version).or_insert(new).is_observed = false;
        }
        self.was_answered = true;
        duplicates
    }

    /// The next version to look into, newest first; `None` when enough are known.
    pub(crate) fn next(&self, policy: &VersionPolicy) -> Option<(Version, &Path)> {
        let maybe = self.seen.iter().filter(|(_, seen)| !seen.is_observed || seen.taken.is_some());
        let chosen = policy.choose(maybe.map(|(version, _)| *version).collect());
        chosen.into_iter().rev().find_map(|version| {
            let seen = self.seen.get(&version)?;
            (!seen.is_observed).then_some((version, &seen.folder))
        })
    }

    /// Takes in what is in the folder of one version.
    pub(crate) fn observe(
        &mut self,
        version: Version,
        found: Result<RemoteVersion, Status>,
        sight: &Sight,
        settle: Duration,
        now: Now,
    ) {
        let Some(seen) = self.seen.get_mut(&version) else { return };
        seen.is_observed = true;
        let revision = match &found {
            Ok(version) => version.remote().revision(),
            Err(status) => hash_of(status.message()),
        };
        let is_complete = match sight {
            Sight::Incomplete => {
                // What was taken stays, whatever becomes of it.
                seen.present = None;
                return;
            }
            Sight::Complete => true,
            Sight::Objects => match seen.present {
                Some((before, since)) if before == revision => now.instant.duration_since(since) >= settle,
                Some(_) => settle.is_zero(),
                None => settle.is_zero() || (seen.was_first && is_old(&found, settle, now.wall)),
            },
        };
        if seen.present.is_none_or(|(before, _)| before != revision) {
            seen.present = Some((revision, now.instant));
        }
        let is_known = seen.taken.as_ref().is_some_and(|(taken, _)| *taken == revision);
        if is_complete && !is_known {
            seen.taken = Some((revision, found));
        }
    }

    /// Which versions there should be.
    pub(crate) fn end(&mut self, policy: &ModelPolicy, settle: Duration) -> Found {
        let mut notices = BTreeSet::new();
        let all: Vec<_> = self.seen.keys().copied().collect();
        if all.is_empty() {
            notices.insert("no version is there: nothing to load".to_owned());
        }
        notices.extend(self.missing(&policy.versions));

        let taken = self.seen.iter().filter(|(_, seen)| seen.is_observed && seen.taken.is_some());
        let chosen = policy.versions.choose(taken.map(|(version, _)| *version).collect());
        let is_pending = chosen.is_empty() && !policy.versions.choose(all).is_empty();
        let is_kept = chosen.is_empty() && policy.keep_last && !self.aspired.is_empty();
        if is_kept && !is_pending {
            notices.insert("the last versions stay loaded until there are others".to_owned());
        }
        // Until what is being stored is complete, what was before stays: how a version moved to the next number is
        // taken without a gap.
        if !is_pending && !is_kept {
            let aspire = |version: &Version| {
                let (revision, data) = self.seen.get(version)?.taken.clone()?;
                let revision = hash_of((revision, policy.revision));
                Some(Aspired { version: *version, revision, data })
            };
            self.aspired = chosen.iter().filter_map(aspire).collect();
        }
        let settles = self.seen.values().filter_map(|seen| seen.settles(settle)).min();
        Found { versions: self.aspired.clone(), settles, notices }
    }

    /// A sentence for each version that is asked for by number and is not there.
    fn missing(&self, policy: &VersionPolicy) -> Vec<String> {
        let VersionPolicy::Specific(wanted) = policy else { return Vec::new() };
        if wanted.is_empty() {
            return vec!["the policy asks for specific versions and names none: nothing to load".to_owned()];
        }
        let missing = wanted.iter().filter(|version| !self.seen.contains_key(version));
        missing.map(|version| format!("version {version} is asked for and is not there")).collect()
    }
}

impl Seen {
    /// When it will have been unchanged for long enough, if it is not taken as it is.
    fn settles(&self, settle: Duration) -> Option<Instant> {
        let (present, since) = self.present.filter(|_| self.is_observed)?;
        let is_taken = self.taken.as_ref().is_some_and(|(taken, _)| *taken == present);
        (!is_taken).then(|| since + settle)
    }
}

/// Whether nothing changed lately, by the times that the store tells: what is there at the first look may still be
/// on its way.
fn is_old(found: &Result<RemoteVersion, Status>, settle: Duration, now: SystemTime) -> bool {
    let Ok(version) = found else { return true };
    let mut times = version.remote().objects.iter().filter_map(|object| object.modified);
    times.all(|time| now.duration_since(time).is_ok_and(|age| age >= settle))
}

fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
