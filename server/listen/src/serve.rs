//! The accept loop and its end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::Budget;
use crate::greeting::Greeted;
use crate::listener::{Listener, Stream};
use crate::stall::Read;

/// What connections may take.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many connections may be open at once; further ones wait in the operating system's queue.
    pub max_connections: usize,
    /// The memory that the bodies of all requests under way may take.
    pub budget: Budget,
    /// How long requests under way may take to finish at the end.
    pub drain_timeout: Duration,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every request under way was answered.
    Drained,
    /// Some were not, within the time they had; their connections were cut.
    Cut,
}

/// How long a client may take to say which protocol it speaks, and to send the head of an HTTP/1 request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take none of an answer.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long connections may linger at the end without a request under way: enough for answers to leave, and for clients
/// to hear that no more requests are taken.
const LINGER: Duration = Duration::from_secs(1);

/// How often, and for how long, a silent HTTP/2 peer is asked whether it is there.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Requests one HTTP/2 connection may have under way.
const MAX_STREAMS: u32 = 1000;

/// Flow-control windows and frames of HTTP/2, large enough that a tensor of a megabyte flows without a pause.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
const MAX_FRAME: u32 = 1 << 20;

/// How long to wait after a connection could not be accepted: for lack of descriptors, mostly, which only time mends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` on every listener until `stop` is ready, then lets requests under way finish.
///
/// Returns when they have, or when their time is over.
pub async fn serve(
    listeners: Vec<Listener>,
    app: Router,
    options: Options,
    stop: impl Future<Output = ()>,
) -> Outcome {
    let server = Arc::new(Server { app, budget: options.budget, http: builder() });
    let permits = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
    let graceful = GracefulShutdown::new();
    // One place: a listener accepts its next connection when the last one is taken.
    let (sender, mut accepted) = mpsc::channel(1);
    let mut listening = JoinSet::new();
    for listener in listeners {
        listening.spawn(accept(listener, Arc::clone(&permits), sender.clone()));
    }
    drop(sender);
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            next = accepted.recv() => {
                let Some((stream, permit)) = next else { break };
                let (server, watcher) = (Arc::clone(&server), graceful.watcher());
                tokio::spawn(async move {
                    server.connection(stream, watcher).await;
                    drop(permit);
                });
            }
        }
    }
    // Closes the listening sockets: new connections are refused from here on.
    listening.shutdown().await;
    let drained = async {
        tokio::select! {
            // A connection that is open and idle, or in the middle of a head, is not worth waiting for.
            () = answered(&server.budget) => {}
            () = graceful.shutdown() => {}
        }
    };
    match tokio::time::timeout(options.drain_timeout, drained).await {
        Ok(()) => Outcome::Drained,
        Err(_) => Outcome::Cut,
    }
}

/// Waits until no request is under way, and for a while none has come.
async fn answered(budget: &Budget) {
    loop {
        budget.idle().await;
        tokio::time::sleep(LINGER).await;
        if budget.requests() == 0 {
            return;
        }
    }
}

/// Accepts connections, as many at a time as there are permits, until nobody takes them.
async fn accept(
    listener: Listener,
    permits: Arc<Semaphore>,
    sender: mpsc::Sender<(Stream, OwnedSemaphorePermit)>,
) {
    loop {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // After it is accepted: a listener to which nobody comes keeps no permit from the other. The semaphore is
        // never closed.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        if sender.send((stream, permit)).await.is_err() {
            return;
        }
    }
}

struct Server {
    app: Router,
    budget: Budget,
    http: auto::Builder<TokioExecutor>,
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    builder
}

impl Server {
    async fn connection(self: Arc<Self>, stream: Stream, watcher: Watcher) {
        let (app, budget) = (self.app.clone(), self.budget.clone());
        let service = service_fn(move |request| {
            let admitted = budget.admit(request);
            let app = app.clone();
            async move {
                match admitted {
                    Err(refusal) => Ok(refusal),
                    Ok((request, admission)) => {
                        app.oneshot(request).await.map(|response| admission.attach(response))
                    }
                }
            }
        });
        let stream = Read::new(Greeted::new(stream, HEADER_TIMEOUT), STALL_TIMEOUT);
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "a connection ended badly");
        }
    }
}

#[cfg(test)]
mod tests;
