//! Batches that are filled while they run.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use salver_core_clock::ManualClock;
use salver_core_status::Code;

use super::fixture::Item;
use crate::{BatchStream, StreamingOptions, StreamingScheduler};

struct Fixture {
    scheduler: StreamingScheduler<Item>,
    clock: ManualClock,
    /// The streams, as they are handed over; a thread is busy until its stream's sender is dropped.
    streams: Receiver<(BatchStream<Item>, Sender<()>)>,
}

fn start(threads: usize, max_batch_size: usize, batch_timeout: Option<Duration>) -> Fixture {
    let options = StreamingOptions { name: "stream".to_owned(), threads, max_batch_size, batch_timeout };
    let (sender, streams) = channel();
    let clock = ManualClock::new();
    let run = move |stream| {
        let (keep, kept) = channel();
        sender.send((stream, keep)).unwrap();
        // Ends when the other end is dropped.
        assert!(kept.recv().is_err());
    };
    let scheduler = StreamingScheduler::start(options, run, Arc::new(clock.clone())).unwrap();
    Fixture { scheduler, clock, streams }
}

fn numbers(stream: BatchStream<Item>) -> Vec<u64> {
    stream.map(|item| item.number).collect()
}

const TIMEOUT: Option<Duration> = Some(Duration::from_secs(3600));

#[test]
fn a_batch_is_handed_over_when_it_opens_and_takes_tasks_in_until_it_is_full() {
    let Fixture { scheduler, streams, .. } = start(1, 3, TIMEOUT);
    scheduler.schedule(Item::new(0)).unwrap();
    let (mut stream, _busy) = streams.recv().unwrap();
    assert_eq!(stream.next().unwrap().number, 0);
    assert!(stream.try_next().is_none());
    assert!(!stream.is_closed());
    scheduler.schedule(Item::new(1)).unwrap();
    assert_eq!(stream.next().unwrap().number, 1);
    scheduler.schedule(Item::new(2)).unwrap();
    assert!(stream.is_closed());
    assert_eq!(stream.rows(), 3);
    assert_eq!(numbers(stream), [2]);
}

#[test]
fn a_batch_closes_at_its_time_whether_somebody_reads_it_or_not() {
    let Fixture { scheduler, clock, streams } = start(2, 3, Some(Duration::from_millis(5)));
    scheduler.schedule(Item::new(0)).unwrap();
    let (first, _busy) = streams.recv().unwrap();
    let reader = std::thread::spawn(move || numbers(first));
    clock.advance(Duration::from_millis(5));
    scheduler.nudge();
    // Nobody has to read it for that: a task that comes later is in another batch.
    scheduler.schedule(Item::new(1)).unwrap();
    let (second, _also_busy) = streams.recv().unwrap();
    assert_eq!(reader.join().unwrap(), [0]);
    drop(scheduler);
    assert_eq!(numbers(second), [1]);
}

#[test]
fn without_time_every_task_is_a_batch() {
    let Fixture { scheduler, streams, .. } = start(2, 3, Some(Duration::ZERO));
    (0..2).for_each(|number| scheduler.schedule(Item::new(number)).unwrap());
    let mut batches: Vec<_> =
        [streams.recv().unwrap(), streams.recv().unwrap()].map(|(stream, _)| numbers(stream)).into();
    batches.sort();
    assert_eq!(batches, [[0], [1]]);
}

#[test]
fn a_task_is_refused_while_all_threads_have_closed_batches() {
    let Fixture { scheduler, streams, .. } = start(1, 1, TIMEOUT);
    scheduler.schedule(Item::new(0)).unwrap();
    let (stream, busy) = streams.recv().unwrap();
    let refused = scheduler.schedule(Item::new(1)).unwrap_err();
    assert_eq!((refused.status.code(), refused.task.number), (Code::Unavailable, 1));
    assert_eq!(numbers(stream), [0]);
    drop(busy);
    // The thread is free as soon as it is done, which nothing tells but that it takes another.
    let mut item = Item::new(2);
    while let Err(refused) = scheduler.schedule(item) {
        item = refused.task;
        std::thread::yield_now();
    }
    let (stream, _busy) = streams.recv().unwrap();
    assert_eq!(numbers(stream), [2]);
}

#[test]
fn a_task_that_does_not_fit_closes_the_batch_and_one_that_fits_none_is_refused() {
    let Fixture { scheduler, streams, .. } = start(2, 4, None);
    scheduler.schedule(Item::of_rows(0, 3)).unwrap();
    scheduler.schedule(Item::of_rows(1, 2)).unwrap();
    let (first, _busy) = streams.recv().unwrap();
    let (second, _also_busy) = streams.recv().unwrap();
    // Whichever thread came first, one is closed and the other open.
    let (closed, open) = if first.is_closed() { (first, second) } else { (second, first) };
    assert_eq!(numbers(closed), [0]);
    assert!(!open.is_closed());
    let refused = scheduler.schedule(Item::of_rows(2, 5)).unwrap_err();
    assert_eq!(refused.status.code(), Code::InvalidArgument);
    assert_eq!(refused.status.message(), "task size 5 is larger than maximum input batch size 4");
}

#[test]
fn an_unfinished_batch_is_closed_and_run_when_the_scheduler_goes() {
    let Fixture { scheduler, streams, .. } = start(1, 10, None);
    scheduler.schedule(Item::new(0)).unwrap();
    let (stream, busy) = streams.recv().unwrap();
    let closer = std::thread::spawn(move || scheduler.close());
    assert_eq!(numbers(stream), [0]);
    drop(busy);
    closer.join().unwrap();
    assert!(streams.recv().is_err(), "the threads are gone");
}

#[test]
fn a_stream_that_is_dropped_takes_no_more() {
    let Fixture { scheduler, streams, .. } = start(2, 10, None);
    scheduler.schedule(Item::new(0)).unwrap();
    let (stream, _busy) = streams.recv().unwrap();
    drop(stream);
    scheduler.schedule(Item::new(1)).unwrap();
    let (mut stream, _also_busy) = streams.recv().unwrap();
    assert_eq!(stream.next().unwrap().number, 1);
}

#[test]
fn streaming_options_that_make_no_sense_are_named() {
    let error = |threads, max_batch_size| {
        let options =
            StreamingOptions { name: "stream".to_owned(), threads, max_batch_size, batch_timeout: None };
        let clock = Arc::new(ManualClock::new());
        StreamingScheduler::<Item>::start(options, drop, clock).unwrap_err().message().to_owned()
    };
    assert_eq!(error(0, 1), "num_batch_threads is 0, 1 to 4096 was wanted");
    assert_eq!(error(1, 0), "max_batch_size is 0, 1 or more was wanted");
}
