//! Clients of a session in this process: those that ask again when they are answered, and those that ask when they like.
//! There is no network.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures_util::future::{try_join, try_join_all};
use salver_batching_parameters::Parameters;
use salver_batching_session::{Call, Pools, Session};
use salver_core_observe::NoObserver;
use salver_core_platform::{Model, RequestContext, RunRequest};
use salver_core_signature::SignatureSet;
use salver_core_status::{Code, Status};
use salver_core_tensor::{Shape, Tensor};
use salver_tests_weights::WIDTH;

use super::chance::mix;
use super::network;
use crate::models;

/// What clients ask, and what each is to be answered.
pub(super) struct Clients(Vec<(Tensor, Bytes)>);

/// A session, and what runs its batches.
pub(super) struct Subject {
    session: Session,
    model: Arc<Counted>,
}

/// A model that counts what it runs.
struct Counted {
    model: Arc<dyn Model>,
    runs: AtomicU64,
    rows: AtomicU64,
}

/// The figures of one round of clients that ask again when they are answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub(super) per_second: f64,
    pub(super) p99_ms: f64,
    pub(super) rows_per_batch: f64,
}

/// The figures of one round of clients that ask when they like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    /// Of those that were answered.
    pub(super) p99_ms: f64,
    pub(super) rows_per_batch: f64,
    /// The share that found no room in the queue.
    pub(super) refused: f64,
}

impl Clients {
    pub(super) fn new(model: &dyn Model, clients: usize) -> anyhow::Result<Self> {
        let row = |client| Tensor::from_vec(Shape::new(&[1, i64::from(WIDTH)])?, network::row(client));
        let answers = network::answers(model, clients)?;
        let clients = answers.into_iter().enumerate().map(|(client, answer)| Ok((row(client)?, answer)));
        clients.collect::<anyhow::Result<_>>().map(Self)
    }
}

impl Subject {
    pub(super) fn new(model: &Arc<dyn Model>, parameters: &Parameters) -> anyhow::Result<Self> {
        let (runs, rows) = Default::default();
        let model = Arc::new(Counted { model: Arc::clone(model), runs, rows });
        let options = parameters.resolve()?.context("these parameters turn batching off")?;
        let (of_session, observer) = (Arc::clone(&model) as Arc<dyn Model>, Arc::new(NoObserver) as _);
        let session =
            Session::new(&models::id("network")?, of_session, options, &Pools::default(), &observer)?;
        Ok(Self { session, model })
    }

    /// Each client asks again when it is answered: for a while that does not count, and then for `duration`.
    pub(super) async fn closed(
        &self,
        clients: &Clients,
        warm_up: Duration,
        duration: Duration,
    ) -> anyhow::Result<Closed> {
        let (counts, is_over) = (&Cell::new(false), &Cell::new(false));
        let times = &RefCell::new(Vec::new());
        let asked = clients.0.iter().map(|(row, wanted)| async move {
            while !is_over.get() {
                let start = Instant::now();
                let answer = self.ask(row).await?;
                ensure!(is_answer(&answer, wanted), "another client's answer, or none");
                if counts.get() {
                    times.borrow_mut().push(start.elapsed());
                }
            }
            Ok(())
        });
        let watch = async {
            tokio::time::sleep(warm_up).await;
            let (start, before) = (Instant::now(), self.model.counts());
            counts.set(true);
            tokio::time::sleep(duration).await;
            is_over.set(true);
            Ok((start.elapsed(), self.model.rows_since(before)))
        };
        let (_, (elapsed, rows_per_batch)) = try_join(try_join_all(asked), watch).await?;
        let times = times.take();
        let per_second = times.len() as f64 / elapsed.as_secs_f64();
        Ok(Closed { per_second, p99_ms: p99_ms(times), rows_per_batch })
    }

    /// Requests come at chance, so many in a second, whether others have been answered or not.
    pub(super) async fn open(
        &self,
        clients: &Clients,
        per_second: f64,
        warm_up: Duration,
        duration: Duration,
    ) -> anyhow::Result<Open> {
        let (times, refused) = (&RefCell::new(Vec::new()), &Cell::new(0u32));
        let (start, before) = (Instant::now(), self.model.counts());
        let (mut at, mut asked) = (Duration::ZERO, Vec::new());
        for (number, (row, wanted)) in clients.0.iter().cycle().enumerate() {
            at += interval(number as u64, per_second);
            if at > warm_up + duration {
                break;
            }
            let (due, counts) = (start + at, at > warm_up);
            asked.push(async move {
                tokio::time::sleep_until(due.into()).await;
                match self.ask(row).await {
                    Ok(answer) => ensure!(is_answer(&answer, wanted), "another client's answer, or none"),
                    Err(status) if status.code() == Code::Unavailable => {
                        refused.set(refused.get() + u32::from(counts));
                        return Ok(());
                    }
                    Err(status) => return Err(status.into()),
                }
                if counts {
                    times.borrow_mut().push(due.elapsed());
                }
                Ok(())
            });
        }
        try_join_all(asked).await?;
        let (times, refused) = (times.take(), f64::from(refused.get()));
        let refused = refused / (refused + times.len() as f64).max(1.0);
        Ok(Open { p99_ms: p99_ms(times), rows_per_batch: self.model.rows_since(before), refused })
    }

    async fn ask(&self, row: &Tensor) -> Result<Vec<Tensor>, Status> {
        let call = Call {
            signature: 0,
            inputs: vec![Some(row.clone())],
            outputs: vec![0],
            context: RequestContext::default(),
            keep: Box::new(()),
        };
        self.session.run(call, false).await
    }
}

/// How long after the last one a request comes, where all come independently of one another.
fn interval(number: u64, per_second: f64) -> Duration {
    // Above 0, and up to 1.
    let chance = ((mix(number) >> 11) + 1) as f64 / (1u64 << 53) as f64;
    Duration::from_secs_f64(-chance.ln() / per_second)
}

fn is_answer(answer: &[Tensor], wanted: &Bytes) -> bool {
    let bytes = answer.first().and_then(Tensor::fixed);
    bytes.is_some_and(|bytes| network::is_close(bytes, wanted))
}

fn p99_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

impl Counted {
    fn counts(&self) -> (u64, u64) {
        (self.runs.load(Ordering::Relaxed), self.rows.load(Ordering::Relaxed))
    }

    /// The rows of a run since then.
    fn rows_since(&self, (runs, rows): (u64, u64)) -> f64 {
        let now = self.counts();
        (now.1 - rows) as f64 / (now.0 - runs).max(1) as f64
    }
}

impl Model for Counted {
    fn signatures(&self) -> &SignatureSet {
        self.model.signatures()
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let rows = request.input(0)?.shape().dims().first().copied().unwrap_or(0);
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows.unsigned_abs(), Ordering::Relaxed);
        self.model.run(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_come_at_chance_come_as_often_as_was_asked() {
        let all: Duration = (0..10_000).map(|number| interval(number, 500.0)).sum();
        assert!((19.0..21.0).contains(&all.as_secs_f64()), "{all:?}");
        let long = (0..10_000).filter(|number| interval(*number, 500.0) > Duration::from_millis(4)).count();
        // One in e squared.
        assert!((1250..1460).contains(&long), "{long}");
    }
}
