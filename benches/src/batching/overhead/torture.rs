//! Ten million tasks with everything on at once, of which none may be lost, and none answered twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use salver_batching_queue::{
    Batch, BatchPadding, Dropped, GivenUp, Level, PriorityMixing, QueueOptions, QueuePolicy, Task,
};
use salver_batching_scheduler::{Consumer, QueueHandle};
use salver_core_status::Code;

use super::task::{insist, pool};
use crate::batching::chance::mix;
use crate::figures::{Figure, Promise, Want};
use crate::machine::cores;

const TASKS: u64 = 10_000_000;
/// At a time: each task's rows are ticked off in a word of its own.
const PART: u64 = 1_000_000;
const PRODUCERS: u64 = 4;
const QUEUES: usize = 3;
const MAX_ROWS: u64 = 48;

pub(super) fn measure() -> anyhow::Result<Vec<Promise>> {
    let start = Instant::now();
    let tally = Arc::new(Tally { rows: (0..PART).map(|_| AtomicU64::new(0)).collect(), ..Tally::default() });
    let mut wrong = 0;
    for part in 0..TASKS / PART {
        wrong += round(&tally, part)?;
    }
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let rate = TASKS as f64 / 1e6 / start.elapsed().as_secs_f64();
    println!("  {QUEUES} queues with allowed sizes, padding, splitting, priorities, deadlines and time-outs");
    println!(
        "  {} tasks of 1 to {MAX_ROWS} rows ({} million/s) in {} batches: {} rows run, {} rows padded, {} rows expired, {} rows timed out; {} tasks refused at first",
        TASKS,
        Figure(rate),
        read(&tally.batches),
        read(&tally.ran),
        read(&tally.padded),
        read(&tally.expired),
        read(&tally.timed_out),
        read(&tally.refused),
    );
    let wrong = wrong + read(&tally.doubled);
    Ok(vec![Promise::new("batching_lost_or_doubled_of_10_million", wrong as f64, "tasks", Want::AtMost(0.0))])
}

/// What became of every row.
#[derive(Default)]
struct Tally {
    /// By task, a bit for each row that was answered.
    rows: Vec<AtomicU64>,
    doubled: AtomicU64,
    batches: AtomicU64,
    ran: AtomicU64,
    padded: AtomicU64,
    expired: AtomicU64,
    timed_out: AtomicU64,
    refused: AtomicU64,
}

impl Tally {
    fn answer(&self, task: &Rows) {
        let before =
            self.rows.get(task.number).map_or(u64::MAX, |rows| rows.fetch_or(task.mask(), Ordering::Relaxed));
        self.doubled.fetch_add(u64::from(before & task.mask() != 0), Ordering::Relaxed);
    }
}

/// Some rows of a task, all of them at first.
#[derive(Debug)]
struct Rows {
    number: usize,
    first: u64,
    rows: u64,
    level: usize,
    deadline: Option<Instant>,
    timeout: Option<Duration>,
}

impl Rows {
    fn mask(&self) -> u64 {
        ((1 << self.rows) - 1) << self.first
    }
}

impl Task for Rows {
    type Key = bool;

    /// Two shapes.
    fn key(&self) -> bool {
        self.number.is_multiple_of(16)
    }

    fn size(&self) -> usize {
        self.rows as usize
    }

    fn level(&self) -> Option<usize> {
        Some(self.level)
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    fn given_up(&self, now: Instant) -> Option<GivenUp> {
        self.deadline.filter(|deadline| *deadline <= now).map(|_| GivenUp::Expired)
    }

    fn split(self, sizes: &[usize]) -> Vec<Self> {
        let mut first = self.first;
        let part = |size: &usize| {
            let rows = *size as u64;
            first += rows;
            Self { first: first - rows, rows, ..self }
        };
        sizes.iter().map(part).collect()
    }
}

impl Consumer<Rows> for Tally {
    fn run(&self, batch: Batch<Rows>) {
        batch.tasks.iter().for_each(|task| self.answer(task));
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.ran.fetch_add(batch.rows as u64, Ordering::Relaxed);
        self.padded.fetch_add((batch.padded_rows - batch.rows) as u64, Ordering::Relaxed);
    }

    fn dropped(&self, dropped: Dropped<Rows>) {
        self.answer(&dropped.task);
        let is_late = dropped.status.code() == Code::DeadlineExceeded;
        let count = if is_late { &self.expired } else { &self.timed_out };
        count.fetch_add(dropped.task.rows, Ordering::Relaxed);
    }
}

/// One part; returns how many tasks are not answered to the last row.
fn round(tally: &Arc<Tally>, part: u64) -> anyhow::Result<u64> {
    let scheduler = pool::<Rows>(cores())?;
    let mixings = [PriorityMixing::PadToMax, PriorityMixing::PadToNextAllowed, PriorityMixing::Merge];
    let paddings = [BatchPadding::PadUp, BatchPadding::BatchDown, BatchPadding::MinimizeCostPerRequest];
    let mut queues = Vec::new();
    for (mixing, padding) in mixings.into_iter().zip(paddings) {
        let consumer: Arc<dyn Consumer<Rows>> = Arc::<Tally>::clone(tally);
        queues.push(scheduler.add_queue(options(mixing, padding), consumer)?);
    }
    tally.rows.iter().for_each(|rows| rows.store(0, Ordering::Relaxed));
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let (queues, tally) = (&queues, &**tally);
            scope.spawn(move || produce(producer, part, queues, tally));
        }
    });
    queues.into_iter().for_each(QueueHandle::close);
    let is_wrong = |(number, rows): &(u64, &AtomicU64)| {
        rows.load(Ordering::Relaxed) != (1 << size(part * PART + number)) - 1
    };
    Ok((0..PART).zip(&tally.rows).filter(is_wrong).count() as u64)
}

fn produce(producer: u64, part: u64, queues: &[QueueHandle<Rows>], tally: &Tally) {
    for number in (producer..PART).step_by(PRODUCERS as usize) {
        let drawn = mix(part * PART + number);
        let Some(queue) = queues.get(drawn as usize % QUEUES) else { return };
        let micros = |bits: u64| Duration::from_micros(drawn >> bits & 0x3FF);
        let task = Rows {
            number: number as usize,
            first: 0,
            rows: size(part * PART + number),
            level: usize::from(drawn >> 8 & 3 != 0),
            deadline: (drawn >> 12 & 7 == 0).then(|| Instant::now() + micros(20)),
            timeout: (drawn >> 16 & 7 == 0).then(|| micros(30)),
        };
        let may_run_here = drawn >> 40 & 7 == 0;
        let refused =
            insist(
                task,
                |task| {
                    if may_run_here { queue.schedule_or_run(task) } else { queue.schedule(task) }
                },
            );
        tally.refused.fetch_add(u64::from(refused > 0), Ordering::Relaxed);
    }
}

fn options(mixing: PriorityMixing, padding: BatchPadding) -> QueueOptions {
    let level = Level {
        max_batch_size: MAX_ROWS as usize,
        max_execution_batch_size: 32,
        batch_timeout: Duration::from_micros(200),
        max_enqueued_batches: 64,
        allowed_batch_sizes: vec![4, 8, 16, 32],
        policy: QueuePolicy { allow_timeout_override: true, ..QueuePolicy::default() },
        ..Level::default()
    };
    QueueOptions {
        levels: vec![level.clone(), level],
        default_level: 1,
        mixing,
        enable_large_batch_splitting: true,
        padding,
        ..QueueOptions::default()
    }
}

/// Few are large.
fn size(number: u64) -> u64 {
    let drawn = mix(number ^ 0xABCD);
    if drawn.is_multiple_of(32) { 1 + (drawn >> 8) % MAX_ROWS } else { 1 + (drawn >> 8) % 3 }
}
