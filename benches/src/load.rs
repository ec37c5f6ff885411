//! Closed-loop load: each client sends its next request when the last one is answered.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use futures_util::future::{try_join, try_join_all};

use crate::client::{Connection, Request};
use crate::process::Server;

/// What is asked where, and what is answered each time.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) request: Request,
    pub(crate) answer: Bytes,
    /// Whether what is answered is that.
    pub(crate) is_answer: fn(&Bytes, &Bytes) -> bool,
}

/// The figures of one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    /// Of the server's process, per request.
    pub(crate) cpu_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// How long clients run before they count.
const WARM_UP: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Counting,
    Over,
}

/// Loads `server` with that many clients for `duration`, which take turns with the targets.
///
/// All clients share the calling thread.
pub(crate) async fn measure(
    targets: &[Target],
    server: &Server,
    clients: usize,
    duration: Duration,
) -> anyhow::Result<Measured> {
    let (phase, times) = (&Cell::new(Phase::WarmUp), &RefCell::new(Vec::new()));
    let clients = targets.iter().cycle().take(clients).map(|target| async move {
        let mut connection = Connection::open(target.address, &target.request).await?;
        while phase.get() != Phase::Over {
            let start = Instant::now();
            let answer = connection.ask().await?;
            let is_answer = (target.is_answer)(&answer.body, &target.answer);
            ensure!(is_answer, "another answer than at first: {:?}", answer.body);
            if phase.get() == Phase::Counting {
                times.borrow_mut().push(start.elapsed());
            }
        }
        Ok(())
    });
    let watch = async {
        tokio::time::sleep(WARM_UP).await;
        let (start, cpu) = (Instant::now(), server.cpu_time()?);
        phase.set(Phase::Counting);
        tokio::time::sleep(duration).await;
        phase.set(Phase::Over);
        Ok((start.elapsed(), server.cpu_time()?.saturating_sub(cpu)))
    };
    let (_, (elapsed, cpu)) = try_join(try_join_all(clients), watch).await?;
    let mut times = times.take();
    ensure!(!times.is_empty(), "nothing was answered");
    times.sort_unstable();
    let percentile = |percent: usize| {
        let time = times.get(times.len() * percent / 100).or(times.last());
        time.map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    let requests = times.len() as f64;
    Ok(Measured {
        per_second: requests / elapsed.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / requests,
        p50_us: percentile(50),
        p99_us: percentile(99),
    })
}
