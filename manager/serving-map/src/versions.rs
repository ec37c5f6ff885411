//! One state of a stream: its available versions and its labels, immutable once made.

use std::collections::BTreeMap;

use salver_core_servable::{Tenancy, Version, VersionChoice};

use crate::labels::{LabelStatus, Labels};
use crate::sync::Arc;

/// One state of a stream. A change makes a new one, which shares the tenancies that stay.
pub(crate) struct Versions<T: ?Sized> {
    /// Ascending by version, no version twice: the last is the latest.
    tenancies: Vec<Arc<Tenancy<T>>>,
    labels: Arc<Labels>,
}

/// Why nothing fits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// There is no version.
    Empty,
    /// There is not this one.
    Version(Version),
    /// There is no such label.
    Label,
    /// There is the label, which waits for this version.
    Waiting(Version),
}

impl<T: ?Sized> Versions<T> {
    /// No version and no label.
    pub(crate) fn new() -> Self {
        Self { tenancies: Vec::new(), labels: Arc::new(Labels::default()) }
    }

    /// The tenancy that is asked for.
    pub(crate) fn pick(&self, choice: VersionChoice<'_>) -> Result<&Tenancy<T>, Miss> {
        match choice {
            VersionChoice::Latest => self.tenancies.last().map(Arc::as_ref).ok_or(Miss::Empty),
            VersionChoice::Specific(version) => self.find(version).ok_or(Miss::Version(version)),
            VersionChoice::Label(label) => {
                let label = self.labels.get(label).ok_or(Miss::Label)?;
                let found = label.meant.and_then(|version| self.find(version));
                let is_attached = label.meant == Some(label.wanted);
                found.ok_or(if is_attached { Miss::Version } else { Miss::Waiting }(label.wanted))
            }
        }
    }

    fn find(&self, version: Version) -> Option<&Tenancy<T>> {
        // From the newest on: a stream has few versions, and the newest are asked for most.
        self.tenancies.iter().rev().find(|tenancy| tenancy.id().version == version).map(Arc::as_ref)
    }

    /// Whether there is this version.
    pub(crate) fn has(&self, version: Version) -> bool {
        self.find(version).is_some()
    }

    /// Whether there is neither a version nor a label.
    pub(crate) fn is_empty(&self) -> bool {
        self.tenancies.is_empty() && self.labels.is_empty()
    }

    /// The versions, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tenancy<T>> {
        self.tenancies.iter().map(Arc::as_ref)
    }

    /// What each label stands for.
    pub(crate) fn labels(&self) -> BTreeMap<String, LabelStatus> {
        self.labels.status(|version| self.has(version))
    }

    /// With one version more, and the labels that wait for it moved; a tenancy of the same version is left out.
    pub(crate) fn with(&self, tenancy: Tenancy<T>) -> Self {
        let version = tenancy.id().version;
        let mut changed = self.without(version);
        let place = changed.tenancies.partition_point(|other| other.id().version < version);
        changed.tenancies.insert(place, Arc::new(tenancy));
        if self.labels.any_waits_for(version) {
            changed.labels = Arc::new(self.labels.moved(|wanted| changed.has(wanted)));
        }
        changed
    }

    /// With one version less.
    pub(crate) fn without(&self, version: Version) -> Self {
        let stays = |tenancy: &&Arc<Tenancy<T>>| tenancy.id().version != version;
        let tenancies = self.tenancies.iter().filter(stays).map(Arc::clone).collect();
        Self { tenancies, labels: Arc::clone(&self.labels) }
    }

    /// With these labels and no others.
    pub(crate) fn labelled(&self, wanted: BTreeMap<String, Version>) -> Self {
        let labels = self.labels.wanting(wanted, |version| self.has(version));
        Self { tenancies: self.tenancies.clone(), labels: Arc::new(labels) }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use salver_core_servable::ServableId;

    fn version(number: i64) -> Version {
        Version::new(number).unwrap()
    }

    fn versions(numbers: &[i64]) -> Versions<i64> {
        numbers.iter().fold(Versions::new(), |versions, number| {
            let id = ServableId::new("m", version(*number));
            versions.with(Tenancy::new(id, Arc::new(*number), 1, || {}))
        })
    }

    fn pick(versions: &Versions<i64>, choice: VersionChoice<'_>) -> Result<i64, Miss> {
        versions.pick(choice).map(|tenancy| *tenancy.handle(0))
    }

    #[test]
    fn the_latest_is_the_numerically_largest_in_whatever_order_they_came() {
        assert_eq!(pick(&versions(&[2, 10, 9]), VersionChoice::Latest), Ok(10));
        assert_eq!(pick(&versions(&[10]).without(version(10)), VersionChoice::Latest), Err(Miss::Empty));
    }

    #[test]
    fn version_nought_can_be_asked_for() {
        assert_eq!(pick(&versions(&[1, 0]), VersionChoice::Specific(version(0))), Ok(0));
        let missing = Err(Miss::Version(version(0)));
        assert_eq!(pick(&versions(&[1]), VersionChoice::Specific(version(0))), missing);
    }
}
