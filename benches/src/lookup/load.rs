//! Threads that look up, and one that changes what they find.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use salver_core_servable::VersionChoice;

use super::contenders::{Contender, Request, STREAMS, VERSIONS, name_of, work};
use super::histogram::Histogram;
use crate::figures::thread_cpu_time;

/// How long one figure is taken for.
const ROUND: Duration = Duration::from_millis(100);
const SWAP_EVERY: Duration = Duration::from_millis(1);

/// What each thread did, and how long all of them took.
pub(super) struct Done<R> {
    pub(super) readers: Vec<R>,
    pub(super) elapsed: Duration,
    pub(super) swaps: u64,
}

/// When a round is over. Readers look at the clock themselves: where there are more of them than cores, whoever would
/// tell them might not come to run.
pub(super) struct End(Instant);

impl End {
    fn is_reached(&self) -> bool {
        Instant::now() >= self.0
    }
}

/// Lets `threads` threads read for a while, beside one that writes, where there is something to write.
pub(super) fn round<R: Send>(
    threads: usize,
    read: impl Fn(&End) -> R + Sync,
    write: Option<&(dyn Fn() + Sync)>,
) -> Done<R> {
    let (is_done, ready, start) = (&AtomicBool::new(false), &Barrier::new(threads), &OnceLock::new());
    thread::scope(|scope| {
        let read = &read;
        let reader = |_| {
            scope.spawn(move || {
                ready.wait();
                let end = End(*start.get_or_init(Instant::now) + ROUND);
                (read(&end), Instant::now())
            })
        };
        let writer = write.map(|write| {
            scope.spawn(move || {
                let mut swaps = 0;
                while !is_done.load(Ordering::Relaxed) {
                    thread::sleep(SWAP_EVERY);
                    write();
                    swaps += 1;
                }
                swaps
            })
        });
        let readers: Vec<_> = (0..threads).map(reader).collect();
        let ended = readers.into_iter().filter_map(|reader| reader.join().ok());
        let (readers, ends): (Vec<R>, Vec<Instant>) = ended.unzip();
        is_done.store(true, Ordering::Relaxed);
        let swaps = writer.map_or(0, |writer| writer.join().unwrap_or_default());
        let elapsed = ends.iter().max().zip(start.get()).map_or(ROUND, |(end, start)| *end - *start);
        Done { readers, elapsed, swaps }
    })
}

/// What one thread found.
#[derive(Default)]
pub(super) struct Count {
    pub(super) found: u64,
    pub(super) missed: u64,
    pub(super) cpu: Duration,
}

impl Count {
    fn add(&mut self, is_found: bool) {
        self.found += u64::from(is_found);
        self.missed += u64::from(!is_found);
    }
}

/// A contender at work. The loops are generic, so that nothing but the look-up is called through a pointer.
pub(super) trait AtWork: Sync {
    fn name(&self) -> &'static str;

    /// Answers the requests over and over.
    fn answer(&self, requests: &[Request], end: &End) -> Count;

    /// Finds the latest version of the first stream over and over, with work or without.
    fn read(&self, with_work: bool, end: &End) -> Count;

    /// The same without work, and how long each took.
    fn time(&self, end: &End) -> Histogram;

    /// Replaces the newest version of a stream.
    fn replace(&self, stream: usize);

    /// Puts the next version of the first stream in place of `version`.
    fn advance(&self, version: i64);
}

impl<C: Contender> AtWork for C {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn answer(&self, requests: &[Request], end: &End) -> Count {
        let (mut count, start) = (Count::default(), thread_cpu_time());
        while !end.is_reached() {
            for Request { name, choice } in requests {
                count.add(self.look_up(black_box(name), black_box(*choice)));
            }
        }
        count.cpu = thread_cpu_time() - start;
        count
    }

    fn read(&self, with_work: bool, end: &End) -> Count {
        let (name, mut count, start) = (name_of(0), Count::default(), thread_cpu_time());
        let at_once = if with_work { 10 } else { 500 };
        while !end.is_reached() {
            for _ in 0..at_once {
                count.add(self.look_up(black_box(&name), black_box(VersionChoice::Latest)));
                if with_work {
                    work();
                }
            }
        }
        count.cpu = thread_cpu_time() - start;
        count
    }

    fn time(&self, end: &End) -> Histogram {
        let (name, mut histogram) = (name_of(0), Histogram::default());
        while !end.is_reached() {
            for _ in 0..100 {
                let start = Instant::now();
                black_box(self.look_up(black_box(&name), black_box(VersionChoice::Latest)));
                histogram.record(start.elapsed());
            }
        }
        histogram
    }

    fn replace(&self, stream: usize) {
        let [_, newer] = VERSIONS;
        self.publish(&name_of(stream % STREAMS), newer);
    }

    fn advance(&self, version: i64) {
        let name = name_of(0);
        self.publish(&name, version + 1);
        self.withdraw(&name, version);
    }
}
