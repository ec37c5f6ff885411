//! Whatever happens, and in whatever order looks end: when all is quiet, what is asked for is what is there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;
use salver_core_clock::{Clock as _, ManualClock};
use salver_core_status::Status;

use super::fixture::Versions;
use crate::agenda::{Agenda, News};
use crate::files::{Files, Walk};
use crate::scan::{Job, Scanner};
use crate::{Config, ModelDir};

/// Models by base path, of each the versions and what stands for their files.
type Stored = BTreeMap<PathBuf, BTreeMap<i64, u64>>;

#[derive(Default)]
struct Memory(Mutex<Stored>);

impl Files for Memory {
    fn subfolders(&self, folder: &Path) -> Result<Vec<(OsString, PathBuf)>, Status> {
        let stored = self.0.lock();
        let named = |path: PathBuf| (path.file_name().unwrap().to_owned(), path);
        if folder == Path::new("/r") {
            return Ok(stored.keys().filter(|base| base.starts_with("/r")).cloned().map(named).collect());
        }
        let versions = stored.get(folder).ok_or_else(|| Status::not_found("no such folder"))?;
        Ok(versions.keys().map(|version| named(folder.join(version.to_string()))).collect())
    }

    fn walk(&self, folder: &Path, _: &mut dyn FnMut(&Path)) -> Walk {
        let version: i64 = folder.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let stored = self.0.lock();
        let files = stored.get(folder.parent().unwrap()).and_then(|versions| versions.get(&version));
        Walk { fingerprint: files.copied().unwrap_or(u64::MAX), age: Duration::ZERO }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Writes to a version, which may be new.
    Write(usize, i64),
    RemoveVersion(usize, i64),
    RemoveModel(usize),
    /// Names these models of `/n`, and no others.
    Update(Vec<bool>),
    /// Begins the looks that are due.
    Start,
    /// Ends one of those that are under way, a removed model's perhaps.
    Finish(prop::sample::Index),
    Pass(u64),
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Where the models are: each name in the repository, and elsewhere.
fn base(index: usize) -> PathBuf {
    Path::new(if index < NAMES.len() { "/r" } else { "/n" }).join(NAMES[index % NAMES.len()])
}

fn step() -> impl Strategy<Value = Step> {
    let base = 0..2 * NAMES.len();
    prop_oneof![
        3 => (base.clone(), 1..4_i64).prop_map(|(base, version)| Step::Write(base, version)),
        1 => (base.clone(), 1..4_i64).prop_map(|(base, version)| Step::RemoveVersion(base, version)),
        1 => base.prop_map(Step::RemoveModel),
        1 => prop::collection::vec(any::<bool>(), NAMES.len()).prop_map(Step::Update),
        4 => Just(Step::Start),
        4 => any::<prop::sample::Index>().prop_map(Step::Finish),
        3 => (0..1500_u64).prop_map(Step::Pass),
    ]
}

struct World {
    agenda: Agenda,
    scanner: Scanner,
    clock: ManualClock,
    files: Arc<Memory>,
    named: Vec<bool>,
    /// Looks that have been carried out, or are yet to be, and are not returned.
    under_way: Vec<Job>,
    told: BTreeMap<String, Versions>,
    writes: u64,
}

impl World {
    fn new() -> Self {
        let (clock, files) = (ManualClock::new(), Arc::new(Memory::default()));
        let config = Config { repositories: vec!["/r".into()], watch: false, ..Config::default() };
        let agenda = Agenda::new(&config, clock.now());
        let (shared_files, shared_clock) = (Arc::clone(&files), Arc::new(clock.clone()));
        let scanner = Scanner { config, files: shared_files, clock: shared_clock, inotify: None };
        let (named, under_way, told) = (vec![false; NAMES.len()], Vec::new(), BTreeMap::new());
        Self { agenda, scanner, clock, files, named, under_way, told, writes: 0 }
    }

    fn take(&mut self, step: Step) {
        let mut stored = self.files.0.lock();
        match step {
            Step::Write(index, version) => {
                self.writes += 1;
                stored.entry(base(index)).or_default().insert(version, self.writes);
            }
            Step::RemoveVersion(index, version) => {
                stored.get_mut(&base(index)).map(|versions| versions.remove(&version));
            }
            Step::RemoveModel(index) => drop(stored.remove(&base(index))),
            Step::Update(named) => {
                let dirs = NAMES.iter().zip(&named).filter(|(_, is_named)| **is_named);
                let dirs = dirs.map(|(name, _)| ModelDir::new(*name, Path::new("/n").join(name))).collect();
                self.agenda.update(dirs, self.clock.now());
                self.named = named;
            }
            Step::Start => {
                drop(stored);
                self.start();
            }
            Step::Finish(index) => {
                drop(stored);
                if !self.under_way.is_empty() {
                    self.finish(index.index(self.under_way.len()));
                }
            }
            Step::Pass(milliseconds) => self.clock.advance(Duration::from_millis(milliseconds)),
        }
    }

    fn start(&mut self) {
        self.agenda.notice_stuck(self.clock.now());
        self.under_way.extend(std::iter::from_fn(|| self.agenda.start(self.clock.now())));
        self.listen();
    }

    fn finish(&mut self, index: usize) {
        let done = self.scanner.carry_out(self.under_way.swap_remove(index));
        self.agenda.finish(done, self.clock.now());
        self.listen();
    }

    fn listen(&mut self) {
        for news in self.agenda.take_news() {
            if let News::Aspired(aspired) = news {
                self.told.insert(aspired.stream.to_string(), aspired.versions);
            }
        }
    }

    /// Lets everything come to rest.
    fn rest(&mut self) {
        for _ in 0..20 {
            self.start();
            while !self.under_way.is_empty() {
                self.finish(0);
                self.start();
            }
            self.clock.advance(Duration::from_millis(500));
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let stored = self.files.0.lock();
        for (index, name) in NAMES.iter().enumerate() {
            let of = |path: &Path| stored.get(path).map(|versions| versions.keys().last().copied());
            let told = self.told.get(*name);
            let in_repository = of(&base(index));
            let wanted = if self.named[index] { of(&base(index + NAMES.len())) } else { in_repository };
            match wanted {
                Some(latest) => {
                    let versions = told.unwrap().as_ref().unwrap();
                    let numbers: Vec<_> = versions.iter().map(|one| one.version.number()).collect();
                    prop_assert_eq!(numbers, Vec::from_iter(latest), "{}", name);
                    for one in versions {
                        let home = if self.named[index] { "/n" } else { "/r" };
                        prop_assert!(one.data.as_ref().unwrap().path.starts_with(home));
                    }
                }
                None if self.named[index] => prop_assert!(told.unwrap().is_err(), "{}", name),
                None => prop_assert!(told.is_none_or(|told| *told == Ok(Vec::new())), "{name}: {told:?}"),
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn when_all_is_quiet_what_is_asked_for_is_what_is_there(steps in prop::collection::vec(step(), 0..80)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.rest();
        world.check()?;
    }
}
