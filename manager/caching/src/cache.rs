//! What is loaded, loading, waited for and remembered, as pure state: what happens goes in, what is to be done comes out.
//!
//! Nothing here loads, waits or locks, and time is an argument. A version asked for goes through these stages:
//!
//! ```text
//! Making --made--> Queued --room--> Loading --loaded--> Loaded --evicted--> Leaving --unloaded--> gone
//!    ^                                                                          |
//!    +---------------------------- asked for again meanwhile -------------------+
//! ```
//!
//! A failure at any stage ends it, answers whoever waits, and is remembered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_core_servable::{ServableId, StreamName, Version};
use salver_core_status::{Quoted, Status};

use crate::entry::{Command, Counts, Entry, Levels, Rules, Size, Stage, Waiter};
use crate::eviction::{Ranking, Standing};
use crate::failures::Failures;
use crate::meter::{Meter, Tick};
use crate::offer::Retiring;

/// Generic over what a version is loaded from and over how somebody who waits is answered.
pub(crate) struct Cache<L, W> {
    pub(crate) budget_bytes: u64,
    pub(crate) began: Instant,
    pub(crate) entries: BTreeMap<ServableId, Entry<L, W>>,
    /// Streams whose latest version is being asked for, and who waits for it.
    questions: BTreeMap<StreamName, Vec<Waiter<W>>>,
    /// Those of them whose answer may be out of date when it comes: they are asked again.
    pub(crate) outdated: BTreeSet<StreamName>,
    /// Versions that are not offered any more, and not gone yet.
    pub(crate) retiring: BTreeMap<StreamName, Retiring>,
    /// What was said to be the latest version. It has an entry.
    pub(crate) latest: BTreeMap<StreamName, Version>,
    /// The version that requests for the latest one find. It is loaded.
    pub(crate) labelled: BTreeMap<StreamName, Version>,
    pub(crate) failures: Failures,
    max_pending: usize,
    /// How often each version is pinned, whether it is here or not.
    pub(crate) pins: BTreeMap<ServableId, usize>,
    /// Entries that are `Queued`, in the order in which they get room.
    pub(crate) queue: VecDeque<ServableId>,
    /// What all entries together have reserved.
    pub(crate) used_bytes: u64,
    pub(crate) ranking: Ranking,
    pub(crate) counts: Counts,
    is_closed: bool,
    pub(crate) commands: Vec<Command<L, W>>,
}

/// Whoever asks the cache for something.
impl<L, W> Cache<L, W> {
    pub(crate) fn new(rules: Rules, began: Instant) -> Self {
        let Rules { budget_bytes, eviction, back_off, max_failures, max_pending } = rules;
        Self {
            budget_bytes,
            began,
            entries: BTreeMap::new(),
            questions: BTreeMap::new(),
            outdated: BTreeSet::new(),
            retiring: BTreeMap::new(),
            latest: BTreeMap::new(),
            labelled: BTreeMap::new(),
            failures: Failures::new(back_off, max_failures),
            max_pending,
            pins: BTreeMap::new(),
            queue: VecDeque::new(),
            used_bytes: 0,
            ranking: Ranking::new(eviction),
            counts: Counts::default(),
            is_closed: false,
            commands: Vec::new(),
        }
    }

    /// Wants a version, or the latest one.
    pub(crate) fn request(
        &mut self,
        name: &StreamName,
        version: Option<Version>,
        waiter: Waiter<W>,
        now: Instant,
    ) -> Vec<Command<L, W>> {
        self.counts.misses += 1;
        match version.or_else(|| self.latest.get(name).copied()) {
            Some(version) => self.want(ServableId::new(name.clone(), version), Some(waiter), now),
            None => self.ask_latest(name, Some(waiter), now),
        }
        self.take_commands()
    }

    /// Asks whether the latest version is still the latest.
    pub(crate) fn refresh(&mut self, name: &StreamName, now: Instant) -> Vec<Command<L, W>> {
        self.ask_latest(name, None, now);
        self.take_commands()
    }

    /// Takes back a wish. What is being made or loaded goes on, for others may want it; what waits for room and is
    /// wanted by nobody else is forgotten.
    ///
    /// Returns how somebody who still waited would have been answered.
    pub(crate) fn leave(
        &mut self,
        name: &StreamName,
        number: u64,
        now: Instant,
    ) -> (Option<W>, Vec<Command<L, W>>) {
        let first = ServableId::new(name.clone(), FIRST);
        let entries = self.entries.range_mut(first..).take_while(|(id, _)| id.name == *name);
        let of_entries = entries.map(|(id, entry)| (Some(id), &mut entry.waiters));
        let of_question = self.questions.get_mut(name).map(|waiters| (None, waiters));
        for (id, waiters) in of_entries.chain(of_question) {
            let Some(index) = waiters.iter().position(|waiter| waiter.number == number) else { continue };
            let waiter = waiters.remove(index);
            if let Some(id) = id.filter(|_| waiters.is_empty()).cloned() {
                self.give_up_queued(&id);
                self.fill(now);
            }
            return (Some(waiter.answer), self.take_commands());
        }
        (None, Vec::new())
    }

    /// Keeps a version from being evicted, once it is loaded, until it is unpinned as often.
    pub(crate) fn pin(&mut self, id: ServableId, now: Instant) -> Vec<Command<L, W>> {
        *self.pins.entry(id).or_default() += 1;
        self.fill(now);
        self.take_commands()
    }

    /// Takes one pin away; false if there is none.
    pub(crate) fn unpin(&mut self, id: &ServableId, now: Instant) -> (bool, Vec<Command<L, W>>) {
        let Some(count) = self.pins.get_mut(id) else { return (false, Vec::new()) };
        *count -= 1;
        if *count == 0 {
            self.pins.remove(id);
        }
        self.shed();
        self.fill(now);
        (true, self.take_commands())
    }

    /// Whether a version of the stream is here, or on its way.
    pub(crate) fn has(&self, name: &StreamName) -> bool {
        let is_staying = |entry: &Entry<L, W>| !matches!(entry.stage, Stage::Leaving { .. });
        self.of_stream(name).any(|(_, entry)| is_staying(entry))
    }

    /// Says again which version requests for the latest one find.
    pub(crate) fn relabel(&self, name: &StreamName) -> Vec<Command<L, W>> {
        vec![Command::Label(name.clone(), self.labelled.get(name).copied())]
    }

    /// Answers everybody, and takes in no more.
    pub(crate) fn close(&mut self) -> Vec<Command<L, W>> {
        self.is_closed = true;
        let questions = std::mem::take(&mut self.questions).into_values().flatten();
        let mut waiters: Vec<_> = questions.collect();
        for entry in self.entries.values_mut() {
            waiters.append(&mut entry.waiters);
        }
        for waiter in waiters {
            self.commands.push(Command::Answer(waiter.answer, Err(closed())));
        }
        for id in std::mem::take(&mut self.queue) {
            self.give_up_queued(&id);
        }
        self.take_commands()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn levels(&self) -> Levels {
        let entries = self.entries.values();
        let of_entries = entries.clone().map(|entry| entry.waiters.len());
        let waiting = of_entries.chain(self.questions.values().map(Vec::len)).sum();
        let loaded = entries.filter(|entry| matches!(entry.stage, Stage::Loaded(_))).count();
        Levels { used_bytes: self.used_bytes, loaded, waiting }
    }
}

/// Whoever carries commands out.
impl<L, W> Cache<L, W> {
    /// The factory was asked for the latest version.
    pub(crate) fn latest_known(
        &mut self,
        name: &StreamName,
        outcome: Result<Version, Status>,
        now: Instant,
    ) -> Vec<Command<L, W>> {
        if self.outdated.remove(name) && !self.is_closed {
            return vec![Command::AskLatest(name.clone())];
        }
        let waiters = self.questions.remove(name).unwrap_or_default();
        let key = (name.clone(), None);
        match outcome {
            Ok(version) => {
                self.failures.forget(&key);
                let id = ServableId::new(name.clone(), version);
                let is_refresh = waiters.is_empty();
                for waiter in waiters {
                    self.want(id.clone(), Some(waiter), now);
                }
                if is_refresh {
                    self.want(id.clone(), None, now);
                }
                // There is none where the version failed a while ago and may not be tried yet.
                if let Some(entry) = self.entries.get(&id) {
                    self.latest.insert(name.clone(), version);
                    if let Stage::Loaded(standing) = &entry.stage {
                        standing.meter.confirm(Tick::of(now, self.began));
                        self.label(&id);
                    }
                }
            }
            Err(status) => self.answer_failure(key, waiters, status, now),
        }
        self.take_commands()
    }

    /// What a version is loaded from was made, and its size is known.
    pub(crate) fn made(
        &mut self,
        id: &ServableId,
        outcome: Result<(L, Size), Status>,
        now: Instant,
    ) -> Vec<Command<L, W>> {
        match (outcome, self.entries.get_mut(id)) {
            (Ok((loader, _)), None) => self.commands.push(Command::Drop(loader)),
            (Ok((loader, _)), Some(_)) if self.is_closed => {
                self.commands.push(Command::Drop(loader));
                self.remove(id);
            }
            (Ok((loader, size)), Some(_)) if size.peak() > self.budget_bytes => {
                self.commands.push(Command::Drop(loader));
                let status = too_large(id, size.peak(), self.budget_bytes);
                self.fail(id, status, now);
            }
            (Ok((loader, size)), Some(entry)) => {
                entry.stage = Stage::Queued(loader, size);
                self.queue.push_back(id.clone());
                self.fill(now);
            }
            (Err(status), _) => self.fail(id, status, now),
        }
        self.take_commands()
    }

    /// A version is loaded and available, or it is not.
    pub(crate) fn load_ended(
        &mut self,
        id: &ServableId,
        outcome: Result<(), Status>,
        now: Instant,
    ) -> Vec<Command<L, W>> {
        let Some(entry) = self.entries.get_mut(id) else { return Vec::new() };
        let Stage::Loading { reserved, size, meter, began } = &entry.stage else { return Vec::new() };
        let (reserved, size, meter) = (*reserved, *size, Arc::clone(meter));
        let took = now.saturating_duration_since(*began);
        self.used_bytes = self.used_bytes.saturating_sub(reserved);
        match outcome {
            Ok(()) => self.loaded(id, size, meter, took, now),
            Err(status) => self.fail(id, status, now),
        }
        self.fill(now);
        self.take_commands()
    }

    /// A version is gone, and its room is free.
    pub(crate) fn unload_ended(&mut self, id: &ServableId, now: Instant) -> Vec<Command<L, W>> {
        let Some(entry) = self.entries.get_mut(id) else { return Vec::new() };
        let Stage::Leaving { reserved } = entry.stage else { return Vec::new() };
        self.used_bytes = self.used_bytes.saturating_sub(reserved);
        if entry.waiters.is_empty() {
            self.remove(id);
        } else {
            entry.stage = Stage::Making;
            self.commands.push(Command::Make(id.clone()));
        }
        self.fill(now);
        self.take_commands()
    }
}

/// The steps they are made of.
impl<L, W> Cache<L, W> {
    pub(crate) fn of_stream(&self, name: &StreamName) -> impl Iterator<Item = (&ServableId, &Entry<L, W>)> {
        let first = ServableId::new(name.clone(), FIRST);
        self.entries.range(first..).take_while(move |(id, _)| id.name == *name)
    }

    pub(crate) fn has_question(&self, name: &StreamName) -> bool {
        self.questions.contains_key(name)
    }

    pub(crate) fn take_commands(&mut self) -> Vec<Command<L, W>> {
        std::mem::take(&mut self.commands)
    }

    pub(crate) fn answer(&mut self, waiter: Option<Waiter<W>>, answer: Result<ServableId, Status>) {
        if let Some(waiter) = waiter {
            self.commands.push(Command::Answer(waiter.answer, answer));
        }
    }

    /// Answers at once, joins those who wait, or begins to make the version.
    fn want(&mut self, id: ServableId, waiter: Option<Waiter<W>>, now: Instant) {
        let tick = Tick::of(now, self.began);
        match self.entries.get_mut(&id) {
            _ if self.is_closed => self.answer(waiter, Err(closed())),
            Some(Entry { stage: Stage::Loaded(standing), .. }) => {
                standing.meter.touch(tick);
                self.answer(waiter, Ok(id));
            }
            Some(entry) => entry.waiters.extend(waiter),
            None => match self.failures.refuse(&(id.name.clone(), Some(id.version)), now) {
                Some(status) => {
                    self.counts.refusals += 1;
                    self.answer(waiter, Err(status));
                }
                None if self.is_full() => self.answer(waiter, Err(full(self.max_pending))),
                None => {
                    let waiters = waiter.into_iter().collect();
                    self.entries.insert(id.clone(), Entry { stage: Stage::Making, waiters });
                    self.commands.push(Command::Make(id));
                }
            },
        }
    }

    pub(crate) fn ask_latest(&mut self, name: &StreamName, waiter: Option<Waiter<W>>, now: Instant) {
        if self.is_closed {
            self.answer(waiter, Err(closed()));
        } else if let Some(waiters) = self.questions.get_mut(name) {
            waiters.extend(waiter);
        } else if let Some(status) = self.failures.refuse(&(name.clone(), None), now) {
            self.counts.refusals += 1;
            self.answer(waiter, Err(status));
        } else if self.is_full() {
            self.answer(waiter, Err(full(self.max_pending)));
        } else {
            self.questions.insert(name.clone(), waiter.into_iter().collect());
            self.commands.push(Command::AskLatest(name.clone()));
        }
    }

    /// Whether so much is on its way to a load that no more is begun.
    fn is_full(&self) -> bool {
        let is_pending = |entry: &&Entry<L, W>| matches!(entry.stage, Stage::Making | Stage::Queued(..));
        let pending = self.entries.values().filter(is_pending).count().saturating_add(self.questions.len());
        pending >= self.max_pending
    }

    fn loaded(&mut self, id: &ServableId, size: Size, meter: Arc<Meter>, took: Duration, now: Instant) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let bytes = meter.measured().unwrap_or(size.loaded);
        let tick = Tick::of(now, self.began);
        meter.touch(tick);
        meter.confirm(tick);
        self.used_bytes = self.used_bytes.saturating_add(bytes);
        entry.stage = Stage::Loaded(Standing::new(meter, bytes, took));
        self.counts.loads += 1;
        for waiter in std::mem::take(&mut entry.waiters) {
            self.answer(Some(waiter), Ok(id.clone()));
        }
        self.failures.forget(&(id.name.clone(), Some(id.version)));
        if self.latest.get(&id.name) == Some(&id.version) {
            self.label(id);
        }
        self.retire(&id.name);
        self.shed();
    }

    fn label(&mut self, id: &ServableId) {
        if self.labelled.insert(id.name.clone(), id.version) != Some(id.version) {
            self.commands.push(Command::Label(id.name.clone(), Some(id.version)));
        }
        self.retire(&id.name);
    }

    /// A version ends: its failure is remembered, and everybody who waits for it is told.
    fn fail(&mut self, id: &ServableId, status: Status, now: Instant) {
        let is_latest = self.latest.get(&id.name) == Some(&id.version);
        let waiters = self.remove(id);
        if is_latest {
            // Else the factory would be asked for the latest version all the while that this one may not be tried.
            self.failures.note((id.name.clone(), None), status.clone(), now);
        }
        self.answer_failure((id.name.clone(), Some(id.version)), waiters, status, now);
    }

    fn answer_failure(
        &mut self,
        key: (StreamName, Option<Version>),
        waiters: Vec<Waiter<W>>,
        status: Status,
        now: Instant,
    ) {
        for waiter in waiters {
            self.answer(Some(waiter), Err(status.clone()));
        }
        self.counts.failures += 1;
        self.failures.note(key, status, now);
    }

    /// Forgets an entry; what it had reserved is settled by the caller. Returns who waited.
    fn remove(&mut self, id: &ServableId) -> Vec<Waiter<W>> {
        if self.latest.get(&id.name) == Some(&id.version) {
            self.latest.remove(&id.name);
        }
        self.is_gone(id);
        self.entries.remove(id).map(|entry| entry.waiters).unwrap_or_default()
    }

    /// Forgets an entry that waits for room and for which nobody waits.
    pub(crate) fn give_up_queued(&mut self, id: &ServableId) {
        let is_queued = |entry: &Entry<L, W>| matches!(entry.stage, Stage::Queued(..));
        if !self.entries.get(id).is_some_and(is_queued) {
            return;
        }
        self.queue.retain(|queued| queued != id);
        if self.latest.get(&id.name) == Some(&id.version) {
            self.latest.remove(&id.name);
        }
        self.is_gone(id);
        if let Some(Entry { stage: Stage::Queued(loader, _), .. }) = self.entries.remove(id) {
            self.commands.push(Command::Drop(loader));
        }
    }
}

/// The smallest version.
const FIRST: Version = match Version::new(0) {
    Some(version) => version,
    None => unreachable!(),
};

fn closed() -> Status {
    Status::unavailable("the manager is shutting down")
}

fn full(limit: usize) -> Status {
    Status::resource_exhausted(format!("{limit} other versions wait to be loaded, which is the limit"))
}

fn too_large(id: &ServableId, wanted: u64, budget: u64) -> Status {
    let (name, version) = (Quoted(id.name.as_str()), id.version);
    Status::resource_exhausted(format!(
        "version {version} of {name} does not fit: wants {wanted} bytes, the whole budget is {budget}"
    ))
}
