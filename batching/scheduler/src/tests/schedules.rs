//! The core alone under random schedules: whatever happens in whatever order, no task is lost or run twice, no thread
//! sleeps while there is something for it to do, and somebody keeps the time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use salver_batching_queue::{Batch, Dropped, Queue, QueueOptions};
use salver_batching_tune::AdaptiveOptions;

use super::fixture::{Item, pool, queue};
use crate::core::Core;
use crate::limit::Limit;
use crate::work::{Ended, Next, Ran, Wake, Work};
use crate::{Consumer, InFlight, PoolOptions, QueueOrder};

#[derive(Clone, Debug)]
enum Step {
    Push {
        queue: usize,
        may_run_here: bool,
    },
    /// A thread that was called comes.
    Arrive(usize),
    /// A thread wakes by chance.
    Stir(usize),
    /// A batch has run.
    Finish(usize),
    Advance(u64),
    Add {
        size: usize,
        timeout_ms: u64,
        /// Tasks wait no longer than this.
        limit_ms: Option<u64>,
    },
    Close(usize),
    /// The thread that rejects comes to it.
    Reject,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<usize>;
    let limit = prop::option::of(1_u64..20);
    prop_oneof![
        12 => (index(), any::<bool>()).prop_map(|(queue, may_run_here)| Step::Push { queue, may_run_here }),
        8 => index().prop_map(Step::Arrive),
        1 => index().prop_map(Step::Stir),
        8 => index().prop_map(Step::Finish),
        3 => (0_u64..12).prop_map(Step::Advance),
        1 => (1_usize..5, 0_u64..10, limit)
            .prop_map(|(size, timeout_ms, limit_ms)| Step::Add { size, timeout_ms, limit_ms }),
        1 => index().prop_map(Step::Close),
        2 => Just(Step::Reject),
    ]
}

enum Worker {
    /// Awake, and has not asked what to do.
    Awake,
    Resting(Option<Instant>),
    Busy(Work<Item>),
    Gone,
}

struct Nobody;

impl Consumer<Item> for Nobody {
    fn run(&self, _: Batch<Item>) {}
    fn dropped(&self, _: Dropped<Item>) {}
}

/// Plays the threads and the clock.
struct World {
    core: Core<Item>,
    now: Instant,
    workers: Vec<Worker>,
    /// What runs on threads of others.
    elsewhere: Vec<Work<Item>>,
    queues: Vec<(usize, QueueOptions)>,
    next: u64,
    /// Scheduled and not seen again: the number, and the slot.
    waiting: BTreeSet<(u64, usize)>,
    rejecter_is_called: bool,
    rejecter_sleeps_until: Option<Instant>,
}

impl World {
    fn new(options: &PoolOptions) -> Self {
        let now = Instant::now();
        let mut world = Self {
            core: Core::new(options.order, Limit::new(options).unwrap(), now),
            now,
            workers: (0..options.threads).map(|_| Worker::Awake).collect(),
            elsewhere: Vec::new(),
            queues: Vec::new(),
            next: 0,
            waiting: BTreeSet::new(),
            rejecter_is_called: false,
            rejecter_sleeps_until: None,
        };
        world.take(Step::Add { size: 3, timeout_ms: 4, limit_ms: None });
        world
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Push { queue, may_run_here } if !self.queues.is_empty() => {
                let (slot, _) = self.queues[queue % self.queues.len()];
                self.next += 1;
                let item = Item::new(self.next);
                let wake = if may_run_here {
                    let (pushed, wake) = self.core.push_or_take(slot, item, self.now);
                    if let Some(work) = self.pushed(slot, pushed).flatten() {
                        self.account(&work);
                        self.elsewhere.push(work);
                    }
                    wake
                } else {
                    let (pushed, wake) = self.core.push(slot, item, self.now);
                    self.pushed(slot, pushed);
                    wake
                };
                self.wake(wake);
            }
            Step::Arrive(index) => self.on_worker(index, |worker| matches!(worker, Worker::Awake)),
            Step::Stir(index) => self.on_worker(index, |worker| matches!(worker, Worker::Resting(_))),
            Step::Finish(index) => {
                let busy = self.workers.iter().filter(|worker| matches!(worker, Worker::Busy(_))).count();
                let Some(choice) = (busy + self.elsewhere.len()).checked_sub(1) else { return };
                let choice = if index == usize::MAX { choice } else { index % (choice + 1) };
                if choice < busy {
                    self.on_worker(index, |worker| matches!(worker, Worker::Busy(_)));
                } else {
                    let work = self.elsewhere.remove(choice - busy);
                    let (_gone, wake) = self.core.ended(&ended(&work), self.now);
                    self.wake(wake);
                }
            }
            Step::Advance(ms) => {
                self.now += Duration::from_millis(ms);
                for worker in &mut self.workers {
                    if matches!(worker, Worker::Resting(Some(until)) if *until <= self.now) {
                        *worker = Worker::Awake;
                    }
                }
                self.rejecter_is_called |= self.rejecter_sleeps_until.is_some_and(|until| until <= self.now);
            }
            Step::Add { size, timeout_ms, limit_ms } => {
                let mut options = queue(size, Duration::from_millis(timeout_ms));
                options.levels[0].max_enqueued_batches = 4;
                options.levels[0].policy.default_timeout = limit_ms.map(Duration::from_millis);
                let new = Queue::new(options.clone()).unwrap();
                let (slot, _) = self.core.add(new, Arc::new(Nobody), limit_ms.is_some());
                assert!(self.queues.iter().all(|(other, _)| *other != slot), "slot {slot} has two queues");
                self.queues.push((slot, options));
            }
            Step::Close(index) if !self.queues.is_empty() => {
                let (slot, _) = self.queues.swap_remove(index % self.queues.len());
                let (gone, wake) = self.core.close(slot, self.now);
                if gone.is_some() {
                    assert!(self.waiting.iter().all(|(_, of)| *of != slot), "it went with tasks in it");
                }
                self.wake(wake);
            }
            Step::Reject if self.rejecter_is_called => self.reject(),
            Step::Push { .. } | Step::Close(_) | Step::Reject => {}
        }
        self.check();
    }

    fn pushed<R>(
        &mut self,
        slot: usize,
        pushed: Result<R, salver_batching_queue::Refused<Item>>,
    ) -> Option<R> {
        match pushed {
            Ok(done) => {
                assert!(self.waiting.insert((self.next, slot)));
                Some(done)
            }
            Err(refused) => {
                assert_eq!(refused.task.number, self.next);
                for Dropped { task, .. } in refused.dropped {
                    assert!(self.waiting.remove(&(task.number, slot)), "{} of {slot}", task.number);
                }
                None
            }
        }
    }

    /// Lets one of the workers that are in the right mood ask the core.
    fn on_worker(&mut self, index: usize, is_meant: impl Fn(&Worker) -> bool) {
        let meant: Vec<usize> = (0..self.workers.len()).filter(|at| is_meant(&self.workers[*at])).collect();
        if meant.is_empty() {
            return;
        }
        let number = meant[index % meant.len()];
        let former = std::mem::replace(&mut self.workers[number], Worker::Awake);
        let ended = match &former {
            Worker::Busy(work) => Some(ended(work)),
            _ => None,
        };
        let (next, _gone, wake) = self.core.next(number, ended.as_ref(), self.now);
        self.workers[number] = match next {
            Next::Run(work) => {
                self.account(&work);
                Worker::Busy(work)
            }
            Next::Rest(until) => Worker::Resting(until),
            Next::End => Worker::Gone,
        };
        self.wake(wake);
    }

    fn reject(&mut self) {
        self.rejecter_is_called = false;
        let (works, until) = self.core.reject(self.now);
        self.rejecter_sleeps_until = until;
        for work in works {
            assert!(work.batch.is_none());
            self.account(&work);
            let (_gone, wake) = self.core.ended(&ended(&work), self.now);
            self.wake(wake);
        }
    }

    /// Every task leaves once, from where it was put.
    fn account(&mut self, work: &Work<Item>) {
        let ran = work.batch.iter().flat_map(|batch| &batch.tasks);
        for item in ran.chain(work.dropped.iter().map(|dropped| &dropped.task)) {
            assert!(self.waiting.remove(&(item.number, work.slot)), "{} of {}", item.number, work.slot);
        }
    }

    fn wake(&mut self, wake: Wake) {
        self.rejecter_is_called |= wake.rejecter;
        if let Some(worker) = wake.worker {
            // It may have woken by itself, and not have come yet.
            let is_idle = matches!(self.workers[worker], Worker::Resting(_) | Worker::Awake);
            assert!(is_idle, "{worker} is called and does not rest");
            self.workers[worker] = Worker::Awake;
        }
    }

    fn check(&self) {
        let seen = self.core.seen();
        let busy = self.workers.iter().filter(|worker| matches!(worker, Worker::Busy(_))).count();
        assert_eq!(seen.in_flight, busy + self.elsewhere.len());
        assert!(seen.in_flight <= self.workers.len());
        assert_eq!(seen.has_room, seen.in_flight < seen.limit);
        if let Some(at) = seen.rejects_at
            && !self.rejecter_is_called
        {
            assert!(
                self.rejecter_sleeps_until.is_some_and(|until| until <= at),
                "nobody will reject in time"
            );
        }
        // A thread that is awake will see to whatever there is, and call the next if there is more.
        if !seen.has_room || self.workers.iter().any(|worker| matches!(worker, Worker::Awake)) {
            return;
        }
        let resting = self.workers.iter().filter_map(|worker| match worker {
            Worker::Resting(until) => Some(*until),
            _ => None,
        });
        let resting: Vec<_> = resting.collect();
        assert!(resting.is_empty() || !seen.is_ready, "a thread sleeps while a batch is ready");
        if let Some(due) = seen.due {
            let is_kept = resting.iter().flatten().any(|until| *until <= due);
            assert!(resting.is_empty() || is_kept, "nobody wakes in time");
        }
    }

    /// Lets everything go, and all that waits run.
    fn end(&mut self) {
        while !self.queues.is_empty() {
            self.take(Step::Close(0));
        }
        // Whoever runs something for a queue holds it, and so the pool.
        while !self.elsewhere.is_empty() {
            self.take(Step::Finish(usize::MAX));
        }
        for worker in self.core.end() {
            self.wake(Wake { worker: Some(worker), rejecter: false });
        }
        let mut rounds = 0;
        while self.workers.iter().any(|worker| !matches!(worker, Worker::Gone)) {
            self.take(Step::Arrive(0));
            self.take(Step::Finish(0));
            rounds += 1;
            assert!(rounds < 100_000, "it does not come to rest");
        }
        assert!(self.core.is_over());
        assert_eq!(self.waiting, BTreeSet::new());
    }
}

fn ended(work: &Work<Item>) -> Ended {
    let ran = work.batch.as_ref().map(|batch| Ran {
        padded_rows: batch.padded_rows,
        waited: batch.waited,
        mean_wait: batch.waited,
    });
    Ended { slot: work.slot, since: work.since, is_run: work.is_run, ran }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_task_is_lost_and_no_thread_sleeps_while_there_is_something_to_do(
        threads in 1_usize..4,
        is_ranked in any::<bool>(),
        is_adaptive in any::<bool>(),
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let adaptive = AdaptiveOptions {
            min_limit: 1.0,
            max_limit: threads as f64,
            initial_limit: 1.0,
            batches_to_average_over: 2,
        };
        let options = PoolOptions {
            order: if is_ranked { QueueOrder::Ranked } else { QueueOrder::RoundRobin },
            in_flight: if is_adaptive { InFlight::Adaptive(adaptive) } else { InFlight::Threads },
            ..pool(threads)
        };
        let mut world = World::new(&options);
        for step in steps {
            world.take(step);
        }
        world.end();
    }
}
