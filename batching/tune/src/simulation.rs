//! Devices and clients that do not exist, in time that does not pass: what the latency target finds against the best
//! of all fixed settings.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use crate::{LatencyTarget, LatencyTargetOptions};

/// Who asks.
#[derive(Clone, Copy)]
enum Load {
    /// So many clients, each of which asks again after it was answered: 60 us later and a little more.
    Closed(usize),
    /// So many requests in a second, whenever they like.
    Open(f64),
    /// So many requests at once, so many times in a second.
    Bursts(usize, f64),
}

/// Who decides.
#[derive(Clone, Debug)]
enum Rule {
    Fixed { size: usize, wait: f64 },
    Tuned(Box<LatencyTarget>),
}

#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    load: Load,
    threads: usize,
    /// What a run takes in seconds.
    cost: fn(Begun) -> f64,
    target: f64,
    /// How long a client takes to ask again, in the mean beyond 60 us.
    think: f64,
    /// By how much a run is off what it should take, either way.
    noise: f64,
    allowed: &'static [usize],
    /// The rows of a request.
    rows: usize,
    /// What part of the best fixed setting's throughput is to be reached.
    share: f64,
}

/// A run that begins.
struct Begun {
    rows: f64,
    now: f64,
    /// How many others are under way.
    others: f64,
}

impl Scenario {
    const fn new(name: &'static str, load: Load, cost: fn(Begun) -> f64, target: f64) -> Self {
        Self {
            name,
            load,
            threads: 1,
            cost,
            target,
            think: 20e-6,
            noise: 0.05,
            allowed: &[],
            rows: 1,
            share: 0.9,
        }
    }
}

struct Outcome {
    throughput: f64,
    p99: f64,
    /// How long a request waited at most while a thread was idle.
    longest_wait: f64,
    /// Batches from the beginning to the end of what was left out of the figures.
    warm_up_batches: usize,
    mean_batch: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { throughput, p99, mean_batch, warm_up_batches, .. } = self;
        write!(f, "{throughput:.0} a second in batches of {mean_batch:.1}, p99 {:.2} ms", p99 * 1e3)?;
        write!(f, ", after {warm_up_batches} batches")
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    Burst(usize),
    Done(usize),
    Look,
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ word >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.uniform()).ln()
    }

    /// What a run's time is multiplied with: about 1, and one in 500 takes 3 times as long.
    fn noise(&mut self, deviation: f64) -> f64 {
        if self.uniform() < 0.002 {
            return 3.0;
        }
        let sum: f64 = (0..4).map(|_| self.uniform() - 0.5).sum();
        (1.0 + 1.73 * deviation * sum).max(0.3)
    }
}

struct Run {
    arrivals: Vec<f64>,
    padded: usize,
    began: f64,
}

fn simulate(scenario: &Scenario, mut rule: Rule, warm_up: f64, seconds: f64, seed: u64) -> Outcome {
    let epoch = Instant::now();
    let at = |seconds: f64| epoch + Duration::from_secs_f64(seconds);
    // Arrivals that depend on nothing are the same whatever decides.
    let (mut random, mut arrivals_random) = (Random(seed), Random(!seed));
    let mut events = BinaryHeap::new();
    let nanos = |seconds: f64| (seconds * 1e9) as u64;
    match scenario.load {
        Load::Closed(clients) => {
            (0..clients)
                .for_each(|client| events.push(Reverse((nanos(client as f64 * 3e-6), Event::Arrival))));
        }
        Load::Open(_) => events.push(Reverse((0, Event::Arrival))),
        Load::Bursts(size, _) => events.push(Reverse((0, Event::Burst(size)))),
    }
    let mut queue: VecDeque<f64> = VecDeque::new();
    let mut running: Vec<Option<Run>> = (0..scenario.threads).map(|_| None).collect();
    let (mut latencies, mut batches, mut warm_up_batches, mut rows_run) = (Vec::new(), 0usize, 0, 0usize);
    let (mut idle_since, mut longest_wait) = (0.0f64, 0.0f64);
    while let Some(Reverse((now_nanos, event))) = events.pop() {
        let now = now_nanos as f64 * 1e-9;
        if now > warm_up + seconds {
            break;
        }
        match event {
            Event::Arrival => {
                queue.push_back(now);
                if let Rule::Tuned(tuned) = &mut rule {
                    tuned.arrived(scenario.rows, at(now));
                }
                if let Load::Open(rate) = scenario.load {
                    let next = now + arrivals_random.exponential(1.0 / rate);
                    events.push(Reverse((nanos(next), Event::Arrival)));
                }
            }
            Event::Burst(size) => {
                for _ in 0..size {
                    events.push(Reverse((nanos(now + arrivals_random.uniform() * 1e-3), Event::Arrival)));
                }
                if let Load::Bursts(size, rate) = scenario.load {
                    events.push(Reverse((
                        nanos(now + arrivals_random.exponential(1.0 / rate)),
                        Event::Burst(size),
                    )));
                }
            }
            Event::Done(thread) => {
                let Some(run) = running[thread].take() else { continue };
                idle_since = now;
                if let Rule::Tuned(tuned) = &mut rule {
                    let took = Duration::from_secs_f64(now - run.began);
                    let waited = Duration::from_secs_f64(run.began - run.arrivals[0]);
                    tuned.ran(run.padded, took, waited, queue.len() * scenario.rows, at(now));
                }
                for arrival in run.arrivals {
                    if now > warm_up {
                        latencies.push(now - arrival);
                    }
                    if let Load::Closed(_) = scenario.load {
                        let back = now + 60e-6 + random.exponential(scenario.think);
                        events.push(Reverse((nanos(back), Event::Arrival)));
                    }
                }
            }
            Event::Look => {}
        }
        // The queue's rule.
        while let (Some(thread), Some(&opened)) = (running.iter().position(Option::is_none), queue.front()) {
            let waiting = queue.len() * scenario.rows;
            let (size, leaves) = match &rule {
                Rule::Fixed { size, wait } => (*size, if waiting >= *size { opened } else { opened + wait }),
                Rule::Tuned(tuned) => {
                    let limits = tuned.limits();
                    let leaves =
                        if waiting >= limits.batch_size { at(opened) } else { limits.due(at(opened)) };
                    (limits.batch_size, leaves.saturating_duration_since(epoch).as_secs_f64())
                }
            };
            if nanos(leaves) > now_nanos {
                events.push(Reverse((nanos(leaves), Event::Look)));
                break;
            }
            longest_wait = longest_wait.max(now - opened.max(idle_since));
            let tasks = (size / scenario.rows).clamp(1, queue.len());
            let arrivals: Vec<f64> = queue.drain(..tasks).collect();
            let rows = arrivals.len() * scenario.rows;
            let padded = scenario.allowed.iter().copied().find(|size| *size >= rows).unwrap_or(rows);
            let others = running.iter().flatten().count() as f64;
            let begun = Begun { rows: padded as f64, now, others };
            let took = (scenario.cost)(begun) * random.noise(scenario.noise);
            batches += 1;
            if now > warm_up {
                rows_run += rows;
            } else {
                warm_up_batches = batches;
            }
            events.push(Reverse((nanos(now + took), Event::Done(thread))));
            running[thread] = Some(Run { arrivals, padded, began: now });
        }
    }
    latencies.sort_by(f64::total_cmp);
    let p99 = latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default();
    let mean_batch = rows_run as f64 / (batches - warm_up_batches).max(1) as f64;
    Outcome { throughput: latencies.len() as f64 / seconds, p99, longest_wait, warm_up_batches, mean_batch }
}

fn tuned(scenario: &Scenario) -> Rule {
    let target = Duration::from_secs_f64(scenario.target);
    let allowed_batch_sizes = scenario.allowed.to_vec();
    let options = LatencyTargetOptions { target, max_batch_size: 128, allowed_batch_sizes };
    Rule::Tuned(Box::new(LatencyTarget::new(options).unwrap()))
}

/// The best of the fixed settings that keep to the target.
fn best_fixed(scenario: &Scenario) -> Option<Rule> {
    let mut best: Option<(f64, Rule)> = None;
    for size in [1, 2, 8, 16, 24, 32, 64, 128] {
        for wait in [0.0, 200e-6, 500e-6, 5e-3] {
            let rule = Rule::Fixed { size, wait };
            let outcome = simulate(scenario, rule.clone(), WARM_UP, MEASURED, 1);
            let is_better = best.as_ref().is_none_or(|(best, _)| outcome.throughput > *best);
            if outcome.p99 <= scenario.target && is_better {
                best = Some((outcome.throughput, rule));
            }
            if size == 1 {
                break;
            }
        }
    }
    best.map(|(_, rule)| rule)
}

/// Seconds that are left out of the figures, and how many batches they may be at most; most are a few hundred.
const WARM_UP: f64 = 1.0;
const WARM_UP_BATCHES: usize = 3000;
const MEASURED: f64 = 1.5;
const SEEDS: u64 = 4;

/// By how much p99 may be above the target.
const SLACK: f64 = 1.1;

const AFFINE: fn(Begun) -> f64 = |run| 1e-3 + 0.1e-3 * run.rows;
const PROPORTIONAL: fn(Begun) -> f64 = |run| 0.2e-3 * run.rows;
const FLAT_TO_16: fn(Begun) -> f64 = |run| 2e-3 * (run.rows / 16.0).max(1.0);
const WORSE_ABOVE_24: fn(Begun) -> f64 = |run| 1e-3 + 0.1e-3 * run.rows + 0.3e-3 * (run.rows - 24.0).max(0.0);
const IN_STEPS_OF_16: fn(Begun) -> f64 = |run| 0.5e-3 + 1e-3 * (run.rows / 16.0).ceil();
const SLOWER_BY_HALF: fn(Begun) -> f64 =
    |run| AFFINE(Begun { ..run }) * if run.now > 0.5 { 1.5 } else { 1.0 };
const TWICE_AS_FAST: fn(Begun) -> f64 = |run| AFFINE(Begun { ..run }) * if run.now > 0.5 { 0.5 } else { 1.0 };
/// Runs at the same time slow each other down: two threads bring no more than one.
const SHARED: fn(Begun) -> f64 = |run| (1e-3 + 0.1e-3 * run.rows) * (1.0 + run.others);

#[test]
fn clients_that_take_turns_are_served_in_step() {
    let new = |name, clients, target| Scenario::new(name, Load::Closed(clients), AFFINE, target);
    compare(&[
        new("32 clients", 32, 20e-3),
        new("32 clients, tight", 32, 5e-3),
        new("7 clients", 7, 20e-3),
        new("2 clients", 2, 20e-3),
        new("1 client", 1, 20e-3),
        new("200 clients", 200, 100e-3),
        Scenario { noise: 0.2, ..new("32 clients, noise", 32, 20e-3) },
        Scenario { think: 500e-6, ..new("32 clients that think", 32, 20e-3) },
        Scenario { think: 5e-3, ..new("32 clients that think long", 32, 20e-3) },
        Scenario { rows: 4, ..new("16 clients of 4 rows", 16, 25e-3) },
        Scenario { allowed: &[1, 8, 32, 128], ..new("24 clients, allowed sizes", 24, 20e-3) },
        Scenario { allowed: &[4, 16, 64, 128], ..new("32 clients, other allowed sizes", 32, 20e-3) },
    ]);
}

#[test]
fn many_threads_are_kept_busy() {
    let two = |name, load, cost, target| Scenario { threads: 2, ..Scenario::new(name, load, cost, target) };
    compare(&[
        two("32 clients, 2 threads", Load::Closed(32), AFFINE, 20e-3),
        two("32 clients, 2 threads, tight", Load::Closed(32), AFFINE, 4e-3),
        // How many threads there should be is not found here, but by an `InFlightLimit`.
        Scenario { share: 0.6, ..two("32 clients, 2 threads, one device", Load::Closed(32), SHARED, 20e-3) },
        two("3 clients, 2 threads", Load::Closed(3), AFFINE, 20e-3),
        Scenario { threads: 4, share: 0.8, ..two("64 clients, 4 threads", Load::Closed(64), AFFINE, 20e-3) },
        Scenario {
            allowed: &[1, 8, 32, 128],
            ..two("32, 2 threads, allowed sizes", Load::Closed(32), AFFINE, 20e-3)
        },
        two("open, 2 threads", Load::Open(14000.0), AFFINE, 20e-3),
    ]);
}

#[test]
fn who_comes_at_random_is_not_held_up() {
    compare(&[
        Scenario::new("open, 4 %", Load::Open(400.0), AFFINE, 4e-3),
        Scenario::new("open, 40 %", Load::Open(4000.0), AFFINE, 10e-3),
        Scenario::new("open, 80 %", Load::Open(7500.0), AFFINE, 20e-3),
        Scenario::new("open, near capacity", Load::Open(8500.0), AFFINE, 40e-3),
        Scenario::new("bursts", Load::Bursts(100, 40.0), AFFINE, 60e-3),
        Scenario::new("no gain, open", Load::Open(3500.0), PROPORTIONAL, 10e-3),
    ]);
}

#[test]
fn the_best_size_is_found_whatever_the_cost() {
    let new = |name, clients, cost| Scenario::new(name, Load::Closed(clients), cost, 40e-3);
    compare(&[
        new("flat to 16, then linear", 32, FLAT_TO_16),
        new("flat to 16, 16 clients", 16, FLAT_TO_16),
        new("no gain", 32, PROPORTIONAL),
        new("worse above 24", 64, WORSE_ABOVE_24),
        // A step that lies between sizes that were tried is not looked for.
        Scenario { share: 0.85, ..new("in steps of 16", 40, IN_STEPS_OF_16) },
        Scenario {
            share: 0.85,
            allowed: &[16, 32, 48, 64],
            ..new("in steps of 16, allowed", 40, IN_STEPS_OF_16)
        },
        Scenario { noise: 0.2, ..new("flat to 16, noise", 32, FLAT_TO_16) },
        new("slower by half", 32, SLOWER_BY_HALF),
        new("twice as fast", 32, TWICE_AS_FAST),
    ]);
}

/// Simulates each scenario with the best of the fixed settings and with what is found, and compares.
fn compare(scenarios: &[Scenario]) {
    let mut failures = Vec::new();
    for scenario in scenarios {
        let Some(fixed) = best_fixed(scenario) else {
            failures.push(format!("{}: no fixed setting keeps to the target", scenario.name));
            continue;
        };
        for seed in 1..=SEEDS {
            let best = simulate(scenario, fixed.clone(), WARM_UP, MEASURED, seed);
            let found = simulate(scenario, tuned(scenario), WARM_UP, MEASURED, seed);
            let line = format!("{}, seed {seed}: {found}, where {fixed:?} has {best}", scenario.name);
            println!("{line}");
            let has_throughput = found.throughput >= scenario.share * best.throughput;
            if !has_throughput
                || found.p99 > SLACK * scenario.target
                || found.warm_up_batches > WARM_UP_BATCHES
            {
                failures.push(line);
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_lone_client_waits_for_nobody() {
    for threads in [1, 2] {
        let scenario = Scenario { threads, ..Scenario::new("1 client", Load::Closed(1), AFFINE, 20e-3) };
        assert_eq!(simulate(&scenario, tuned(&scenario), 0.0, 3.0, 1).longest_wait, 0.0);
    }
}

#[test]
fn a_target_that_cannot_be_met_does_not_cost_throughput() {
    for target in [0.5e-3, 1.5e-3, 3e-3] {
        let scenario = Scenario::new("", Load::Closed(32), AFFINE, target);
        let found = simulate(&scenario, tuned(&scenario), WARM_UP, MEASURED, 1);
        let alone = simulate(&scenario, Rule::Fixed { size: 1, wait: 0.0 }, WARM_UP, MEASURED, 1);
        println!("{target}: {found}, and {alone} one by one");
        assert!(found.throughput > 2.0 * alone.throughput, "{found}, and {alone} one by one");
    }
}

#[test]
fn sizes_that_are_not_tried_yet_are_tried_by_and_by() {
    let mut target = LatencyTarget::new(LatencyTargetOptions {
        target: Duration::from_secs(1),
        max_batch_size: 1000,
        allowed_batch_sizes: Vec::new(),
    })
    .unwrap();
    let mut largest = 0;
    let mut now = Instant::now();
    while largest < 1000 {
        let size = target.limits().batch_size;
        assert!(size <= (2 * largest).max(1), "{size} after {largest}");
        assert!(size > largest, "{size} after {largest}");
        largest = size;
        now += Duration::from_millis(2);
        (0..size).for_each(|_| target.arrived(1, now));
        target.ran(size, Duration::from_millis(1), Duration::ZERO, 1000, now);
    }
}
