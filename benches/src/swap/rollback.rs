//! From the command that rolls back to the first answer of the version before.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use salver_proto::tensorflow::serving::model_spec::VersionChoice;
use salver_proto::tensorflow::serving::{PredictRequest, PredictResponse};
use tempfile::TempDir;

use super::answers::{self, DIGITS};
use super::control;
use crate::built;
use crate::figures::{Promise, Rounds, Want};
use crate::messages;
use crate::process::Server;

const ROUNDS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(20);
const PROMISED_SECONDS: f64 = 1.0;
const LABEL: &str = "stable";

pub(super) async fn measure() -> anyhow::Result<Vec<Promise>> {
    let repository = TempDir::new().context("making a model repository")?;
    let model = repository.path().join(DIGITS);
    for version in ["1", "2"] {
        let (from, to) = (answers::folder().join(version), model.join(version));
        std::fs::create_dir_all(&to)?;
        std::fs::copy(from.join("model.onnx"), to.join("model.onnx"))?;
    }
    change(&model, &["--versions=specific:1,2", "--label=stable=2"])?;
    let mut serve = built::serve_command()?;
    serve.arg("--model-repository").arg(repository.path());
    let server = Server::spawn(serve)?;

    let (mut by_label, mut by_policy) = (Rounds::new(), Rounds::new());
    let both = ["--versions=specific:1,2", "--label=stable=2"];
    for _ in 0..ROUNDS {
        by_label.push(roll(&server, &model, &both, &["--label=stable=1"], Some(LABEL)).await?);
    }
    change(&model, &["--remove-label=stable"])?;
    for _ in 0..ROUNDS {
        by_policy
            .push(roll(&server, &model, &["--versions=specific:2"], &["--versions=specific:1"], None).await?);
    }
    println!(
        "  rollback of digits, from `salver model` to the first answer of version 1: {by_label} s by its label, both"
    );
    println!("  versions being loaded; {by_policy} s by the versions to serve, version 1 being loaded first");
    let promise = |what: &str, seconds: &Rounds| {
        Promise::new(format!("rollback.{what}"), seconds.median(), "s", Want::AtMost(PROMISED_SECONDS))
    };
    Ok(vec![promise("label", &by_label), promise("versions", &by_policy)])
}

/// Goes forward to version 2, and then back; returns the seconds that took.
async fn roll(
    server: &Server,
    model: &Path,
    forward: &[&str],
    back: &[&str],
    label: Option<&str>,
) -> anyhow::Result<f64> {
    change(model, forward)?;
    wait_until_answers(server.address, label, 2).await?;
    let start = Instant::now();
    change(model, back)?;
    wait_until_answers(server.address, label, 1).await?;
    Ok(start.elapsed().as_secs_f64())
}

/// `salver model`.
fn change(model: &Path, flags: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(built::server()?);
    let output = command.arg("model").arg(model).args(flags).output().context("starting `salver model`")?;
    ensure!(output.status.success(), "salver model: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Asks until this version answers.
async fn wait_until_answers(server: SocketAddr, label: Option<&str>, version: i64) -> anyhow::Result<()> {
    const PAUSE: Duration = Duration::from_micros(500);
    let request = messages::digits()?.predict(label);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = ask(server, &request).await;
        if found.as_ref().is_ok_and(|found| *found == version) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("version {version} does not answer: {found:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The version that answers.
async fn ask(server: SocketAddr, request: &PredictRequest) -> anyhow::Result<i64> {
    let path = "/tensorflow.serving.PredictionService/Predict";
    let response: PredictResponse = control::call(server, path, request).await?;
    match response.model_spec.and_then(|spec| spec.version_choice) {
        Some(VersionChoice::Version(version)) => Ok(version),
        other => bail!("an answer of version {other:?}"),
    }
}
