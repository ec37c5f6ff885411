//! Says what it is told to say.
//!
//! A [`PushSource`] is fed by the program that it is part of: by a request to reload the configuration, by whoever keeps
//! a fleet in step, or once, at the start, by a program that serves the same models for ever. It remembers what it was
//! told last, so that it can be fed before it is connected.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//! use salver_core_loader::{Adapted, Aspired, LoadContext, Loader, Source, SourceAdapter};
//! use salver_core_servable::{Lookup, ServableId, Version, VersionChoice};
//! use salver_core_status::Status;
//! use salver_manager_aspired::{AspiredManager, Options};
//! use salver_manager_monitor::Monitor;
//! use salver_manager_source_push::PushSource;
//!
//! /// Counts letters of a language.
//! struct Alphabet(&'static str);
//!
//! impl Loader for Alphabet {
//!     type Servable = usize;
//!
//!     fn load(&mut self, _context: &LoadContext<'_>) -> Result<usize, Status> {
//!         Ok(self.0.chars().count())
//!     }
//! }
//!
//! struct MakeAlphabet;
//!
//! impl SourceAdapter<&'static str, Alphabet> for MakeAlphabet {
//!     fn convert(&self, _id: &ServableId, letters: &'static str) -> Result<Alphabet, Status> {
//!         Ok(Alphabet(letters))
//!     }
//! }
//!
//! // A fixed set of servables, said once.
//! let mut source = PushSource::new();
//! let version = Aspired { version: Version::new(1).unwrap(), revision: 0, data: Ok("aeiou") };
//! source.set("vowels".into(), vec![version])?;
//!
//! let monitor = Arc::new(Monitor::default());
//! let manager = AspiredManager::start(Options::new(monitor.clone()))?;
//! source.connect(Arc::new(Adapted::new(MakeAlphabet, manager.clone())));
//!
//! let deadline = Instant::now() + Duration::from_secs(10);
//! assert!(monitor.wait_until_settled(&["vowels".into()], deadline));
//! assert_eq!(*manager.serving().get("vowels", VersionChoice::Latest)?, 5);
//! # Ok::<(), Status>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use parking_lot::Mutex;
use salver_core_loader::{Aspired, AspiredVersions, SharedTarget, Source};
use salver_core_servable::StreamName;
use salver_core_status::{Quoted, Status};

/// The full set of versions of each stream that a source names.
pub type Desired<D> = BTreeMap<StreamName, Vec<Aspired<D>>>;

/// A source that says what it is told to say.
///
/// Thread-safe. Callers take turns: what the target is told of a stream last is what the source was told last. The
/// target is told before a call returns, and must not call the source.
///
/// What cannot be copied, such as a loader, is made from the data by an adapter between source and target.
pub struct PushSource<D> {
    /// Held while the target is told anything.
    state: Mutex<State<D>>,
}

struct State<D> {
    desired: Desired<D>,
    target: Option<SharedTarget<D>>,
}

impl<D: Clone + 'static> PushSource<D> {
    /// A source that names no stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says which versions a stream should have, in place of all it had. With none, the stream is unloaded and named all
    /// the same.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: the stream has no name, or a version comes twice; nothing has changed then.
    pub fn set(&self, stream: StreamName, versions: Vec<Aspired<D>>) -> Result<(), Status> {
        check(&stream, &versions)?;
        self.state.lock().set(stream, versions);
        Ok(())
    }

    /// Unloads a stream and names it no more. Returns whether it was named; if not, nobody is told.
    pub fn remove(&self, stream: &str) -> bool {
        self.state.lock().remove(stream)
    }

    /// Puts these sets in place of all there were: a stream that is not among them is removed. Removals are said first, so
    /// that there is room for what comes.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, as for [`PushSource::set`]; nothing has changed then, for any stream.
    pub fn replace_all(&self, desired: Desired<D>) -> Result<(), Status> {
        for (stream, versions) in &desired {
            check(stream, versions)?;
        }
        let mut state = self.state.lock();
        let gone: Vec<_> =
            state.desired.keys().filter(|stream| !desired.contains_key(*stream)).cloned().collect();
        for stream in gone {
            state.remove(stream.as_str());
        }
        for (stream, versions) in desired {
            state.set(stream, versions);
        }
        Ok(())
    }

    /// What the source says at present.
    pub fn desired(&self) -> Desired<D> {
        self.state.lock().desired.clone()
    }
}

impl<D: Clone + 'static> State<D> {
    fn set(&mut self, stream: StreamName, versions: Vec<Aspired<D>>) {
        self.desired.insert(stream.clone(), versions.clone());
        self.tell(stream, versions);
    }

    fn remove(&mut self, stream: &str) -> bool {
        let Some((stream, _)) = self.desired.remove_entry(stream) else { return false };
        self.tell(stream, Vec::new());
        true
    }

    fn tell(&self, stream: StreamName, versions: Vec<Aspired<D>>) {
        if let Some(target) = &self.target {
            target.set_aspired(AspiredVersions { stream, versions: Ok(versions) });
        }
    }
}

/// Checks what a target relies on.
fn check<D>(stream: &StreamName, versions: &[Aspired<D>]) -> Result<(), Status> {
    if stream.as_str().is_empty() {
        return Err(Status::invalid_argument("stream has an empty name"));
    }
    let mut seen = BTreeSet::new();
    match versions.iter().find(|one| !seen.insert(one.version)) {
        None => Ok(()),
        Some(Aspired { version, .. }) => {
            let stream = Quoted(stream.as_str());
            Err(Status::invalid_argument(format!("version {version} of {stream} is given more than once")))
        }
    }
}

impl<D: Clone + 'static> Source<D> for PushSource<D> {
    /// Tells the target every set, and from then on every change. A target that was connected before hears no more.
    fn connect(&mut self, target: SharedTarget<D>) {
        let mut state = self.state.lock();
        state.target = Some(target);
        for (stream, versions) in state.desired.clone() {
            state.tell(stream, versions);
        }
    }
}

impl<D> Default for PushSource<D> {
    fn default() -> Self {
        Self { state: Mutex::new(State { desired: BTreeMap::new(), target: None }) }
    }
}

impl<D> fmt::Debug for PushSource<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let streams: Vec<_> = state.desired.keys().map(StreamName::as_str).collect();
        f.debug_struct("PushSource")
            .field("streams", &streams)
            .field("is_connected", &state.target.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests;
