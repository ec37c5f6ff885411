//! What is in a folder of links, and what follows from that for each model.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use salver_plugins_sdk::{Aspired, AspiredVersions, Status, Target, Version};

/// A folder of links, and what was seen in it.
pub(crate) struct Links {
    directory: PathBuf,
    /// The models that the server was told of, and whether their link was missing at the last look.
    known: BTreeMap<String, bool>,
}

impl Links {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, known: BTreeMap::new() }
    }

    /// Tells `target` all that there is to tell.
    pub(crate) fn look(&mut self, target: &dyn Target<PathBuf>) {
        let tell =
            |name: &str, versions| target.set_aspired(AspiredVersions { stream: name.into(), versions });
        let found = match self.links() {
            Ok(found) => found,
            // Nobody knows: what is loaded stays, and whoever asks for its status is told.
            Err(error) => {
                let trouble = Status::unavailable(format!("reading `{}`: {error}", self.directory.display()));
                return self.known.keys().for_each(|name| tell(name, Err(trouble.clone())));
            }
        };
        for name in &found {
            tell(name, version(&self.directory.join(name)).map(|version| vec![version]));
            self.known.insert(name.clone(), false);
        }
        self.known.retain(|name, was_missing| {
            let is_missing = !found.contains(name);
            let is_gone = is_missing && *was_missing;
            // Only at the second look: `ln -sfn` may take a link away for a moment.
            if is_gone {
                tell(name, Ok(Vec::new()));
            }
            *was_missing = is_missing;
            !is_gone
        });
    }

    /// The names of the links. A listing is whole or an error: what is left out is unloaded.
    fn links(&self) -> io::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_type()?.is_symlink() {
                names.extend(entry.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
            }
        }
        Ok(names)
    }
}

/// The version that a link leads to.
fn version(link: &Path) -> Result<Aspired<PathBuf>, Status> {
    let found = fs::canonicalize(link).and_then(|path| Ok((fs::metadata(&path)?.modified().ok(), path)));
    let (modified, path) =
        found.map_err(|error| Status::not_found(format!("link `{}`: {error}", link.display())))?;
    let number = path.file_name().and_then(|name| name.to_str()?.parse().ok()).and_then(Version::new);
    let version = number.ok_or_else(|| {
        let (link, path) = (link.display(), path.display());
        Status::invalid_argument(format!("link `{link}` leads to `{path}`, wanted a version's directory"))
    })?;
    // Changes when the link does, or what lies in the directory: then a version that failed is tried again.
    let mut revision = DefaultHasher::new();
    (&path, modified).hash(&mut revision);
    Ok(Aspired { version, revision: revision.finish(), data: Ok(path) })
}
