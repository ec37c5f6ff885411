//! What a task costs the queue: `cargo bench -p salver-batching-queue`.
//!
//! Budget: 100 ns for a push and its share of a take, so that two million tasks a second pass one lock with room to spare.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use salver_batching_queue::{Level, Queue, QueueOptions, QueuePolicy, Task};

const TASKS: usize = 1000;

struct Unit {
    key: u8,
    level: usize,
}

impl Task for Unit {
    type Key = u8;

    fn key(&self) -> u8 {
        self.key
    }

    fn size(&self) -> usize {
        1
    }

    fn level(&self) -> Option<usize> {
        Some(self.level)
    }

    fn split(self, _: &[usize]) -> Vec<Self> {
        vec![self]
    }
}

fn queue(criterion: &mut Criterion) {
    let level = |size: usize| Level {
        max_batch_size: size,
        max_execution_batch_size: size,
        batch_timeout: Duration::from_secs(1),
        max_enqueued_batches: TASKS,
        ..Level::default()
    };
    let policy = QueuePolicy { default_timeout: Some(Duration::from_secs(1)), ..QueuePolicy::default() };
    let cases = [
        ("batches of 100", vec![level(100)], 1),
        ("batches of 1", vec![level(1)], 1),
        ("batches of 100, 4 keys in turn", vec![level(100)], 4),
        ("batches of 100, 2 levels in turn", vec![level(100), level(100)], 1),
        ("batches of 100, timeouts", vec![Level { policy, ..level(100) }], 1),
        ("batches of 100, preferred sizes", vec![Level { preferred_batch_sizes: vec![50], ..level(100) }], 1),
    ];
    let mut group = criterion.benchmark_group("push and take");
    group.throughput(Throughput::Elements(TASKS as u64));
    for (name, levels, keys) in cases {
        let n_levels = levels.len();
        let options = QueueOptions { levels, ..QueueOptions::default() };
        let Ok(mut queue) = Queue::new(options) else { continue };
        let now = Instant::now();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for number in 0..TASKS {
                    let task = Unit { key: (number % keys) as u8, level: number % n_levels };
                    if queue.push(task, now).is_err() {
                        break;
                    }
                    black_box(queue.ready(now));
                }
                while let Some(batch) = queue.take_early(now).batch {
                    black_box(batch);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, queue);
criterion_main!(benches);
