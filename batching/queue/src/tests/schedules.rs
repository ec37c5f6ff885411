//! Queues of every kind under random schedules, held against a plain list of what waits: nothing is lost or doubled, nobody
//! overtakes, no batch is too large or mixed, none leaves early or stays too long, and no more waits than may.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::subsequence;
use salver_batching_tune::LatencyTargetOptions;
use salver_core_status::Code;

use super::fixture::{Item, item, ms};
use crate::{
    Batch, BatchPadding, Dropped, GivenUp, Level, PriorityMixing, Queue, QueueOptions, QueuePolicy, Ready,
    Task, TimeoutAction, Tuning,
};

#[derive(Clone, Debug)]
enum Step {
    Push { rows: usize, key: u8, level: Option<usize>, timeout: Option<u64>, deadline: Option<u64> },
    Take,
    TakeEarly,
    Reject,
    Cancel(usize),
    Advance(u64),
    Ran(usize, u64),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let timeout = || prop::option::weighted(0.3, 0_u64..12);
    let level = prop::option::weighted(0.8, 0_usize..4);
    prop_oneof![
        300 => (1_usize..6, 0_u8..3, level, timeout(), timeout()).prop_map(|(rows, key, level, timeout, deadline)| {
            Step::Push { rows, key, level, timeout, deadline }
        }),
        120 => Just(Step::Take),
        20 => Just(Step::TakeEarly),
        20 => Just(Step::Reject),
        30 => any::<usize>().prop_map(Step::Cancel),
        120 => (0_u64..6).prop_map(Step::Advance),
        20 => (1_usize..9, 1_u64..20).prop_map(|(rows, took)| Step::Ran(rows, took)),
        1 => Just(Step::Close),
    ]
}

fn level(is_split: bool) -> impl Strategy<Value = Level> {
    let sizes = |size: usize| {
        let sizes: Vec<usize> = (1..=size).collect();
        let few = 0..=size.min(3);
        (
            Just(size),
            subsequence(sizes.clone(), few.clone()),
            prop::bool::weighted(0.3),
            subsequence(sizes, few),
        )
    };
    let policy = (
        prop::option::weighted(0.2, 1_usize..8),
        prop::option::weighted(0.3, 1_u64..12),
        any::<bool>(),
        prop_oneof![Just(TimeoutAction::Reject), Just(TimeoutAction::Delay)],
    );
    ((1_usize..9).prop_flat_map(sizes), 0_u64..8, 0_usize..5, policy).prop_map(
        move |(sizes, timeout, batches, policy)| {
            let (size, mut allowed, prefers, preferred) = sizes;
            if !allowed.is_empty() && !allowed.contains(&size) {
                allowed.push(size);
            }
            let (max_queue_size, default_timeout, allow_timeout_override, timeout_action) = policy;
            Level {
                max_batch_size: if is_split { 4 * size } else { size },
                max_execution_batch_size: size,
                batch_timeout: ms(timeout),
                max_enqueued_batches: batches,
                allowed_batch_sizes: allowed,
                preferred_batch_sizes: if prefers { preferred } else { Vec::new() },
                policy: QueuePolicy {
                    max_queue_size,
                    default_timeout: default_timeout.map(ms),
                    allow_timeout_override,
                    timeout_action,
                },
            }
        },
    )
}

fn queue_options() -> impl Strategy<Value = QueueOptions> {
    use BatchPadding as Padding;
    use PriorityMixing as Mixing;
    let mixing = prop_oneof![
        Just(Mixing::PadToMax),
        Just(Mixing::PadToNextAllowed),
        Just(Mixing::Isolate),
        Just(Mixing::Merge)
    ];
    let padding = prop_oneof![
        Just(Padding::PadUp),
        Just(Padding::BatchDown),
        Just(Padding::MinimizeCostPerRequest),
        Just(Padding::Disabled)
    ];
    let target = LatencyTargetOptions { target: ms(9), max_batch_size: 6, allowed_batch_sizes: Vec::new() };
    let tuning = prop_oneof![5 => Just(Tuning::Fixed), 1 => Just(Tuning::LatencyTarget(target))];
    let levels = any::<bool>()
        .prop_flat_map(|is_split| (Just(is_split), prop::collection::vec(level(is_split), 1..=3)));
    (levels, mixing, padding, tuning, 0_usize..3).prop_map(
        |(levels, mixing, padding, tuning, default_level)| {
            let (enable_large_batch_splitting, levels) = levels;
            let default_level = default_level.min(levels.len() - 1);
            QueueOptions { levels, default_level, mixing, enable_large_batch_splitting, padding, tuning }
        },
    )
}

/// A task that waits, or a part of one.
struct Waiting {
    item: Item,
    level: usize,
    pushed: Instant,
    expires: Option<Instant>,
    is_delayed: bool,
}

struct World {
    options: QueueOptions,
    queue: Queue<Item>,
    now: Instant,
    /// In the order in which they came.
    waiting: Vec<Waiting>,
    /// By task: how many of its rows have not come back.
    rows: BTreeMap<usize, usize>,
    pushed: usize,
    taken: u64,
    is_closed: bool,
}

impl World {
    fn new(options: QueueOptions) -> Self {
        Self {
            queue: Queue::new(options.clone()).unwrap(),
            options,
            now: Instant::now(),
            waiting: Vec::new(),
            rows: BTreeMap::new(),
            pushed: 0,
            taken: 0,
            is_closed: false,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Push { rows, key, level, timeout, deadline } => {
                let deadline = deadline.map(|after| self.now + ms(after));
                let timeout = timeout.map(ms);
                self.push(Item { key, level, timeout, deadline, ..item(self.pushed, rows) });
            }
            Step::Take => self.take(false),
            Step::TakeEarly => self.take(true),
            Step::Reject => self.reject(),
            Step::Cancel(index) => {
                if !self.waiting.is_empty() {
                    let index = index % self.waiting.len();
                    self.waiting[index].item.cancel();
                }
            }
            Step::Advance(by) => self.now += ms(by),
            Step::Ran(rows, took) => self.queue.ran(rows, ms(took), ms(1), self.now),
            Step::Close => {
                self.queue.close();
                self.is_closed = true;
            }
        }
        self.check();
    }

    fn push(&mut self, item: Item) {
        self.pushed += 1;
        let level = item.level.unwrap_or(self.options.default_level).min(self.options.levels.len() - 1);
        let rules = &self.options.levels[level];
        let own = item.timeout.filter(|_| rules.policy.allow_timeout_override);
        let expires =
            own.into_iter().chain(rules.policy.default_timeout).min().map(|timeout| self.now + timeout);
        let (batches, room) = self.batches(level, item.key);
        let limit = rules.max_execution_batch_size;
        let is_split = self.options.enable_large_batch_splitting;
        let is_too_large = item.rows > rules.max_batch_size;
        let rest = item.rows.saturating_sub(room);
        let parts = if is_split { usize::from(room > 0) + rest.div_ceil(limit) } else { 1 };
        let tasks = self.waiting.iter().filter(|task| task.level == level).count();
        let is_crowded = rules.policy.max_queue_size.is_some_and(|max| tasks + parts > max);
        let max = rules.max_enqueued_batches.max(1);
        let added = if is_split { rest.div_ceil(limit) } else { usize::from(rest > 0) };
        let is_full = batches + added > max;
        let key = item.key;
        match self.queue.push(item.clone(), self.now) {
            Ok(()) => {
                assert!(!self.is_closed && !is_too_large);
                self.rows.insert(item.number, item.rows);
                let sizes = item.parts.lock().unwrap().clone();
                let sizes = if sizes.is_empty() { vec![item.rows] } else { sizes };
                for item in item.split(&sizes) {
                    self.waiting.push(Waiting { item, level, pushed: self.now, expires, is_delayed: false });
                }
                if is_full || is_crowded {
                    // Others made way, and will come back.
                    let dropped = self.queue.reject(self.now);
                    assert!(!dropped.is_empty() || !is_full && is_split);
                    self.drop_all(dropped);
                }
                let tasks = self.waiting.iter().filter(|task| task.level == level).count();
                let rules = rules_of(&self.options, level);
                assert!(rules.policy.max_queue_size.is_none_or(|max| tasks <= max));
                assert!(self.batches(level, key).0 <= max, "more waits than may");
            }
            Err(refused) => {
                assert_eq!((refused.task.number, refused.task.rows), (item.number, item.rows));
                self.drop_all(refused.dropped);
                match refused.status.code() {
                    Code::InvalidArgument => assert!(is_too_large),
                    Code::Unavailable => {
                        assert!(self.is_closed || is_full || is_crowded, "refused for no reason")
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// How many batches the tasks of a level make up if no batch waits for smaller tasks, and how many rows the last of
    /// a key has room for.
    fn batches(&self, level: usize, key: u8) -> (usize, usize) {
        let limit = self.options.levels[level].max_execution_batch_size;
        let mut lines: BTreeMap<(u8, bool), (usize, usize)> = BTreeMap::new();
        for task in self.waiting.iter().filter(|task| task.level == level) {
            let (batches, room) = lines.entry((task.item.key, task.is_delayed)).or_default();
            let rows = task.item.rows;
            (*batches, *room) =
                if rows <= *room { (*batches, *room - rows) } else { (*batches + 1, limit - rows) };
        }
        let room = lines.get(&(key, false)).map_or(0, |(_, room)| *room);
        (lines.values().map(|(batches, _)| batches).sum(), room)
    }

    fn take(&mut self, is_early: bool) {
        let ready = self.queue.ready(self.now);
        let best = self.queue.best(self.now);
        let taken = if is_early { self.queue.take_early(self.now) } else { self.queue.take(self.now) };
        // Where tasks are delayed others come before them, which may make up a preferred size.
        let may_change = self.options.levels.iter().any(|level| {
            level.policy.timeout_action == TimeoutAction::Delay && !level.preferred_batch_sizes.is_empty()
        });
        assert!(
            is_early
                || may_change
                || ready == Ready::Now
                || taken.batch.is_none() && taken.dropped.is_empty()
        );
        assert!(may_change || ready != Ready::Now || taken.batch.is_some() || !taken.dropped.is_empty());
        let none_dropped = taken.dropped.is_empty();
        self.drop_all(taken.dropped);
        self.delay();
        match taken.batch {
            Some(batch) => self.check_batch(batch, is_early, best.filter(|_| none_dropped)),
            None => {
                assert!(self.queue.ready(self.now) != Ready::Now);
                assert!(!is_early || self.waiting.is_empty());
            }
        }
    }

    fn check_batch(&mut self, batch: Batch<Item>, is_early: bool, best: Option<(usize, Instant)>) {
        let first = &batch.tasks[0];
        let key = first.key;
        assert!(batch.tasks.iter().all(|task| task.key == key), "keys are mixed");
        assert_eq!(batch.number, self.taken);
        self.taken += 1;
        assert_eq!(batch.rows, batch.tasks.iter().map(|task| task.rows).sum::<usize>());
        let tasks: Vec<Waiting> = batch.tasks.iter().map(|task| self.remove(task)).collect();
        for task in &tasks {
            assert_eq!(task.item.given_up(self.now), None, "it was given up");
            assert!(
                task.is_delayed || task.expires.is_none_or(|expires| expires > self.now),
                "it is too late"
            );
        }
        let lead = tasks[0].level;
        let rules = rules_of(&self.options, lead).clone();
        let limit = rules.max_execution_batch_size;
        assert!(batch.rows <= limit, "too large");
        assert!(tasks.is_sorted_by_key(|task| (task.level, task.is_delayed)));
        assert!(
            self.options.mixing != PriorityMixing::Isolate || tasks.iter().all(|task| task.level == lead)
        );
        assert_eq!(batch.opened, tasks.iter().map(|task| task.pushed).min().unwrap());
        let waited: Duration = tasks.iter().map(|task| self.now - task.pushed).sum();
        assert_eq!(batch.waited, waited);
        self.check_padding(&batch, &rules);
        let lane = |task: &&Waiting| {
            task.item.key == key && (self.options.mixing == PriorityMixing::Merge || task.level == lead)
        };
        let left: Vec<&Waiting> =
            self.waiting.iter().filter(|task| task.item.given_up(self.now).is_none()).collect();
        let next = left.iter().copied().filter(lane).min_by_key(|task| (task.level, task.is_delayed));
        let own = tasks.iter().filter(|task| lane(task)).map(|task| task.item.rows).sum::<usize>();
        let is_late =
            |task: &Waiting| task.pushed + rules_of(&self.options, task.level).batch_timeout <= self.now;
        let is_due = tasks.iter().any(is_late) || left.iter().copied().filter(lane).any(is_late);
        let is_full = own == limit || next.is_some_and(|next| own + next.item.rows > limit);
        let is_preferred = rules.preferred_batch_sizes.contains(&own);
        let is_cut = rules.allowed_batch_sizes.contains(&batch.rows)
            && matches!(self.options.padding, BatchPadding::BatchDown | BatchPadding::MinimizeCostPerRequest);
        // With what is found in place of options there is nothing to hold these against.
        if self.options.tuning == Tuning::Fixed {
            let is_wanted = is_early || self.is_closed || is_due;
            assert!(is_wanted || is_full || is_preferred || is_cut, "it left for no reason");
            assert!(next.is_none() || is_full || is_preferred || is_cut, "it left underfull");
        }
        let delays = |level: &Level| level.policy.timeout_action == TimeoutAction::Delay;
        if self.options.mixing != PriorityMixing::Merge && !self.options.levels.iter().any(delays) {
            let opened =
                tasks.iter().filter(|task| task.level == lead).map(|task| task.pushed).min().unwrap();
            // Where tasks were dropped others are in their place, and rank lower.
            let is_best = best.is_none_or(|best| best == (lead, opened));
            assert!(is_early || is_best);
            let outranks = |task: &&&Waiting| {
                let is_ready = best.is_some() && (self.is_closed || is_late(task));
                (task.level, task.pushed) < (lead, opened) && is_ready && self.options.tuning == Tuning::Fixed
            };
            assert!(left.iter().find(outranks).is_none(), "a batch of a lower rank left first");
        }
        // Nobody behind in a line was taken before one in front of it.
        for task in &tasks {
            let line = |other: &&&Waiting| {
                (other.item.key, other.level, other.is_delayed) == (key, task.level, task.is_delayed)
            };
            let overtaken = left.iter().filter(line).find(|other| other.item.number < task.item.number);
            assert!(overtaken.is_none(), "{} overtook {}", task.item.number, overtaken.unwrap().item.number);
        }
    }

    fn check_padding(&self, batch: &Batch<Item>, rules: &Level) {
        let allowed = &rules.allowed_batch_sizes;
        let next = allowed.iter().find(|size| **size >= batch.rows);
        let padded = if self.options.padding == BatchPadding::Disabled {
            batch.rows
        } else {
            *next.unwrap_or(&batch.rows)
        };
        assert_eq!(batch.padded_rows, padded);
    }

    fn reject(&mut self) {
        let late = |task: &&Waiting| {
            task.expires.is_some_and(|expires| expires <= self.now)
                && rules_of(&self.options, task.level).policy.timeout_action == TimeoutAction::Reject
        };
        let late = self.waiting.iter().filter(late).count();
        let dropped = self.queue.reject(self.now);
        assert_eq!(dropped.len(), late);
        self.drop_all(dropped);
    }

    /// Notes which have waited too long, and are run after the others.
    fn delay(&mut self) {
        let is_late = |task: &Waiting| {
            !task.is_delayed
                && task.expires.is_some_and(|expires| expires <= self.now)
                && rules_of(&self.options, task.level).policy.timeout_action == TimeoutAction::Delay
        };
        let late: Vec<bool> = self.waiting.iter().map(is_late).collect();
        self.waiting.iter_mut().zip(late).for_each(|(task, late)| task.is_delayed |= late);
    }

    fn drop_all(&mut self, dropped: Vec<Dropped<Item>>) {
        for Dropped { task, status } in dropped {
            let task = self.remove(&task);
            let is_late = task.expires.is_some_and(|expires| expires <= self.now);
            let given_up = task.item.given_up(self.now);
            match status.code() {
                Code::Cancelled => assert_eq!(given_up, Some(GivenUp::Cancelled)),
                Code::DeadlineExceeded => assert_eq!(given_up, Some(GivenUp::Expired)),
                Code::Unavailable => assert!(is_late, "it had time left"),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Takes a task off the list; each is there once.
    fn remove(&mut self, task: &Item) -> Waiting {
        let id = |item: &Item| (item.number, item.first, item.rows);
        let position = self.waiting.iter().position(|waiting| id(&waiting.item) == id(task));
        let waiting = self.waiting.remove(position.expect("what comes back was pushed, and comes back once"));
        *self.rows.get_mut(&task.number).unwrap() -= task.rows;
        waiting
    }

    fn check(&mut self) {
        assert_eq!(self.queue.len(), self.waiting.len());
        let keys: BTreeSet<u8> = self.waiting.iter().map(|task| task.item.key).collect();
        self.queue.check_consistency(keys.len());
        let due = self.waiting.iter().map(|task| {
            if self.is_closed {
                return self.now;
            }
            let rules = rules_of(&self.options, task.level);
            let is_rejected = rules.policy.timeout_action == TimeoutAction::Reject && !task.is_delayed;
            let due = task.pushed + rules.batch_timeout;
            task.expires.filter(|_| is_rejected).map_or(due, |expires| expires.min(due))
        });
        match self.queue.ready(self.now) {
            Ready::Never => assert!(self.waiting.is_empty()),
            Ready::Now => assert!(!self.waiting.is_empty()),
            Ready::At(at) if self.options.tuning == Tuning::Fixed => {
                assert!(at > self.now && Some(at) == due.min(), "it promises too late");
            }
            Ready::At(at) => assert!(at > self.now),
        }
        assert!(self.queue.best(self.now).is_none() || self.queue.ready(self.now) == Ready::Now);
    }

    fn finish(mut self) {
        self.queue.close();
        self.is_closed = true;
        while self.queue.ready(self.now) != Ready::Never {
            self.take(false);
        }
        assert!(self.waiting.is_empty() && self.rows.values().all(|rows| *rows == 0));
    }
}

fn rules_of(options: &QueueOptions, level: usize) -> &Level {
    &options.levels[level]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_task_comes_back_once_and_every_batch_is_as_it_should_be(
        options in queue_options(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(options);
        steps.into_iter().for_each(|step| world.step(step));
        world.finish();
    }
}
