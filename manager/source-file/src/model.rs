//! What is remembered of one model from scan to scan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use salver_core_loader::Aspired;
use salver_core_servable::{StreamName, Version};
use salver_core_status::Status;

use crate::fingerprint::fingerprint;
use crate::listing::{self, shown};
use crate::notices::Notices;
use crate::{VersionPath, VersionPolicy};

/// One model.
#[derive(Debug, Default)]
pub(crate) struct Model {
    seen: BTreeMap<Version, Seen>,
    /// What was asked for last.
    aspired: Vec<Aspired<VersionPath>>,
    pub(crate) notices: Notices,
}

/// One version that was there at the last scan.
#[derive(Debug)]
struct Seen {
    path: PathBuf,
    /// The fingerprint when it was last looked at, if ever.
    observed: Option<u64>,
    /// The last fingerprint that was the same at two looks running, or the first of a version taken at once.
    revision: u64,
    /// Whether it was ever complete, as far as one can tell; from then on it may be asked for.
    is_settled: bool,
}

impl Seen {
    /// Looks at the files.
    fn look(&mut self) {
        let now = fingerprint(&self.path);
        let is_same = self.observed == Some(now);
        let is_taken_at_once = self.observed.is_none() && self.is_settled;
        if is_same || is_taken_at_once {
            self.revision = now;
            self.is_settled = true;
        }
        self.observed = Some(now);
    }
}

impl Model {
    /// Which versions there should be. `is_first`: this is the first scan of all, and what is there is complete.
    ///
    /// # Errors
    /// The base path cannot be listed; see [`listing::subfolders`].
    pub(crate) fn scan(
        &mut self,
        name: &StreamName,
        base_path: &Path,
        policy: &VersionPolicy,
        is_first: bool,
    ) -> Result<Vec<Aspired<VersionPath>>, Status> {
        let listed = match listing::versions(base_path) {
            Ok(listed) => listed,
            Err(status) => return Err(self.trouble(name, status)),
        };
        let mut notices = BTreeSet::from_iter(listed.duplicates);
        if listed.paths.is_empty() {
            notices.insert(format!("no version in {}: nothing to load", shown(base_path)));
        }
        self.take_in(listed.paths, is_first);

        let settled: Vec<_> =
            self.seen.iter().filter(|(_, seen)| seen.is_settled).map(|(one, _)| *one).collect();
        let chosen = choose(policy, &settled);
        if let VersionPolicy::Specific(wanted) = policy {
            notices.extend(missing(wanted, &self.seen, base_path));
        }
        self.notices.replace(name.as_str(), notices);

        let all: Vec<_> = self.seen.keys().copied().collect();
        if chosen.is_empty() && !choose(policy, &all).is_empty() {
            // All that could be asked for is still being copied: until it is there, what was before stays. This is
            // how a version renamed to the next number is taken without a gap.
            return Ok(self.aspired.clone());
        }
        self.aspired = chosen.into_iter().filter_map(|version| self.aspire(version)).collect();
        Ok(self.aspired.clone())
    }

    /// Notes why nothing can be told of the model.
    pub(crate) fn trouble(&mut self, name: &StreamName, status: Status) -> Status {
        self.notices.replace(name.as_str(), BTreeSet::from([status.to_string()]));
        status
    }

    /// Forgets versions that are not there any more, and looks at those that are new or not settled.
    fn take_in(&mut self, paths: BTreeMap<Version, PathBuf>, is_first: bool) {
        self.seen.retain(|version, _| paths.contains_key(version));
        for (version, path) in paths {
            let new = || Seen { path: path.clone(), observed: None, revision: 0, is_settled: is_first };
            let seen = self.seen.entry(version).or_insert_with(new);
            seen.path = path;
            if !seen.is_settled {
                seen.look();
            }
        }
    }

    fn aspire(&mut self, version: Version) -> Option<Aspired<VersionPath>> {
        let seen = self.seen.get_mut(&version)?;
        seen.look();
        let data = Ok(VersionPath { path: seen.path.clone() });
        Some(Aspired { version, revision: seen.revision, data })
    }
}

/// Those of the versions, which are ascending, that the policy asks for.
fn choose(policy: &VersionPolicy, versions: &[Version]) -> Vec<Version> {
    match policy {
        VersionPolicy::Latest(count) => {
            let first = versions.len().saturating_sub((*count).max(1));
            versions.iter().skip(first).copied().collect()
        }
        VersionPolicy::All => versions.to_vec(),
        VersionPolicy::Specific(wanted) => {
            versions.iter().filter(|version| wanted.contains(version)).copied().collect()
        }
    }
}

/// A sentence for each version that is asked for by number and is not there.
fn missing(wanted: &[Version], seen: &BTreeMap<Version, Seen>, base_path: &Path) -> Vec<String> {
    if wanted.is_empty() {
        return vec!["the policy asks for specific versions and names none: nothing to load".to_owned()];
    }
    let missing = wanted.iter().filter(|version| !seen.contains_key(version));
    missing.map(|version| format!("version {version} is asked for and not in {}", shown(base_path))).collect()
}
