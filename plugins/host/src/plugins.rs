//! The plugins of a server.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use salver_core_platform::Platform;

use crate::{Error, HostServices, Inspection, SourceKind, inspect, library};

/// An open plugin. Clones share it; the library stays open whatever happens to them.
#[derive(Clone)]
pub struct Plugin(Arc<Opened>);

struct Opened {
    inspection: Inspection,
    platforms: Vec<Arc<dyn Platform>>,
    sources: Vec<SourceKind>,
    file: FileId,
}

/// Device and inode: what makes two paths the same file to the dynamic linker.
type FileId = (u64, u64);

/// Every plugin of the process. A library has one set of statics however often it is opened, so it is started once.
static OPENED: Mutex<Vec<Plugin>> = Mutex::new(Vec::new());

impl Plugin {
    /// What the plugin says about itself.
    pub fn inspection(&self) -> &Inspection {
        &self.0.inspection
    }

    /// The plugin's platforms.
    pub fn platforms(&self) -> &[Arc<dyn Platform>] {
        &self.0.platforms
    }

    /// The plugin's kinds of sources.
    pub fn sources(&self) -> &[SourceKind] {
        &self.0.sources
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Plugin").field(&self.0.inspection).finish()
    }
}

/// The plugins of a server: no name twice, and no platform's or source's name twice.
#[derive(Debug)]
pub struct Plugins {
    services: HostServices,
    opened: Mutex<Vec<Plugin>>,
    /// The platforms whose plugins are not opened by a search.
    kept_apart: Vec<String>,
    apart: Mutex<Vec<Inspection>>,
}

impl Plugins {
    /// No plugins yet; those that come are offered `services`.
    pub fn new(services: HostServices) -> Self {
        Self { services, opened: Mutex::default(), kept_apart: Vec::new(), apart: Mutex::default() }
    }

    /// Has [`search`](Self::search) pass over plugins all of whose platforms are among these, and that have no sources: none
    /// of their code runs in this process, and [`apart`](Self::apart) says which there are.
    #[must_use]
    pub fn keep_apart(self, platforms: Vec<String>) -> Self {
        Self { kept_apart: platforms, ..self }
    }

    /// Opens every `*.so` that lies directly in one of the directories, in the order of directories and names.
    ///
    /// Returns those that cannot be opened, and why; they are passed over. A directory that cannot be read is among
    /// them. Never give it a directory of models: opening a library runs its code.
    pub fn search<P: AsRef<Path>>(&self, directories: &[P]) -> Vec<(PathBuf, Error)> {
        let mut failures = Vec::new();
        for directory in directories {
            let directory = directory.as_ref();
            match libraries(directory) {
                Ok(paths) => {
                    for path in paths {
                        let found = self.found_apart(&path);
                        let found =
                            found.and_then(|apart| if apart { Ok(()) } else { self.open(&path).map(drop) });
                        if let Err(error) = found {
                            failures.push((path, error));
                        }
                    }
                }
                Err(source) => {
                    let path = directory.to_owned();
                    failures.push((path.clone(), Error::Unreadable { path, source }));
                }
            }
        }
        failures
    }

    /// Opens the plugin at `path`, for good. A file that is open already is not opened again, whatever its path; in
    /// one process, the services it was first opened with stay.
    ///
    /// # Errors
    /// Every [`Error`]: those of [`inspect`] before any of the library's code runs.
    pub fn open(&self, path: &Path) -> Result<Plugin, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        // The dynamic linker looks for a path without a slash elsewhere.
        let path = std::path::absolute(path).map_err(unreadable)?;
        let mut opened = self.opened.lock();
        let metadata = std::fs::metadata(&path).map_err(unreadable)?;
        let file = (metadata.dev(), metadata.ino());
        if let Some(plugin) = opened.iter().find(|plugin| plugin.0.file == file) {
            return Ok(plugin.clone());
        }
        let inspection = inspect(&path)?;
        check_names(&opened, &self.apart.lock(), &inspection)?;
        let plugin = open_once(inspection, file, &self.services)?;
        opened.push(plugin.clone());
        Ok(plugin)
    }

    /// Notes a plugin that is to be kept apart, and is not opened; `false` where it is any other.
    fn found_apart(&self, path: &Path) -> Result<bool, Error> {
        if self.kept_apart.is_empty() {
            return Ok(false);
        }
        let inspection = inspect(path)?;
        let Inspection { platforms, sources, .. } = &inspection;
        if platforms.is_empty()
            || !sources.is_empty()
            || platforms.iter().any(|name| !self.kept_apart.contains(name))
        {
            return Ok(false);
        }
        // In the order in which `open` locks them.
        let (opened, mut apart) = (self.opened.lock(), self.apart.lock());
        check_names(&opened, &apart, &inspection)?;
        apart.push(inspection);
        Ok(true)
    }

    /// The plugins that were found, and not opened, since their platforms are to be kept apart.
    pub fn apart(&self) -> Vec<Inspection> {
        self.apart.lock().clone()
    }

    /// The open plugins, in the order in which they were opened.
    pub fn plugins(&self) -> Vec<Plugin> {
        self.opened.lock().clone()
    }

    /// The platforms of all open plugins, in the order in which they were opened.
    pub fn platforms(&self) -> Vec<Arc<dyn Platform>> {
        let opened = self.opened.lock();
        opened.iter().flat_map(|plugin| plugin.platforms()).map(Arc::clone).collect()
    }

    /// The kinds of sources of all open plugins, in the order in which they were opened.
    pub fn sources(&self) -> Vec<SourceKind> {
        let opened = self.opened.lock();
        opened.iter().flat_map(|plugin| plugin.sources()).cloned().collect()
    }
}

/// The libraries directly in `directory`, by name.
fn libraries(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension() == Some(OsStr::new("so")));
    paths.sort();
    Ok(paths)
}

fn check_names(opened: &[Plugin], apart: &[Inspection], new: &Inspection) -> Result<(), Error> {
    let path = || new.path.clone();
    let same_platform = |other, name| Error::SamePlatform { path: path(), other, name };
    let same_source = |other, name| Error::SameSource { path: path(), other, name };
    for open in opened.iter().map(Plugin::inspection).chain(apart) {
        let other = open.path.clone();
        if open.name == new.name {
            return Err(Error::SameName { path: path(), other, name: new.name.clone() });
        }
        if let Some(name) = new.platforms.iter().find(|name| open.platforms.contains(name)) {
            return Err(same_platform(other, name.clone()));
        }
        if let Some(name) = new.sources.iter().find(|name| open.sources.contains(name)) {
            return Err(same_source(other, name.clone()));
        }
    }
    match (twice(&new.platforms), twice(&new.sources)) {
        (Some(name), _) => Err(same_platform(path(), name)),
        (None, Some(name)) => Err(same_source(path(), name)),
        (None, None) => Ok(()),
    }
}

/// A name that is there more than once.
fn twice(names: &[String]) -> Option<String> {
    let mut names: Vec<_> = names.iter().collect();
    names.sort();
    names
        .windows(2)
        .find(|pair| pair.first() == pair.last())
        .and_then(<[_]>::first)
        .map(|name| (*name).clone())
}

fn open_once(inspection: Inspection, file: FileId, services: &HostServices) -> Result<Plugin, Error> {
    let mut all = OPENED.lock();
    if let Some(plugin) = all.iter().find(|plugin| plugin.0.file == file) {
        return Ok(plugin.clone());
    }
    let library::Offers { platforms, sources } = library::open(&inspection, services)?;
    let platforms = platforms.into_iter().map(|platform| Arc::new(platform) as Arc<dyn Platform>).collect();
    tracing::debug!(
        path = %inspection.path.display(), plugin = inspection.name, version = inspection.version, "opened a plugin"
    );
    let plugin = Plugin(Arc::new(Opened { inspection, platforms, sources, file }));
    all.push(plugin.clone());
    Ok(plugin)
}
