//! The available versions of one stream, immutable once made.

use std::collections::BTreeMap;
use std::sync::Arc;

use salver_core_servable::{Tenancy, Version, VersionChoice};

/// Which version each label of a stream stands for.
pub(crate) type Labels = BTreeMap<String, Version>;

/// One state of a stream. A change makes a new one, which shares the tenancies that stay.
pub(crate) struct Versions<T: ?Sized> {
    /// Ascending by version, no version twice: the last is the latest.
    tenancies: Vec<Arc<Tenancy<T>>>,
    labels: Arc<Labels>,
}

/// Why nothing fits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    Empty,
    Version(Version),
    Label,
}

impl<T: ?Sized> Versions<T> {
    pub(crate) fn new(labels: Arc<Labels>) -> Self {
        Self { tenancies: Vec::new(), labels }
    }

    /// The tenancy that is asked for.
    pub(crate) fn pick(&self, choice: VersionChoice<'_>) -> Result<&Tenancy<T>, Miss> {
        let version = match choice {
            VersionChoice::Latest => return self.tenancies.last().map(Arc::as_ref).ok_or(Miss::Empty),
            VersionChoice::Specific(version) => version,
            VersionChoice::Label(label) => *self.labels.get(label).ok_or(Miss::Label)?,
        };
        // From the newest on: a stream has few versions, and the newest are asked for most.
        let found = self.tenancies.iter().rev().find(|tenancy| tenancy.id().version == version);
        found.map(Arc::as_ref).ok_or(Miss::Version(version))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tenancies.is_empty()
    }

    /// The versions, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tenancy<T>> {
        self.tenancies.iter().map(Arc::as_ref)
    }

    /// With one version more; a tenancy of the same version is left out.
    pub(crate) fn with(&self, tenancy: Tenancy<T>) -> Self {
        let version = tenancy.id().version;
        let mut changed = self.without(version);
        let place = changed.tenancies.partition_point(|other| other.id().version < version);
        changed.tenancies.insert(place, Arc::new(tenancy));
        changed
    }

    /// With one version less.
    pub(crate) fn without(&self, version: Version) -> Self {
        let stays = |tenancy: &&Arc<Tenancy<T>>| tenancy.id().version != version;
        let tenancies = self.tenancies.iter().filter(stays).map(Arc::clone).collect();
        Self { tenancies, labels: Arc::clone(&self.labels) }
    }

    /// With other labels.
    pub(crate) fn labelled(&self, labels: Arc<Labels>) -> Self {
        Self { tenancies: self.tenancies.clone(), labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_servable::ServableId;

    fn version(number: i64) -> Version {
        Version::new(number).unwrap()
    }

    fn versions(numbers: &[i64]) -> Versions<i64> {
        let mut versions = Versions::new(Arc::new(Labels::from([("canary".to_owned(), version(2))])));
        for number in numbers {
            let id = ServableId::new("m", version(*number));
            versions = versions.with(Tenancy::new(id, Arc::new(*number), 1, || {}));
        }
        versions
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
        assert_eq!(
            pick(&versions(&[1]), VersionChoice::Specific(version(0))),
            Err(Miss::Version(version(0)))
        );
    }

    #[test]
    fn a_label_leads_to_its_version_or_says_which_version_is_not_there() {
        assert_eq!(pick(&versions(&[1, 2, 3]), VersionChoice::Label("canary")), Ok(2));
        assert_eq!(pick(&versions(&[1, 3]), VersionChoice::Label("canary")), Err(Miss::Version(version(2))));
        assert_eq!(pick(&versions(&[1, 3]), VersionChoice::Label("stable")), Err(Miss::Label));
    }
}
