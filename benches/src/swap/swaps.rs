//! A thousand swaps of one version for the other, while clients ask as fast as they are answered.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};

use super::answers::{DIGITS, Subject, folder};
use super::control;
use crate::client::{Connection, Transport};
use crate::figures::{Figure, Promise, Want};
use crate::process::Server;

const SWAPS: usize = 1000;
/// Over each of gRPC and REST.
const CLIENTS: usize = 4;
/// So many failures are shown.
const SHOWN: usize = 3;

/// What clients have seen.
#[derive(Default)]
struct Seen {
    is_over: Cell<bool>,
    /// How often each version answered.
    by_version: [Cell<usize>; 2],
    failures: RefCell<Vec<String>>,
}

pub(super) async fn measure() -> anyhow::Result<Vec<Promise>> {
    let server = control::server()?;
    let mut subjects = Vec::new();
    for transport in [Transport::Grpc, Transport::Http] {
        subjects.push(Subject::prepare(server.address, transport).await?);
    }
    let seen = Seen::default();
    let clients = subjects.iter().flat_map(|subject| (0..CLIENTS).map(|_| ask(&server, subject, &seen)));
    let (_, swapped) = join(join_all(clients), swap(&server, &seen)).await;
    let took = swapped?;

    let [first, second] = seen.by_version.map(Cell::into_inner);
    let failures = seen.failures.into_inner();
    let per_second = Figure(SWAPS as f64 / took.as_secs_f64());
    println!(
        "  {DIGITS}: {SWAPS} swaps, {per_second} a second; of {} requests over gRPC and REST version 1 answered {first} and \
         version 2 {second}",
        first + second + failures.len()
    );
    for failure in failures.iter().take(SHOWN) {
        println!("  failed: {failure}");
    }
    anyhow::ensure!(first > 0 && second > 0, "nothing was asked while versions moved");
    Ok(vec![Promise::new("swap_failed_requests", failures.len() as f64, "requests", Want::AtMost(0.0))])
}

/// From version 2 to 1 and back.
async fn swap(server: &Server, seen: &Seen) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mut outcome = Ok(());
    for version in [1, 2].into_iter().cycle().take(SWAPS) {
        outcome = control::reload(server.address, control::only(DIGITS, &folder(), version)).await;
        if outcome.is_err() {
            break;
        }
    }
    seen.is_over.set(true);
    outcome.map(|()| start.elapsed())
}

/// Asks until it is over; with a new connection after a failure.
async fn ask(server: &Server, subject: &Subject, seen: &Seen) {
    let failed = |error: anyhow::Error| seen.failures.borrow_mut().push(format!("{error:#}"));
    while !seen.is_over.get() {
        let mut connection = match Connection::open(server.address, &subject.request).await {
            Ok(connection) => connection,
            Err(error) => {
                failed(error);
                continue;
            }
        };
        while !seen.is_over.get() {
            let answer = match connection.ask().await {
                Ok(answer) => answer,
                Err(error) => {
                    failed(error);
                    break;
                }
            };
            match subject.answers.iter().position(|known| *known == answer.body) {
                Some(version) => {
                    if let Some(count) = seen.by_version.get(version) {
                        count.set(count.get() + 1);
                    }
                }
                None => failed(anyhow::anyhow!("neither version answers {:?}", answer.body)),
            }
        }
    }
}
