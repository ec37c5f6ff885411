//! How long a task waits that nothing keeps waiting, beside how long this machine takes to wake a thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use salver_batching_queue::Batch;
use salver_batching_scheduler::QueueHandle;

use super::task::{Run, Unit, insist, pool, queue};
use crate::figures::{Promise, Rounds, Want};

const ROUNDS: usize = 5;
const TASKS: usize = 150;
/// Long enough for whoever has nothing to do to sleep, and for its core to stop looking out for more.
const PAUSE: Duration = Duration::from_millis(1);
const TIMEOUT: Duration = Duration::from_millis(1);

pub(super) fn measure() -> anyhow::Result<Vec<Promise>> {
    let mut figures = [const { Rounds::new() }; 5];
    for _ in 0..ROUNDS {
        for (figures, figure) in figures.iter_mut().zip(round()?) {
            figures.push(figure);
        }
    }
    let [wake_up, idle, inline, late_sleep, late] = &figures;
    println!("  microseconds, the median of {TASKS} in each of {ROUNDS} rounds, one of each in turn");
    println!("  {:<52} {wake_up}", "waking a thread that sleeps, from call to awake");
    println!("  {:<52} {idle}", "a task with an idle device, from scheduled to run");
    println!("  {:<52} {inline}", "the same, where it may run on its caller's thread");
    println!("  {:<52} {late_sleep}", "a sleep of 1 ms ends late by");
    println!("  {:<52} {late}", "a time-out of 1 ms fires late by");
    // One wake-up is what is promised, of a thread that has nothing to do but wake: the lock that is taken and the batch that
    // is put together count as well.
    let promise = |name, figures: &Rounds| {
        Promise::new(name, figures.over(wake_up).median(), "wake-ups", Want::AtMost(1.0))
    };
    Ok(vec![
        promise("batching_added_wait_idle.by_a_thread_of_the_pool", idle),
        promise("batching_added_wait_idle.on_the_caller_s_thread", inline),
        promise("batching_timeout_lateness", late),
    ])
}

/// The medians of this round, in microseconds.
fn round() -> anyhow::Result<[f64; 5]> {
    let (sleeper, mut at_once, mut in_time) =
        (Sleeper::new(), Waiter::new(Duration::ZERO)?, Waiter::new(TIMEOUT)?);
    let mut taken: [Vec<Duration>; 5] = Default::default();
    for _ in 0..TASKS {
        let one_of_each = [
            sleeper.wake()?,
            at_once.wait(false)?,
            at_once.wait(true)?,
            sleeper.nap()?,
            in_time.wait(false)?,
        ];
        for (taken, one) in taken.iter_mut().zip(one_of_each) {
            taken.push(one);
        }
    }
    Ok(taken.map(median))
}

/// A thread that sleeps, without more around it than there has to be.
struct Sleeper {
    thread: thread::Thread,
    calls: Arc<Mutex<Option<Call>>>,
    answers: Receiver<Duration>,
}

enum Call {
    /// Tell how long ago this was.
    Wake(Instant),
    /// Sleep until then, and tell how late it became.
    Nap(Instant),
}

impl Sleeper {
    fn new() -> Self {
        let calls = Arc::new(Mutex::new(None));
        let (answer, answers) = channel();
        let called = Arc::clone(&calls);
        let thread = thread::spawn(move || {
            // As the pool's threads: by default the kernel lets a sleep end 50 us late.
            let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
            loop {
                let call = called.lock().take();
                let late = match call {
                    None if Arc::strong_count(&called) == 1 => return,
                    None => {
                        thread::park();
                        continue;
                    }
                    Some(Call::Wake(since)) => since.elapsed(),
                    Some(Call::Nap(until)) => {
                        while Instant::now() < until {
                            thread::park_timeout(until.saturating_duration_since(Instant::now()));
                        }
                        until.elapsed()
                    }
                };
                // Nobody listens where the round has failed.
                let _ = answer.send(late);
            }
        });
        Self { thread: thread.thread().clone(), calls, answers }
    }

    fn wake(&self) -> anyhow::Result<Duration> {
        pause();
        self.call(Call::Wake(Instant::now()))
    }

    fn nap(&self) -> anyhow::Result<Duration> {
        pause();
        self.call(Call::Nap(Instant::now() + TIMEOUT))
    }

    fn call(&self, call: Call) -> anyhow::Result<Duration> {
        *self.calls.lock() = Some(call);
        self.thread.unpark();
        Ok(self.answers.recv()?)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.calls = Arc::default();
        self.thread.unpark();
    }
}

/// A pool of one thread, and how long tasks wait in it.
struct Waiter {
    queue: QueueHandle<Unit>,
    timeout: Duration,
    waits: Receiver<Duration>,
}

impl Waiter {
    fn new(timeout: Duration) -> anyhow::Result<Self> {
        let (sender, waits) = channel();
        let consumer = Arc::new(Run(move |batch: Batch<Unit>| {
            let now = Instant::now();
            for task in batch.tasks {
                // Nobody listens where the round has failed.
                let _ = sender.send(now - task.pushed);
            }
        }));
        let queue = pool(1)?.add_queue(queue(100, timeout, 10), consumer)?;
        Ok(Self { queue, timeout, waits })
    }

    /// How long a task waits beyond the time-out.
    fn wait(&mut self, may_run_here: bool) -> anyhow::Result<Duration> {
        pause();
        insist(Unit { pushed: Instant::now() }, |task| {
            if may_run_here { self.queue.schedule_or_run(task) } else { self.queue.schedule(task) }
        });
        Ok(self.waits.recv()?.saturating_sub(self.timeout))
    }
}

/// Keeps this core awake: only the other's sleep is measured.
fn pause() {
    let start = Instant::now();
    while start.elapsed() < PAUSE {
        std::hint::spin_loop();
    }
}

/// In microseconds.
fn median(mut taken: Vec<Duration>) -> f64 {
    taken.sort_unstable();
    taken.get(taken.len() / 2).map_or(0.0, |median| median.as_secs_f64() * 1e6)
}
