//! Which versions there are to be loaded on demand, and where they are stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use salver_core_loader::Aspired;
use salver_core_servable::{LookupError, ServableId, StreamName, Version, VersionChoice};
use salver_core_status::Status;
use salver_manager_caching::LoaderFactory;

use crate::loader::ModelLoader;

/// What sources said last of every stream.
#[derive(Default)]
pub(crate) struct Shelf {
    streams: RwLock<BTreeMap<StreamName, Place>>,
}

#[derive(Default)]
struct Place {
    /// Of each version its revision, and what it is loaded with or what is wrong with it.
    versions: BTreeMap<Version, (u64, Result<ModelLoader, Status>)>,
    labels: BTreeMap<String, Version>,
    /// When versions came or went last, or what is stored of them changed.
    changed: Option<SystemTime>,
}

/// What a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meant {
    /// The version.
    pub(crate) version: Version,
    /// Whether it is meant as the latest one.
    pub(crate) is_latest: bool,
}

impl Place {
    fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.labels.is_empty()
    }
}

impl Shelf {
    /// Takes in which versions a stream has. Returns whether that is news.
    pub(crate) fn put(&self, name: &StreamName, versions: Vec<Aspired<ModelLoader>>) -> bool {
        let mut streams = self.streams.write();
        let place = streams.entry(name.clone()).or_default();
        let is_known = |one: &Aspired<ModelLoader>| {
            let known = place.versions.get(&one.version);
            known.is_some_and(|(revision, data)| {
                *revision == one.revision && data.as_ref().err() == one.data.as_ref().err()
            })
        };
        let is_news = versions.len() != place.versions.len() || !versions.iter().all(is_known);
        if is_news {
            let versions = versions.into_iter().map(|one| (one.version, (one.revision, one.data)));
            place.versions = versions.collect();
            place.changed = Some(SystemTime::now());
        }
        if place.is_empty() {
            streams.remove(name);
        }
        is_news
    }

    /// Takes in what each label of a stream stands for.
    pub(crate) fn label(&self, name: &StreamName, labels: BTreeMap<String, Version>) {
        let mut streams = self.streams.write();
        let place = streams.entry(name.clone()).or_default();
        place.labels = labels;
        if place.is_empty() {
            streams.remove(name);
        }
    }

    /// The streams that have versions.
    pub(crate) fn streams(&self) -> Vec<StreamName> {
        let streams = self.streams.read();
        let with_versions = streams.iter().filter(|(_, place)| !place.versions.is_empty());
        with_versions.map(|(name, _)| name.clone()).collect()
    }

    /// The versions of a stream, and when they changed last; `None` where there are none.
    pub(crate) fn versions(&self, name: &str) -> Option<(BTreeSet<Version>, Option<SystemTime>)> {
        let streams = self.streams.read();
        let place = streams.get(name).filter(|place| !place.versions.is_empty())?;
        Some((place.versions.keys().copied().collect(), place.changed))
    }

    /// Whether there is such a version.
    pub(crate) fn has(&self, name: &str, version: Version) -> bool {
        self.streams.read().get(name).is_some_and(|place| place.versions.contains_key(&version))
    }

    /// Which version a request means.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn choose(&self, name: &str, choice: VersionChoice<'_>) -> Result<Meant, LookupError> {
        let unknown = || LookupError::Name(name.to_owned());
        let streams = self.streams.read();
        let place = streams.get(name);
        let has = |version: Version| place.is_some_and(|place| place.versions.contains_key(&version));
        match choice {
            VersionChoice::Latest => {
                let version =
                    *place.and_then(|place| place.versions.keys().next_back()).ok_or_else(unknown)?;
                Ok(Meant { version, is_latest: true })
            }
            VersionChoice::Specific(version) if has(version) => Ok(Meant { version, is_latest: false }),
            VersionChoice::Specific(version) => Err(LookupError::Version(name.to_owned(), version)),
            VersionChoice::Label(label) => {
                let version = place.and_then(|place| place.labels.get(label)).copied();
                let version = version.ok_or_else(|| LookupError::Label(label.to_owned()))?;
                if has(version) {
                    return Ok(Meant { version, is_latest: false });
                }
                Err(LookupError::Waiting { name: name.to_owned(), label: label.to_owned(), version })
            }
        }
    }
}

/// Makes loaders of what is on the shelf.
pub(crate) struct FromShelf(pub(crate) Arc<Shelf>);

impl LoaderFactory for FromShelf {
    type Loader = ModelLoader;

    fn latest(&self, name: &StreamName) -> Result<Version, Status> {
        Ok(self.0.choose(name.as_str(), VersionChoice::Latest)?.version)
    }

    fn loader(&self, id: &ServableId) -> Result<ModelLoader, Status> {
        let streams = self.0.streams.read();
        let found = streams.get(&id.name).and_then(|place| place.versions.get(&id.version));
        let missing = || LookupError::Version(id.name.to_string(), id.version);
        let (_, data) = found.ok_or_else(missing)?;
        data.as_ref().map(ModelLoader::again).map_err(Status::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: i64) -> Version {
        Version::new(number).unwrap()
    }

    /// Versions of which nothing is stored, which is all the same to the shelf.
    fn put(shelf: &Shelf, versions: &[(i64, u64)]) -> bool {
        let one = |&(number, revision): &(i64, u64)| {
            let data = Err(Status::data_loss("torn"));
            Aspired { version: version(number), revision, data }
        };
        shelf.put(&"m".into(), versions.iter().map(one).collect())
    }

    fn choose(shelf: &Shelf, choice: VersionChoice<'_>) -> Result<i64, String> {
        shelf.choose("m", choice).map(|meant| meant.version.number()).map_err(|miss| miss.to_string())
    }

    #[test]
    fn only_what_differs_is_news() {
        let shelf = Shelf::default();
        assert!(!put(&shelf, &[]));
        assert!(put(&shelf, &[(1, 5), (2, 5)]));
        assert!(!put(&shelf, &[(2, 5), (1, 5)]));
        assert!(put(&shelf, &[(1, 5), (2, 6)]), "what is stored of it changed");
        assert!(put(&shelf, &[(2, 6)]));
        assert!(put(&shelf, &[]));
        assert_eq!(shelf.streams(), []);
    }

    #[test]
    fn a_request_means_the_largest_version_the_one_it_names_or_the_one_of_its_label() {
        let shelf = Shelf::default();
        put(&shelf, &[(1, 0), (3, 0)]);
        let labels = [("stable".to_owned(), version(1)), ("next".to_owned(), version(4))];
        shelf.label(&"m".into(), labels.into());
        assert_eq!(choose(&shelf, VersionChoice::Latest), Ok(3));
        assert_eq!(choose(&shelf, VersionChoice::Specific(version(1))), Ok(1));
        assert_eq!(choose(&shelf, VersionChoice::Label("stable")), Ok(1));
        for (choice, text) in [
            (VersionChoice::Specific(version(2)), "Servable not found for request: Specific(m, 2)"),
            (VersionChoice::Label("none"), "Unrecognized servable version label: none"),
            (
                VersionChoice::Label("next"),
                "Servable not found for request: Specific(m, 4), for which label `next` waits",
            ),
        ] {
            assert_eq!(choose(&shelf, choice), Err(text.to_owned()));
        }
        put(&shelf, &[]);
        let nothing = Err("Servable not found for request: Latest(m)".to_owned());
        assert_eq!(choose(&shelf, VersionChoice::Latest), nothing);
    }

    #[test]
    fn what_is_wrong_with_a_version_is_told_to_who_wants_to_load_it() {
        let shelf = Arc::new(Shelf::default());
        put(&shelf, &[(1, 0)]);
        let factory = FromShelf(shelf);
        let error = |number| factory.loader(&ServableId::new("m", version(number))).err();
        assert_eq!(error(1), Some(Status::data_loss("torn")));
        assert_eq!(error(2), Some(Status::not_found("Servable not found for request: Specific(m, 2)")));
    }
}
