//! What is remembered of one model from look to look.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use salver_core_loader::Aspired;
use salver_core_servable::Version;
use salver_core_status::{Quoted, Status};

use crate::files::Files;
use crate::listing::{self, shown};
use crate::notices::Notices;
use crate::settling::{Settling, Sight};
use crate::{ModelDir, ModelPolicy, VersionPath, VersionPolicy};

/// One model.
#[derive(Debug, Default)]
pub(crate) struct Model {
    seen: BTreeMap<Version, Seen>,
    pub(crate) notices: Notices,
}

/// One version that was there at the last look.
#[derive(Debug)]
struct Seen {
    path: PathBuf,
    settling: Settling,
    /// Whether it was ever complete, as far as one can tell; from then on it may be asked for.
    is_taken: bool,
}

/// What a look at a model goes by.
pub(crate) struct Brief<'a> {
    pub(crate) dir: &'a ModelDir,
    pub(crate) policy: &'a ModelPolicy,
    pub(crate) settle: Duration,
    /// Whether what is there was there before anybody watched.
    pub(crate) is_first: bool,
    /// What was asked for last.
    pub(crate) before: &'a [Aspired<VersionPath>],
}

/// What a look at a model found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Which versions there should be.
    pub(crate) versions: Vec<Aspired<VersionPath>>,
    /// When another look may find at rest what still changes.
    pub(crate) settles: Option<Instant>,
}

impl Model {
    /// Finds out which versions there should be. `look` looks at the files of one version.
    ///
    /// # Errors
    /// The base path cannot be listed; see [`listing::subfolders`].
    pub(crate) fn scan(
        &mut self,
        brief: &Brief<'_>,
        files: &dyn Files,
        look: &mut dyn FnMut(&Path) -> Sight,
    ) -> Result<Found, Status> {
        let base_path = &brief.dir.base_path;
        let listed = listing::versions(files.subfolders(base_path)?);
        let mut notices = BTreeSet::from_iter(listed.duplicates);
        if listed.paths.is_empty() {
            notices.insert(format!("no version in {}: nothing to load", shown(base_path)));
        }
        self.take_in(listed.paths, brief.is_first);

        let mut settles = None;
        let mut look_at = |version: Version, seen: &mut Seen| {
            seen.settling.observe(look(&seen.path), brief.settle);
            let due = seen.settling.due(brief.settle);
            settles = settles.into_iter().chain(due).min();
            if due.is_some() || seen.is_taken {
                return;
            }
            match brief.policy.marker.as_deref().filter(|marker| !files.exists(&seen.path.join(marker))) {
                None => seen.is_taken = true,
                Some(marker) => {
                    let marker = Quoted(marker);
                    notices.insert(format!("version {version} has no {marker} yet: it counts as incomplete"));
                }
            }
        };
        let mut looked_at = BTreeSet::new();
        for (version, seen) in self.seen.iter_mut().filter(|(_, seen)| !seen.may_be_asked_for()) {
            look_at(*version, seen);
            looked_at.insert(*version);
        }
        // Only what is to be loaded is walked through, be it the first time: that may show that it is still copied,
        // and that another is to be loaded in its stead.
        let chosen = loop {
            let candidates = self.seen.iter().filter(|(_, seen)| seen.may_be_asked_for());
            let chosen = brief.policy.versions.choose(candidates.map(|(version, _)| *version).collect());
            let Some(version) = chosen.iter().find(|version| !looked_at.contains(version)) else {
                break chosen;
            };
            looked_at.insert(*version);
            if let Some(seen) = self.seen.get_mut(version) {
                look_at(*version, seen);
            }
        };
        if let VersionPolicy::Specific(wanted) = &brief.policy.versions {
            notices.extend(missing(wanted, &self.seen, base_path));
        }
        let versions = self.aspire(&chosen, brief, &mut notices);
        self.notices.replace(brief.dir.name.as_str(), notices);
        Ok(Found { versions, settles })
    }

    /// Forgets versions that are not there any more, and takes in those that are new.
    fn take_in(&mut self, paths: BTreeMap<Version, PathBuf>, is_first: bool) {
        self.seen.retain(|version, _| paths.contains_key(version));
        for (version, path) in paths {
            let new = || Seen { path: path.clone(), settling: Settling::new(is_first), is_taken: false };
            let seen = self.seen.entry(version).or_insert_with(new);
            seen.path = path;
        }
    }

    /// The chosen versions, or what was asked for before where there is a reason to stay with it.
    fn aspire(
        &self,
        chosen: &[Version],
        brief: &Brief<'_>,
        notices: &mut BTreeSet<String>,
    ) -> Vec<Aspired<VersionPath>> {
        let all = self.seen.keys().copied().collect();
        if chosen.is_empty() && !brief.policy.versions.choose(all).is_empty() {
            // All that could be asked for is still being copied: until it is there, what was before stays. This is
            // how a version renamed to the next number is taken without a gap.
            return brief.before.to_vec();
        }
        if chosen.is_empty() && brief.policy.keep_last && !brief.before.is_empty() {
            notices.insert("the last versions stay loaded until there are others".to_owned());
            return brief.before.to_vec();
        }
        let aspired = |version: &Version| {
            let seen = self.seen.get(version)?;
            let revision = revision(seen.settling.revision()?, brief.policy.revision);
            Some(Aspired { version: *version, revision, data: Ok(VersionPath { path: seen.path.clone() }) })
        };
        chosen.iter().filter_map(aspired).collect()
    }
}

impl Seen {
    fn may_be_asked_for(&self) -> bool {
        self.is_taken || self.settling.is_presumed()
    }
}

/// A number that changes with the files, and with the settings.
fn revision(files: u64, settings: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (files, settings).hash(&mut hasher);
    hasher.finish()
}

/// A sentence for each version that is asked for by number and is not there.
fn missing(wanted: &[Version], seen: &BTreeMap<Version, Seen>, base_path: &Path) -> Vec<String> {
    if wanted.is_empty() {
        return vec!["the policy asks for specific versions and names none: nothing to load".to_owned()];
    }
    let missing = wanted.iter().filter(|version| !seen.contains_key(version));
    missing.map(|version| format!("version {version} is asked for and not in {}", shown(base_path))).collect()
}
