//! Word from the system that something changed in a folder: Linux's inotify.
//!
//! A help and no more: a folder that cannot be watched is looked at as often as its model's policy says, and so is
//! every other, for file systems on a network tell of no change that another machine makes.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::{self, Errno};

use crate::listing::shown;
use crate::timetable::PlaceId;

/// How many folders are watched at most. Each takes about a kilobyte of the kernel's memory.
const MOST: usize = 8192;

/// How many folders are watched of one place.
const MOST_OF_ONE: usize = 256;

/// How long the thread waits after it has told of changes: they come in flocks.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// What matters to a listing, or to the files of a version. Not each write: the end of writing is told of.
const FLAGS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Where something changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// At these places.
    At(BTreeSet<PlaceId>),
    /// The system lost count.
    Anywhere,
}

/// Which folders are watched, and for which places.
#[derive(Debug)]
pub(crate) struct Inotify {
    queue: OwnedFd,
    /// How many there may be.
    most: usize,
    watches: Mutex<Watches>,
    has_warned: AtomicBool,
}

#[derive(Debug, Default)]
struct Watches {
    places: BTreeMap<i32, BTreeSet<PlaceId>>,
    of_place: BTreeMap<PlaceId, BTreeSet<i32>>,
}

impl Inotify {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The system has none to give.
    pub(crate) fn new() -> io::Result<Self> {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { queue, most: MOST, watches: Mutex::default(), has_warned: AtomicBool::new(false) })
    }

    /// Begins to watch the folders of a place anew.
    pub(crate) fn visit(&self, place: PlaceId) -> Visit<'_> {
        Visit { inotify: self, place, watches: BTreeSet::new() }
    }

    /// Watches a place no more.
    pub(crate) fn forget(&self, place: PlaceId) {
        self.visit(place).end();
    }

    /// What changed since this was asked last. Does not block.
    fn read(&self) -> Changed {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.queue, &mut buffer);
        let mut places = BTreeSet::new();
        let mut is_lost = false;
        // Ends with the queue: of what is told endlessly, the rest is told next time.
        for _ in 0..10_000 {
            let Ok(event) = reader.next() else { break };
            is_lost |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            let mut watches = self.watches.lock();
            places.extend(watches.places.get(&event.wd()).into_iter().flatten());
            if event.events().contains(ReadFlags::IGNORED) {
                watches.remove(event.wd());
            }
        }
        if is_lost { Changed::Anywhere } else { Changed::At(places) }
    }

    /// Tells, once, that some folder is not watched.
    fn warn(&self, path: &Path, why: &str) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            let path = shown(path);
            tracing::warn!(
                "{path} cannot be watched, nor perhaps others: {why}; they are looked at from time to time"
            );
        }
    }
}

/// One look at a place, during which its folders are watched one by one.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    inotify: &'a Inotify,
    place: PlaceId,
    watches: BTreeSet<i32>,
}

impl Visit<'_> {
    /// Watches a folder from here on. Whoever reads it after that is told of what changes after that. May block, and
    /// holds up nobody else meanwhile.
    pub(crate) fn enter(&mut self, folder: &Path) {
        if self.watches.len() >= MOST_OF_ONE {
            return;
        }
        match inotify::add_watch(&self.inotify.queue, folder, FLAGS) {
            Ok(watch) if self.inotify.watches.lock().add(self.place, watch, self.inotify.most) => {
                self.watches.insert(watch);
            }
            Ok(watch) => {
                let _ = inotify::remove_watch(&self.inotify.queue, watch);
                self.inotify.warn(folder, &format!("{} folders are watched already", self.inotify.most));
            }
            // Whoever reads it will see for themselves.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) => {}
            Err(error) => self.inotify.warn(folder, &error.to_string()),
        }
    }

    /// Watches the folders entered, and none that were watched for the place before.
    pub(crate) fn end(self) {
        let left = self.inotify.watches.lock().retain(self.place, self.watches);
        for watch in left {
            // It may be gone with its folder.
            let _ = inotify::remove_watch(&self.inotify.queue, watch);
        }
    }

    /// Watches nothing of the place.
    pub(crate) fn give_up(mut self) {
        self.watches.clear();
        // Those of this visit are known as the place's own by now.
        self.end();
    }
}

impl Watches {
    /// Takes in a watch. False: it is a new one, and one too many.
    fn add(&mut self, place: PlaceId, watch: i32, most: usize) -> bool {
        if !self.places.contains_key(&watch) && self.places.len() >= most {
            return false;
        }
        self.places.entry(watch).or_default().insert(place);
        self.of_place.entry(place).or_default().insert(watch);
        true
    }

    /// Leaves a place these watches alone, and returns those that nobody needs any more.
    fn retain(&mut self, place: PlaceId, kept: BTreeSet<i32>) -> Vec<i32> {
        let before = self.of_place.remove(&place).unwrap_or_default();
        let mut left = Vec::new();
        for watch in before.difference(&kept) {
            let Some(places) = self.places.get_mut(watch) else { continue };
            places.remove(&place);
            if places.is_empty() {
                self.places.remove(watch);
                left.push(*watch);
            }
        }
        if !kept.is_empty() {
            self.of_place.insert(place, kept);
        }
        left
    }

    /// Forgets a watch that is no more.
    fn remove(&mut self, watch: i32) {
        for place in self.places.remove(&watch).unwrap_or_default() {
            self.of_place.get_mut(&place).map(|watches| watches.remove(&watch));
        }
    }
}

/// The thread that tells of changes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Starts the thread. It calls `tell`, and ends when that returns false.
    ///
    /// # Errors
    /// The system has no thread to give, or nothing to end it by.
    pub(crate) fn start(
        inotify: Arc<Inotify>,
        mut tell: impl FnMut(Changed) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let stopped = Arc::clone(&stop);
        let listen = move || {
            while !wait(&[&inotify.queue, &stopped], &stopped, None) {
                let changed = inotify.read();
                if changed != Changed::At(BTreeSet::new()) && !tell(changed) {
                    return;
                }
                if wait(&[&stopped], &stopped, Some(&PAUSE)) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("salver-watch".to_owned()).spawn(listen)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

/// Waits until there is something to be read, and returns whether it is the word to stop.
fn wait(files: &[&OwnedFd], stopped: &OwnedFd, timeout: Option<&Timespec>) -> bool {
    let mut fds: Vec<_> = files.iter().map(|file| PollFd::new(*file, PollFlags::IN)).collect();
    match poll(&mut fds, timeout) {
        Ok(_) => {}
        Err(Errno::INTR) => return false,
        Err(error) => {
            tracing::error!(%error, "waiting for changes failed: folders are looked at from time to time");
            return true;
        }
    }
    files.iter().zip(&fds).any(|(file, fd)| std::ptr::eq(*file, stopped) && !fd.revents().is_empty())
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Err(error) = io::write(&*self.stop, &1_u64.to_ne_bytes()) {
            tracing::error!(%error, "thread that watches model directories cannot be told to end");
            return;
        }
        let Some(thread) = self.thread.take() else { return };
        if thread.join().is_err() {
            tracing::error!("thread that watches model directories ended with a panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn at(places: &[PlaceId]) -> Changed {
        Changed::At(places.iter().copied().collect())
    }

    fn watch(inotify: &Inotify, place: PlaceId, folders: &[&Path]) {
        let mut visit = inotify.visit(place);
        folders.iter().for_each(|folder| visit.enter(folder));
        visit.end();
    }

    #[test]
    fn a_change_is_told_of_to_every_place_that_watches_the_folder_now() {
        let (inotify, folder) = (Inotify::new().unwrap(), tempfile::tempdir().unwrap());
        let path = folder.path();
        watch(&inotify, 1, &[path]);
        watch(&inotify, 2, &[path]);
        assert_eq!(inotify.read(), at(&[]));
        fs::create_dir(path.join("1")).unwrap();
        assert_eq!(inotify.read(), at(&[1, 2]));
        inotify.forget(1);
        fs::rename(path.join("1"), path.join("2")).unwrap();
        assert_eq!(inotify.read(), at(&[2]));
        inotify.visit(2).give_up();
        fs::create_dir(path.join("3")).unwrap();
        assert_eq!(inotify.read(), at(&[]));
        assert!(inotify.watches.lock().places.is_empty() && inotify.watches.lock().of_place.is_empty());
    }

    #[test]
    fn files_are_told_of_when_they_are_written_or_may_be_read_and_not_when_they_are_read() {
        let (inotify, folder) = (Inotify::new().unwrap(), tempfile::tempdir().unwrap());
        let file = folder.path().join("model");
        fs::write(&file, "1").unwrap();
        watch(&inotify, 1, &[folder.path()]);
        fs::read(&file).unwrap();
        fs::read_dir(folder.path()).unwrap();
        assert_eq!(inotify.read(), at(&[]));
        fs::write(&file, "2").unwrap();
        assert_eq!(inotify.read(), at(&[1]));
        fs::set_permissions(&file, fs::metadata(&file).unwrap().permissions()).unwrap();
        assert_eq!(inotify.read(), at(&[1]));
    }

    #[test]
    fn a_folder_that_goes_away_is_told_of_and_forgotten() {
        let (inotify, folder) = (Inotify::new().unwrap(), tempfile::tempdir().unwrap());
        let path = folder.path().join("m");
        fs::create_dir(&path).unwrap();
        watch(&inotify, 1, &[&path]);
        fs::remove_dir(&path).unwrap();
        assert_eq!(inotify.read(), at(&[1]));
        assert!(inotify.watches.lock().places.is_empty());
        watch(&inotify, 1, &[&path]);
        assert!(!inotify.has_warned.load(Ordering::Relaxed), "whoever reads it sees for themselves");
    }

    #[test]
    fn no_more_folders_are_watched_than_may_be_and_it_is_said_once() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let inotify = Inotify { most: 1, ..Inotify::new().unwrap() };
        watch(&inotify, 1, &[first.path()]);
        assert!(!inotify.has_warned.load(Ordering::Relaxed));
        watch(&inotify, 1, &[first.path()]);
        assert!(!inotify.has_warned.load(Ordering::Relaxed), "it is watched already");
        watch(&inotify, 2, &[second.path()]);
        assert!(inotify.has_warned.load(Ordering::Relaxed));
        fs::create_dir(second.path().join("1")).unwrap();
        assert_eq!(inotify.read(), at(&[]));
        fs::create_dir(first.path().join("1")).unwrap();
        assert_eq!(inotify.read(), at(&[1]));
    }
}
