//! A server, from its configuration to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use salver_core_status::Status;
use salver_server_assembly::{Assembly, Control, Platforms};
use salver_server_config::ServeConfig;
use salver_server_inference::Inference;
use salver_server_listen::{Budget, Listener, Options, Outcome};
use salver_server_metrics::Registry;

use crate::ports;
use crate::routes::routes;

/// A server whose ports are open and whose models are being loaded. It answers while it is [run](Self::run).
///
/// Dropping one that is not run unloads its models, and blocks until they are gone.
pub struct Server {
    listeners: Vec<Listener>,
    addresses: Vec<SocketAddr>,
    app: Router,
    options: Options,
    assembly: Assembly,
    drain_timeout: Duration,
}

/// How long sources may take to end, beside the time that unloading may take.
const ENDING: Duration = Duration::from_secs(1);

impl Server {
    /// Opens ports and plugins, and begins to load models. Returns without waiting for any. Call it in a runtime of
    /// tokio's, with I/O and time.
    ///
    /// # Errors
    /// UNAVAILABLE: a port, or the UNIX socket, cannot be had; INTERNAL: no threads can be.
    pub async fn start(config: &ServeConfig) -> Result<Self, Status> {
        Self::build(config, |registry| Assembly::start(config, registry)).await
    }

    /// The same with platforms that are there already; no plugins are looked for.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn with_platforms(config: &ServeConfig, platforms: Platforms) -> Result<Self, Status> {
        Self::build(config, |registry| Assembly::with_platforms(config, platforms, registry)).await
    }

    async fn build(
        config: &ServeConfig,
        assemble: impl FnOnce(Arc<Registry>) -> Result<Assembly, Status>,
    ) -> Result<Self, Status> {
        // Before anything is loaded: who starts it twice by mistake is told at once.
        let ports::Open { listeners, addresses } = ports::open(&config.listen).await?;
        let registry = Arc::new(Registry::new());
        let assembly = assemble(Arc::clone(&registry))?;
        let limits = &config.limits;
        let options = Options {
            max_connections: limits.max_connections,
            budget: Budget::new(limits.max_inflight_bytes),
            drain_timeout: limits.drain_timeout,
        };
        let app = routes(config, &assembly, registry);
        Ok(Self { listeners, addresses, app, options, assembly, drain_timeout: limits.drain_timeout })
    }

    /// The ports on which it listens, the main one first. Each answers gRPC and REST.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What answers requests: for those of the program itself, which need no network.
    pub fn inference(&self) -> Arc<Inference> {
        self.assembly.inference()
    }

    /// What changes which models are served.
    pub fn control(&self) -> Arc<Control> {
        self.assembly.control()
    }

    /// Answers until `stop` is done; then says that it is not ready, lets requests under way finish, and unloads
    /// everything. The outcome says whether all of them did in the time that the configuration gives them.
    ///
    /// Dropped before its end, it drops the connections, and unloads as a dropped server does.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Outcome {
        let Self { listeners, addresses: _, app, options, assembly, drain_timeout } = self;
        let until_stop = async {
            stop.await;
            assembly.drain();
        };
        let outcome = salver_server_listen::serve(listeners, app, options, until_stop).await;
        if outcome == Outcome::Cut {
            tracing::warn!(limit = ?drain_timeout, "some requests did not finish in time");
        }
        let unload = tokio::task::spawn_blocking(move || assembly.shut_down(drain_timeout));
        let all_gone = match tokio::time::timeout(drain_timeout.saturating_add(ENDING), unload).await {
            Ok(all_gone) => all_gone.unwrap_or(false),
            Err(_) => {
                tracing::warn!(
                    "a source does not end, such as one that waits for a file system; it is left behind"
                );
                false
            }
        };
        tracing::info!(all_unloaded = all_gone, "stopped");
        outcome
    }
}
