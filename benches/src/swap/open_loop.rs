//! Open-loop load: a request is due at each tick of a clock, whether those before it are answered or not.
//!
//! The time of a request counts from when it was due, so that one that waits behind a slow one counts as slow itself.
//! (Gil Tene's "coordinated omission" is to count from when it was sent.)

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures_util::future::{try_join, try_join_all};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::client::{Connection, Request};

/// What is asked where, how often, and what is answered each time.
pub(super) struct Load {
    pub(super) address: SocketAddr,
    pub(super) request: Request,
    pub(super) answer: Bytes,
    pub(super) per_second: f64,
}

/// Connections, each with at most one request under way. Of more that are due the others wait.
const CONNECTIONS: usize = 16;

/// What one round took.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// From when a request was due to its answer.
    answers: Vec<Duration>,
    /// From when a request was due to when this program noticed: what it adds itself.
    ticks: Vec<Duration>,
}

impl Times {
    /// Microseconds to the answer, of this share of requests.
    pub(super) fn answer_us(&self, share: f64) -> f64 {
        quantile_us(&self.answers, share)
    }

    pub(super) fn tick_us(&self, share: f64) -> f64 {
        quantile_us(&self.ticks, share)
    }
}

/// The least time in microseconds that this share of `times`, which are in order, does not exceed.
pub(super) fn quantile_us(times: &[Duration], share: f64) -> f64 {
    let rank = (times.len() as f64 * share).ceil() as usize;
    times.get(rank.saturating_sub(1)).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}

/// What is due and not yet sent.
#[derive(Default)]
struct Due {
    queue: RefCell<VecDeque<Duration>>,
    added: Notify,
    is_over: Cell<bool>,
}

impl Due {
    /// The request that is due next; `None` where no more will be.
    async fn next(&self) -> Option<Duration> {
        loop {
            let due = self.queue.borrow_mut().pop_front();
            if due.is_some() || self.is_over.get() {
                return due;
            }
            self.added.notified().await;
        }
    }

    fn end(&self) {
        self.is_over.set(true);
        self.added.notify_waiters();
    }
}

/// Asks for so long.
///
/// # Errors
/// A request that fails, or is answered otherwise than it should be.
pub(super) async fn measure(load: &Load, duration: Duration) -> anyhow::Result<Times> {
    let due = Due::default();
    let answers = RefCell::new(Vec::new());
    let client = || async {
        let mut connection = Connection::open(load.address, &load.request).await?;
        while let Some(at) = due.next().await {
            let answer = connection.ask().await?;
            answers.borrow_mut().push(now().saturating_sub(at));
            ensure!(answer.body == load.answer, "another answer than at first: {:?}", answer.body);
        }
        Ok(())
    };
    let clients = try_join_all((0..CONNECTIONS).map(|_| client()));
    let (_, mut ticks) = try_join(clients, tick(&due, load.per_second, duration)).await?;
    let mut answers = answers.into_inner();
    answers.sort_unstable();
    ticks.sort_unstable();
    Ok(Times { answers, ticks })
}

/// Makes a request due at each tick; returns how late it noticed.
#[expect(deprecated, reason = "what takes its place is unsafe; the timer belongs to what it is given to")]
async fn tick(due: &Due, per_second: f64, duration: Duration) -> anyhow::Result<Vec<Duration>> {
    let interval = Duration::from_secs_f64(1.0 / per_second);
    let start = now();
    // Tokio's clock ticks each millisecond.
    let timer = AsyncFd::new(timer(start, interval)?).context("waiting for a timer")?;
    let (mut late, mut n_due) = (Vec::new(), 0u32);
    while interval * n_due < duration {
        let mut ready = timer.readable().await?;
        let read = ready.try_io(|timer| {
            let mut count = [0; size_of::<u64>()];
            rustix::io::read(timer.get_ref(), &mut count)?;
            Ok(u64::from_ne_bytes(count))
        });
        // Err: the timer was not readable after all.
        let Ok(count) = read else { continue };
        for _ in 0..count? {
            n_due += 1;
            let at = start + interval * n_due;
            late.push(now().saturating_sub(at));
            due.queue.borrow_mut().push_back(at);
            due.added.notify_one();
        }
    }
    due.end();
    Ok(late)
}

/// The time of the clock that timers go by, which no `Instant` tells.
fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// A timer that ticks each `interval` after `start`.
fn timer(start: Duration, interval: Duration) -> anyhow::Result<OwnedFd> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = timerfd_create(TimerfdClockId::Monotonic, flags).context("making a timer")?;
    let time = |time: Duration| -> anyhow::Result<Timespec> {
        Ok(Timespec { tv_sec: time.as_secs().try_into()?, tv_nsec: time.subsec_nanos().into() })
    };
    let every = Itimerspec { it_interval: time(interval)?, it_value: time(start + interval)? };
    timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &every).context("setting a timer")?;
    Ok(timer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_least_time_that_the_share_does_not_exceed() {
        let times: Vec<_> = (1..=1000).map(Duration::from_micros).collect();
        assert_eq!([0.5, 0.999, 1.0].map(|share| quantile_us(&times, share).round()), [500.0, 999.0, 1000.0]);
    }
}
