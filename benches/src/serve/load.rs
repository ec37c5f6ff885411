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
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) request: Request,
    pub(super) answer: Bytes,
}

/// The figures of one round.
pub(super) struct Measured {
    pub(super) per_second: f64,
    /// Of the server's process, per request.
    pub(super) cpu_us: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// How long clients run before they count.
const WARM_UP: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Counting,
    Over,
}

/// Loads `server` with that many clients for `duration`.
///
/// All clients share the calling thread.
pub(super) async fn measure(
    target: &Target,
    server: &Server,
    clients: usize,
    duration: Duration,
) -> anyhow::Result<Measured> {
    let phase = Cell::new(Phase::WarmUp);
    let times = RefCell::new(Vec::new());
    let client = || async {
        let mut connection = Connection::open(target.address, &target.request).await?;
        while phase.get() != Phase::Over {
            let start = Instant::now();
            let answer = connection.ask().await?;
            ensure!(answer.body == target.answer, "another answer than at first: {:?}", answer.body);
            if phase.get() == Phase::Counting {
                times.borrow_mut().push(start.elapsed());
            }
        }
        Ok(())
    };
    let watch = async {
        tokio::time::sleep(WARM_UP).await;
        let (start, cpu) = (Instant::now(), server.cpu_time()?);
        phase.set(Phase::Counting);
        tokio::time::sleep(duration).await;
        phase.set(Phase::Over);
        Ok((start.elapsed(), server.cpu_time()?.saturating_sub(cpu)))
    };
    let clients = try_join_all((0..clients).map(|_| client()));
    let (_, (elapsed, cpu)) = try_join(clients, watch).await?;
    let mut times = times.into_inner();
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
