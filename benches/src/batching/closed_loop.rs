//! Closed-loop clients of a session in this process: each asks again when it is answered. There is no network.

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
use salver_core_status::Status;
use salver_core_tensor::{Shape, Tensor};
use salver_tests_weights::WIDTH;

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

/// The figures of one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) per_second: f64,
    pub(super) p99_ms: f64,
    pub(super) rows_per_batch: f64,
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
        let model =
            Arc::new(Counted { model: Arc::clone(model), runs: AtomicU64::new(0), rows: AtomicU64::new(0) });
        let options = parameters.resolve()?.context("these parameters turn batching off")?;
        let of_session = Arc::clone(&model) as Arc<dyn Model>;
        let observer = Arc::new(NoObserver) as _;
        let session =
            Session::new(&models::id("network")?, of_session, options, &Pools::default(), &observer)?;
        Ok(Self { session, model })
    }

    /// All clients ask, from the calling thread: for a while that does not count, and then for `duration`.
    pub(super) async fn measure(
        &self,
        clients: &Clients,
        warm_up: Duration,
        duration: Duration,
    ) -> anyhow::Result<Measured> {
        let (counts, is_over) = (Cell::new(false), Cell::new(false));
        let times = RefCell::new(Vec::new());
        let client = |(row, wanted)| {
            let (counts, is_over, times) = (&counts, &is_over, &times);
            async move {
                while !is_over.get() {
                    let start = Instant::now();
                    let answer = self.ask(row).await?;
                    ensure!(is_answer(&answer, wanted), "another client's answer, or none");
                    if counts.get() {
                        times.borrow_mut().push(start.elapsed());
                    }
                }
                Ok(())
            }
        };
        let watch = async {
            tokio::time::sleep(warm_up).await;
            let (start, before) = (Instant::now(), self.model.counts());
            counts.set(true);
            tokio::time::sleep(duration).await;
            is_over.set(true);
            let after = self.model.counts();
            let rows_per_batch = (after.1 - before.1) as f64 / (after.0 - before.0).max(1) as f64;
            Ok((start.elapsed(), rows_per_batch))
        };
        let asked = clients.0.iter().map(|(row, wanted)| client((row, wanted)));
        let (_, (elapsed, rows_per_batch)) = try_join(try_join_all(asked), watch).await?;
        let mut times = times.into_inner();
        times.sort_unstable();
        let p99 = times.get(times.len() * 99 / 100).context("nothing was answered")?;
        let per_second = times.len() as f64 / elapsed.as_secs_f64();
        Ok(Measured { per_second, p99_ms: p99.as_secs_f64() * 1e3, rows_per_batch })
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

fn is_answer(answer: &[Tensor], wanted: &Bytes) -> bool {
    let bytes = answer.first().and_then(Tensor::fixed);
    bytes.is_some_and(|bytes| network::is_close(bytes, wanted))
}

impl Counted {
    fn counts(&self) -> (u64, u64) {
        (self.runs.load(Ordering::Relaxed), self.rows.load(Ordering::Relaxed))
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
