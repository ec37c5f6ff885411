//! A folder to fill, and an agenda that is driven by hand, with time standing still.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex};
use salver_core_clock::{Clock as _, ManualClock};
use salver_core_loader::{Aspired, AspiredVersions, Target};
use salver_core_servable::Version;
use salver_core_status::Status;
use tempfile::TempDir;

use crate::agenda::{Agenda, News};
use crate::files::{Disk, Files, Walk};
use crate::scan::{Job, Scanner};
use crate::{Config, ModelDir, VersionPath, VersionPolicy};

pub(super) type Versions = Result<Vec<Aspired<VersionPath>>, Status>;

/// Longer than what is new stays new.
pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) struct Fixture {
    pub(super) folder: TempDir,
    pub(super) agenda: Agenda,
    pub(super) files: Arc<FakeFiles>,
    scanner: Scanner,
    clock: ManualClock,
}

pub(super) fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

pub(super) fn numbers(versions: &Versions) -> Vec<i64> {
    versions.as_ref().unwrap().iter().map(|one| one.version.number()).collect()
}

impl Fixture {
    /// Watches what the configuration says of a new folder. What is put there before the first scan is old.
    pub(super) fn new(configure: impl FnOnce(&Path, &mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { watch: false, ..Config::default() };
        configure(folder.path(), &mut config);
        let (clock, files) = (ManualClock::new(), Arc::new(FakeFiles::default()));
        files.say_age(LONG);
        let agenda = Agenda::new(&config, clock.now());
        let (shared_files, shared_clock) = (Arc::clone(&files), Arc::new(clock.clone()));
        let scanner = Scanner { config, files: shared_files, clock: shared_clock, inotify: None };
        Self { folder, agenda, files, scanner, clock }
    }

    /// Watches model `m` in a folder `m` that exists.
    pub(super) fn model(policy: VersionPolicy) -> Self {
        Self::new(|folder, config| {
            fs::create_dir(folder.join("m")).unwrap();
            config.models = vec![ModelDir::new("m", folder.join("m"))];
            config.default_policy.versions = policy;
        })
    }

    /// Watches the folder `r` as a repository.
    pub(super) fn repository(adjust: impl FnOnce(&mut Config)) -> Self {
        Self::new(|folder, config| {
            fs::create_dir(folder.join("r")).unwrap();
            config.repositories = vec![folder.join("r")];
            adjust(config);
        })
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(super) fn add(&mut self, path: &str) -> &mut Self {
        fs::create_dir_all(self.path(path)).unwrap();
        fs::write(self.path(path).join("model"), path).unwrap();
        self
    }

    pub(super) fn remove(&mut self, path: &str) -> &mut Self {
        fs::remove_dir_all(self.path(path)).unwrap();
        self
    }

    /// Lets so many milliseconds pass, and looks at what is due by then.
    pub(super) fn pass(&mut self, milliseconds: u64) -> BTreeMap<String, Versions> {
        self.clock.advance(Duration::from_millis(milliseconds));
        self.work()
    }

    /// Looks at everything, and returns what is asked for last of each model.
    pub(super) fn scan(&mut self) -> BTreeMap<String, Versions> {
        self.agenda.rescan(self.clock.now());
        self.work()
    }

    pub(super) fn update(&mut self, models: Vec<ModelDir>) -> BTreeMap<String, Versions> {
        self.agenda.update(models, self.clock.now());
        self.work()
    }

    /// Starts the next look that is due. Until it is carried out, it hangs.
    pub(super) fn start(&mut self) -> Job {
        self.agenda.start(self.clock.now()).unwrap()
    }

    /// Ends a look, and returns what is asked for thereupon.
    pub(super) fn finish(&mut self, job: Job) -> BTreeMap<String, Versions> {
        self.agenda.finish(self.scanner.carry_out(job), self.clock.now());
        self.listen()
    }

    /// Looks at what is due, and returns what is asked for last of each model.
    pub(super) fn work(&mut self) -> BTreeMap<String, Versions> {
        let now = self.clock.now();
        self.agenda.notice_stuck(now);
        while let Some(job) = self.agenda.start(now) {
            let done = self.scanner.carry_out(job);
            self.agenda.finish(done, now);
        }
        self.listen()
    }

    fn listen(&mut self) -> BTreeMap<String, Versions> {
        let mut told = BTreeMap::new();
        for news in self.agenda.take_news() {
            if let News::Aspired(AspiredVersions { stream, versions }) = news {
                told.insert(stream.to_string(), versions);
            }
        }
        told
    }

    /// Scans, and returns the numbers asked for of one model.
    pub(super) fn numbers(&mut self, name: &str) -> Vec<i64> {
        numbers(&self.scan()[name])
    }

    /// Scans until what was added counts as complete.
    pub(super) fn settled(&mut self, name: &str) -> Vec<i64> {
        self.scan();
        self.clock.advance(Duration::from_secs(1));
        self.numbers(name)
    }

    /// How many milliseconds from now the agenda has something to do by itself.
    pub(super) fn next(&self) -> Option<u128> {
        let now = self.clock.now();
        self.agenda.next(now).map(|at| at.saturating_duration_since(now).as_millis())
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(super) fn is_seen(&self) -> bool {
        self.agenda.is_seen(self.clock.now())
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.agenda.is_awaited(self.clock.now())
    }
}

/// The file system, which takes all it has for as old as it is told, and hangs where it is told to.
#[derive(Default)]
pub(super) struct FakeFiles {
    age: Mutex<Duration>,
    hanging: Mutex<Option<PathBuf>>,
    released: Condvar,
}

impl FakeFiles {
    pub(super) fn say_age(&self, age: Duration) {
        *self.age.lock() = age;
    }

    pub(super) fn hang_at(&self, path: &Path) {
        *self.hanging.lock() = Some(path.to_owned());
    }

    pub(super) fn release(&self) {
        *self.hanging.lock() = None;
        self.released.notify_all();
    }

    fn pass(&self, path: &Path) {
        let mut hanging = self.hanging.lock();
        while hanging.as_deref() == Some(path) {
            self.released.wait(&mut hanging);
        }
    }
}

impl Files for FakeFiles {
    fn subfolders(&self, folder: &Path) -> Result<Vec<(OsString, PathBuf)>, Status> {
        self.pass(folder);
        Disk.subfolders(folder)
    }

    fn walk(&self, folder: &Path, enter: &mut dyn FnMut(&Path)) -> Walk {
        self.pass(folder);
        Walk { age: *self.age.lock(), ..Disk.walk(folder, enter) }
    }
}

/// Passes on what it is told.
pub(super) struct Forward(pub(super) Sender<AspiredVersions<VersionPath>>);

impl Target<VersionPath> for Forward {
    fn set_aspired(&self, aspired: AspiredVersions<VersionPath>) {
        let _ = self.0.send(aspired);
    }
}
