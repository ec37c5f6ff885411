//! What is known of one version: its objects, and names for them that are safe to write files under.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

use object_store::ObjectMeta;
use object_store::path::Path;
use salver_core_servable::Version;
use salver_core_status::{Quoted, Status};

use crate::Limits;
use crate::bucket::Bucket;

/// Where a version is stored, and what it consists of. Cloning shares it.
#[derive(Clone)]
pub struct RemoteVersion(Arc<Remote>);

/// What there is to one version.
pub(crate) struct Remote {
    pub(crate) bucket: Arc<Bucket>,
    /// The URL of its folder.
    pub(crate) url: String,
    /// Its folder within the store.
    pub(crate) prefix: Path,
    pub(crate) version: Version,
    /// Ordered by name, no name twice, and none a folder of another.
    pub(crate) objects: Vec<Object>,
    /// Beside the version's folder: the model's settings.
    pub(crate) beside: Option<Object>,
    pub(crate) limits: Limits,
}

/// One object of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Within the version's folder; checked.
    pub(crate) name: String,
    pub(crate) location: Path,
    pub(crate) size: u64,
    /// What changes when the object does. Some web servers say nothing of the kind.
    pub(crate) e_tag: Option<String>,
    pub(crate) modified: Option<SystemTime>,
}

impl RemoteVersion {
    pub(crate) fn new(remote: Remote) -> Self {
        Self(Arc::new(remote))
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.0
    }

    /// The URL of the version's folder.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// How many bytes its objects have.
    pub fn total_bytes(&self) -> u64 {
        self.0.all().fold(0, |sum, object| sum.saturating_add(object.size))
    }

    /// How many objects it has.
    pub fn num_objects(&self) -> usize {
        self.0.objects.len()
    }
}

impl Remote {
    /// The version's objects, and what is brought along.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().chain(&self.beside)
    }

    /// Changes when the objects do, and only then. Good within one process.
    pub(crate) fn revision(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for object in self.all() {
            (&object.name, object.size, object.stamp()).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The same objects at the same place.
impl PartialEq for RemoteVersion {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&self.0, &other.0);
        (&one.url, &one.objects, &one.beside) == (&other.url, &other.objects, &other.beside)
    }
}

impl Eq for RemoteVersion {}

impl fmt::Debug for RemoteVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteVersion").field("url", &self.0.url).field("objects", &self.0.objects).finish()
    }
}

impl Object {
    pub(crate) fn new(name: String, meta: ObjectMeta) -> Self {
        let modified = SystemTime::from(meta.last_modified);
        // What the crate says where the server did not.
        let modified = (modified != SystemTime::UNIX_EPOCH).then_some(modified);
        Self { name, location: meta.location, size: meta.size, e_tag: meta.e_tag, modified }
    }

    /// What tells this state of the object from another: the ETag; without one, the time of its last change.
    pub(crate) fn stamp(&self) -> Stamp<'_> {
        match &self.e_tag {
            Some(e_tag) => Stamp::ETag(e_tag),
            None => Stamp::Modified(self.modified),
        }
    }

    /// Whether two answers that bear the same stamp have the same bytes, so that one may go on where the other ended.
    pub(crate) fn is_resumable(&self) -> bool {
        match self.stamp() {
            // A weak tag stands for the same meaning.
            Stamp::ETag(e_tag) => !e_tag.starts_with("W/"),
            Stamp::Modified(modified) => modified.is_some(),
        }
    }
}

/// See [`Object::stamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stamp<'a> {
    ETag(&'a str),
    Modified(Option<SystemTime>),
}

/// Makes a version's objects of what was listed in its folder.
///
/// What some tools store to stand for a folder, an empty object of the folder's name, is left out.
///
/// # Errors
/// INVALID_ARGUMENT where a name cannot be a file's, or one object would be the folder of another; RESOURCE_EXHAUSTED
/// past the limits.
pub(crate) fn objects(prefix: &Path, listed: Vec<ObjectMeta>, limits: Limits) -> Result<Vec<Object>, Status> {
    let mut objects = Vec::with_capacity(listed.len());
    for meta in listed {
        let Some(name) = name_below(prefix, &meta.location) else { continue };
        check_name(&name).map_err(|what| {
            Status::invalid_argument(format!("object {}: its name {what}", Quoted(meta.location.as_ref())))
        })?;
        objects.push(Object::new(name, meta));
    }
    // A folder sorts right before what is in it only if the slash sorts first.
    objects.sort_unstable_by(|one, other| one.name.split('/').cmp(other.name.split('/')));
    let mut kept: Vec<Object> = Vec::with_capacity(objects.len());
    for object in objects {
        if let Some(last) = kept.last()
            && is_at_or_below(&object.name, &last.name)
        {
            if last.size > 0 || last.name == object.name {
                return Err(Status::invalid_argument(format!(
                    "objects {} and {}: one file cannot be where the other is",
                    Quoted(&last.name),
                    Quoted(&object.name)
                )));
            }
            kept.pop();
        }
        kept.push(object);
    }
    let bytes = kept.iter().try_fold(0_u64, |sum, object| sum.checked_add(object.size));
    if kept.len() > limits.objects || bytes.is_none_or(|bytes| bytes > limits.bytes) {
        return Err(too_large(limits));
    }
    Ok(kept)
}

pub(crate) fn too_large(limits: Limits) -> Status {
    let Limits { objects, bytes } = limits;
    Status::resource_exhausted(format!("more than {objects} objects or {bytes} bytes, which are the limits"))
}

/// The object's name within a folder; `None` of the folder itself and of what is elsewhere.
fn name_below(prefix: &Path, location: &Path) -> Option<String> {
    let name: Vec<_> = location.prefix_match(prefix)?.map(|part| part.as_ref().to_owned()).collect();
    (!name.is_empty()).then(|| name.join("/"))
}

fn is_at_or_below(name: &str, folder: &str) -> bool {
    name.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a name can be that of a file below a folder, and of nothing outside it; else what is wrong with it.
///
/// The stores' client refuses most of this too. It is looked at here because here files are made of it.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    const MAX_BYTES: usize = 1024;
    const MAX_DEPTH: usize = 32;
    if name.len() > MAX_BYTES {
        return Err("is longer than 1024 bytes");
    }
    if name.split('/').count() > MAX_DEPTH {
        return Err("is more than 32 folders deep");
    }
    name.split('/').try_for_each(check_segment)
}

/// The same of one part of a name.
pub(crate) fn check_segment(segment: &str) -> Result<(), &'static str> {
    const MAX_BYTES: usize = 255;
    match segment {
        "" => Err("has a part that is empty"),
        "." | ".." => Err("leads out of its folder"),
        _ if segment.len() > MAX_BYTES => Err("has a part longer than 255 bytes"),
        _ if segment.contains(['/', '\\']) => Err("has a slash within a part"),
        _ if segment.chars().any(char::is_control) => Err("has a control character"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use salver_core_status::Code;
    use std::path::{Component, PathBuf};

    fn meta(location: &str, size: u64) -> ObjectMeta {
        ObjectMeta {
            location: Path::parse(location).unwrap(),
            last_modified: SystemTime::UNIX_EPOCH.into(),
            size,
            e_tag: None,
            version: None,
        }
    }

    fn names(listed: &[(&str, u64)], limits: Limits) -> Result<Vec<String>, Status> {
        let listed = listed.iter().map(|(location, size)| meta(location, *size)).collect();
        let objects = objects(&Path::parse("m/1").unwrap(), listed, limits)?;
        Ok(objects.into_iter().map(|object| object.name).collect())
    }

    #[test]
    fn objects_are_named_within_the_folder_and_placeholders_of_folders_are_left_out() {
        let listed =
            [("m/1", 0), ("m/1/a-b", 1), ("m/1/a/x", 1), ("m/1/a", 0), ("m/1/empty", 0), ("m/10/x", 1)];
        assert_eq!(names(&listed, Limits::default()).unwrap(), ["a/x", "a-b", "empty"]);
    }

    #[test]
    fn an_object_that_another_would_have_to_be_in_is_an_error() {
        for listed in [[("m/1/a", 1), ("m/1/a/x", 1)], [("m/1/a", 0), ("m/1/a", 0)]] {
            let status = names(&listed, Limits::default()).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().contains("cannot be where"), "{status}");
        }
    }

    #[test]
    fn what_is_past_a_limit_is_refused_with_the_figures() {
        let listed = [("m/1/a", 6), ("m/1/b", 6)];
        assert!(names(&listed, Limits { objects: 2, bytes: 12 }).is_ok());
        for limits in [Limits { objects: 1, bytes: 12 }, Limits { objects: 2, bytes: 11 }] {
            let status = names(&listed, limits).unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert!(status.message().contains(&limits.bytes.to_string()), "{status}");
        }
        assert!(names(&[("m/1/a", u64::MAX), ("m/1/b", 1)], Limits::default()).is_err());
    }

    proptest! {
        #[test]
        fn a_name_that_is_taken_stays_in_its_folder(
            name in prop_oneof![any::<String>(), "[a./\\\\]{0,12}", "(\\.{1,3}/|[ab]{1,2}/){0,40}x?"]
        ) {
            if check_name(&name).is_ok() {
                let path = PathBuf::from(&name);
                prop_assert!(path.is_relative());
                prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(path.components().count(), name.split('/').count());
            }
        }

        #[test]
        fn whatever_is_listed_no_file_is_in_the_way_of_another(
            listed in prop::collection::vec(("[ab](/[ab]){0,3}", 0..2_u64), 0..12)
        ) {
            let listed: Vec<_> = listed.iter().map(|(name, size)| (format!("m/1/{name}"), *size)).collect();
            let listed: Vec<_> = listed.iter().map(|(name, size)| (name.as_str(), *size)).collect();
            if let Ok(names) = names(&listed, Limits::default()) {
                for (index, one) in names.iter().enumerate() {
                    for other in names.iter().skip(index + 1) {
                        prop_assert!(!is_at_or_below(one, other) && !is_at_or_below(other, one), "{names:?}");
                    }
                }
            }
        }
    }
}
