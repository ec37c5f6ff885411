//! Plays the threads of a manager: carries out what a core decides, in any order, with any result, and checks at every
//! step that nothing is done that must not be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use salver_core_loader::CancelFlag;
use salver_core_resource::{Allocation, Estimate, Resource};
use salver_core_servable::{ServableId, ServableState, StateEvent};
use salver_core_status::Status;

use super::engine::{Command, Core, Director, Moment, Outcome, Registry, Rules};

/// Numbers that look random and are the same for the same seed (Steele et al., 2014: SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len() as u64) as usize].clone()
    }
}

/// What a version is loaded from: what it will take, and the means to see that none is left over.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) loading: u64,
    pub(super) loaded: u64,
    /// Says that it was dropped.
    _alive: Arc<()>,
}

impl Token {
    fn estimate(&self) -> Estimate {
        Estimate { loading: Allocation::ram_bytes(self.loading), loaded: Allocation::ram_bytes(self.loaded) }
    }
}

/// Something under way.
#[derive(Debug)]
enum Job {
    Estimate(ServableId, Token),
    Load(ServableId, Token, CancelFlag),
    Vacate(ServableId),
    Unload(ServableId),
}

/// What was begun, and which other versions of the stream there were at that moment.
#[derive(Debug)]
pub(super) enum Deed {
    /// A load, beside those that are loaded.
    Load(ServableId, Vec<ServableId>),
    /// An unload, beside those that requests find.
    Withdraw(ServableId, Vec<ServableId>),
}

/// A core, and all that is under way.
pub(super) struct World<X: Director<Token>> {
    pub(super) core: Core<Token, X>,
    pub(super) dice: Dice,
    moment: Moment,
    rules: Rules,
    jobs: Vec<Job>,
    /// Loaded and not yet unloaded, whether requests find it or not, and what it takes.
    pub(super) loaded: BTreeMap<ServableId, (Token, u64)>,
    pub(super) published: BTreeSet<ServableId>,
    states: BTreeMap<ServableId, ServableState>,
    /// Since the log was taken last.
    log: Vec<Deed>,
    alive: Arc<()>,
    /// Whether all attempts succeed but those of version 0, and all that is measured is as estimated.
    pub(super) is_tame: bool,
    /// How many jobs were done.
    pub(super) n_jobs: usize,
}

impl<X: Director<Token>> World<X> {
    pub(super) fn new(rules: Rules, director: X, seed: u64) -> Self {
        let moment = Moment { now: Instant::now(), date: SystemTime::UNIX_EPOCH };
        Self {
            core: Core::new(rules.clone(), director, moment).unwrap(),
            dice: Dice::new(seed),
            moment,
            rules,
            jobs: Vec::new(),
            loaded: BTreeMap::new(),
            published: BTreeSet::new(),
            states: BTreeMap::new(),
            log: Vec::new(),
            alive: Arc::default(),
            is_tame: false,
            n_jobs: 0,
        }
    }

    /// Something to load from, of any size.
    pub(super) fn token(&mut self) -> Token {
        let loaded = self.dice.roll(60);
        let loading = loaded + if self.dice.chance(50) { self.dice.roll(30) } else { 0 };
        self.token_of(loading, loaded)
    }

    pub(super) fn token_of(&self, loading: u64, loaded: u64) -> Token {
        Token { loading, loaded, _alive: Arc::clone(&self.alive) }
    }

    /// Asks for something, and takes up what is to be done about it.
    pub(super) fn act<R>(&mut self, act: impl FnOnce(&mut X, &mut Registry<Token>) -> R) -> R {
        let result = self.core.act(self.moment, act);
        self.carry_out_all();
        result
    }

    pub(super) fn close(&mut self) {
        self.core.close(self.moment);
        self.carry_out_all();
    }

    /// What was begun since this was asked last.
    pub(super) fn take_log(&mut self) -> Vec<Deed> {
        std::mem::take(&mut self.log)
    }

    /// Changes how many loads may run at a time.
    pub(super) fn set_load_slots(&mut self, slots: usize) {
        self.rules.load_slots = slots;
        self.act(|_, registry| registry.set_load_slots(slots));
    }

    pub(super) fn pass_time(&mut self, time: Duration) {
        self.moment.now += time;
        self.act(|_, _| ());
    }

    /// Ends an estimate.
    pub(super) fn finish_estimate(&mut self, wanted: &ServableId) {
        let is_it = |job: &Job| matches!(job, Job::Estimate(id, _) if id == wanted);
        let index = self.jobs.iter().position(is_it).unwrap();
        let job = self.jobs.swap_remove(index);
        self.finish(job);
    }

    /// Does one thing that is under way; or lets time pass until something is. False if there is nothing to wait for.
    pub(super) fn progress(&mut self) -> bool {
        if !self.jobs.is_empty() {
            self.n_jobs += 1;
            let index = self.dice.roll(self.jobs.len() as u64) as usize;
            let job = self.jobs.swap_remove(index);
            self.finish(job);
            return true;
        }
        match self.core.registry().next_timer() {
            Some(at) => {
                self.pass_time(at.saturating_duration_since(self.moment.now));
                true
            }
            None => false,
        }
    }

    /// Goes on until there is nothing to wait for.
    pub(super) fn rest(&mut self) {
        for turn in 0.. {
            assert!(turn < 10_000, "no end of work: {:?}", self.core.registry());
            if !self.progress() {
                break;
            }
        }
        for id in self.core.registry().ids() {
            let state = self.core.registry().state(id).unwrap();
            assert!(!state.is_coming() && !state.is_going(), "{id} is {state:?} for ever");
        }
        let ready: BTreeSet<_> = self.loaded.keys().cloned().collect();
        assert_eq!(ready, self.published);
        let taken = self.loaded.values().map(|(_, taken)| taken).sum();
        assert_eq!(self.core.registry().resources().0.get(&Resource::ram()), taken, "room is lost");
    }

    /// Ends everything, and checks that nothing is left.
    pub(super) fn end(mut self) {
        self.close();
        self.rest();
        assert!(self.core.registry().is_over());
        assert!(self.loaded.is_empty() && self.core.registry().resources().0.is_none());
        let Self { core, loaded, jobs, alive, .. } = self;
        drop((core, loaded, jobs));
        assert_eq!(Arc::strong_count(&alive), 1, "something to load from is left");
    }

    fn finish(&mut self, job: Job) {
        let outcome = match job {
            Job::Estimate(id, token) => {
                let estimate = match self.dice.roll(20) {
                    0 | 1 if self.is_tame => Ok(token.estimate()),
                    0 => Err(Status::unavailable("not now")),
                    1 => Err(Status::data_loss("lost")),
                    _ => Ok(token.estimate()),
                };
                Outcome::Estimated(id, token, estimate)
            }
            Job::Load(id, token, cancel) => {
                let fails_for_cancel = cancel.is_cancelled() && self.dice.chance(50);
                let fate = match self.dice.roll(10) {
                    _ if self.is_tame => {
                        if id.version.number() == 0 {
                            2
                        } else {
                            9
                        }
                    }
                    fate => fate,
                };
                match fate {
                    _ if fails_for_cancel => Outcome::NotLoaded(id, token, Status::cancelled("as told")),
                    0..=1 => Outcome::NotLoaded(id, token, Status::unavailable("not now")),
                    2 => Outcome::NotLoaded(id, token, Status::data_loss("lost")),
                    _ => {
                        let is_measured = !self.is_tame && self.dice.chance(50);
                        let taken = if is_measured { self.dice.roll(token.loaded + 1) } else { token.loaded };
                        assert!(self.loaded.insert(id.clone(), (token, taken)).is_none());
                        Outcome::Loaded(id, is_measured.then(|| Allocation::ram_bytes(taken)))
                    }
                }
            }
            Job::Vacate(id) => Outcome::Vacant(id),
            Job::Unload(id) => {
                self.loaded.remove(&id).unwrap();
                Outcome::Unloaded(id)
            }
        };
        self.core.take(self.moment, outcome);
        self.carry_out_all();
    }

    fn carry_out_all(&mut self) {
        for command in self.core.take_commands() {
            self.carry_out(command);
        }
        let total = self.rules.total_resources.get(&Resource::ram());
        if total > 0 {
            let loads =
                self.jobs.iter().map(|job| if let Job::Load(_, token, _) = job { token.loading } else { 0 });
            let taken = loads.sum::<u64>() + self.loaded.values().map(|(_, taken)| taken).sum::<u64>();
            let reserved = self.core.registry().resources().0.get(&Resource::ram());
            assert!(taken <= reserved && reserved <= total, "{taken} taken, {reserved} reserved of {total}");
        }
        assert_eq!(self.n_loads() + self.n_unloads(), self.core.registry().n_busy());
    }

    fn n_loads(&self) -> usize {
        self.jobs.iter().filter(|job| matches!(job, Job::Estimate(..) | Job::Load(..))).count()
    }

    fn n_unloads(&self) -> usize {
        self.jobs.iter().filter(|job| matches!(job, Job::Unload(_))).count()
    }

    fn carry_out(&mut self, command: Command<Token>) {
        match command {
            Command::Estimate { id, data } => {
                assert!(!self.loaded.contains_key(&id));
                assert!(self.n_loads() < self.rules.load_slots);
                self.jobs.push(Job::Estimate(id, data));
            }
            Command::Load { id, data, cancel } => {
                assert!(!self.loaded.contains_key(&id));
                assert!(self.n_loads() < self.rules.load_slots);
                let beside = beside(&id, self.loaded.keys());
                self.log.push(Deed::Load(id.clone(), beside));
                self.jobs.push(Job::Load(id, data, cancel));
            }
            Command::Publish(id) => {
                assert!(self.loaded.contains_key(&id));
                assert!(self.published.insert(id));
            }
            Command::Withdraw(id) => {
                assert!(self.published.remove(&id));
                let beside = beside(&id, self.published.iter());
                self.log.push(Deed::Withdraw(id.clone(), beside));
                self.jobs.push(Job::Vacate(id));
            }
            Command::Unload(id) => {
                assert!(!self.published.contains(&id) && self.loaded.contains_key(&id));
                assert!(self.n_unloads() < self.rules.unload_slots);
                self.jobs.push(Job::Unload(id));
            }
            Command::Report(StateEvent::Version { id, state, error, .. }) => self.check(id, state, error),
            Command::Report(_) => {}
            Command::Drop(token) | Command::Discard(token) => drop(token),
            Command::Answer(done, result) => done(result),
        }
    }

    /// A version only ever moves down the list of states, until it begins anew.
    fn check(&mut self, id: ServableId, state: ServableState, error: Option<Status>) {
        let before = self.states.insert(id.clone(), state);
        let is_new = before.is_none_or(|before| before == ServableState::End);
        let tries_again = before == Some(state) && state == ServableState::Loading;
        let follows = before.is_some_and(|before| before < state);
        assert!(is_new || follows || tries_again, "{id}: {state:?} after {before:?}");
        assert!(error.is_none() || matches!(state, ServableState::Loading | ServableState::End));
        let is_found = self.published.contains(&id);
        match state {
            ServableState::Available => assert!(is_found, "told before it is usable"),
            ServableState::Unloading => {
                assert_eq!(
                    is_found,
                    before == Some(ServableState::Available),
                    "told after it was taken away"
                );
            }
            ServableState::Start | ServableState::Loading | ServableState::End => assert!(!is_found),
        }
    }
}

fn beside<'a>(id: &ServableId, ids: impl Iterator<Item = &'a ServableId>) -> Vec<ServableId> {
    ids.filter(|other| other.name == id.name).cloned().collect()
}
