//! How long it takes until a thousand models that do nothing are available: of the whole server, and of its manager.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use salver_core_loader::{Aspired, AspiredVersions, LoadContext, Loader, Target as _};
use salver_core_servable::{Lookup as _, StreamName, Version, VersionChoice};
use salver_core_status::Status;
use salver_manager_aspired::{AspiredManager, Options};
use salver_manager_monitor::Monitor;
use tempfile::TempDir;

use crate::built;
use crate::figures::{Promise, Rounds, Want};
use crate::process::Server;

const MODELS: usize = 1000;
const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);
const PROMISED_SECONDS: f64 = 2.0;

pub(super) fn measure() -> anyhow::Result<Vec<Promise>> {
    let repository = TempDir::new().context("making a model repository")?;
    for model in 0..MODELS {
        let version = repository.path().join(name(model)).join("1");
        std::fs::create_dir_all(&version)?;
        std::fs::write(version.join("echo.toml"), "")?;
    }
    let (mut server, mut manager) = (Rounds::new(), Rounds::new());
    for _ in 0..ROUNDS {
        server.push(start_server(&repository)?.as_secs_f64());
        manager.push(start_manager()?.as_secs_f64());
    }
    println!(
        "  {MODELS} null models available: {server} s after the process was started; by the manager alone {manager} s"
    );
    let promise = |what: &str, seconds: &Rounds| {
        Promise::new(format!("{MODELS}_models.{what}"), seconds.median(), "s", Want::AtMost(PROMISED_SECONDS))
    };
    Ok(vec![promise("server", &server), promise("manager", &manager)])
}

fn name(model: usize) -> String {
    format!("null-{model}")
}

/// From the start of the process to the last line that says that a model is available.
fn start_server(repository: &TempDir) -> anyhow::Result<Duration> {
    let mut serve = built::serve_command()?;
    serve.arg("--model-repository").arg(repository.path());
    let server = Server::spawn(serve)?;
    server.wait_for_lines(": available id=", MODELS, PATIENCE)?;
    Ok(server.started.elapsed())
}

/// Loads nothing, at once.
struct Null;

impl Loader for Null {
    type Servable = ();

    fn load(&mut self, _: &LoadContext<'_>) -> Result<(), Status> {
        Ok(())
    }
}

fn start_manager() -> anyhow::Result<Duration> {
    let monitor = Arc::new(Monitor::default());
    let start = Instant::now();
    let manager = AspiredManager::start(Options::new(Arc::clone(&monitor) as _))?;
    let streams: Vec<_> = (0..MODELS).map(|model| StreamName::from(name(model).as_str())).collect();
    let version = Version::new(1).context("1 is a version")?;
    for stream in &streams {
        let versions = Ok(vec![Aspired { version, revision: 0, data: Ok(Null) }]);
        manager.set_aspired(AspiredVersions { stream: stream.clone(), versions });
    }
    ensure!(monitor.wait_until_settled(&streams, start + PATIENCE), "not every model was loaded in time");
    let took = start.elapsed();
    let serving = manager.serving();
    let is_available = |stream: &StreamName| serving.get(stream.as_str(), VersionChoice::Latest).is_ok();
    ensure!(streams.iter().all(is_available), "a model that does nothing was not loaded");
    Ok(took)
}
