//! Labels, canaries and rollbacks, what fits and what does not, and loads that are tried again.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use salver_tests::{Bundle, Http, PATIENCE, Repository, Server, TAGGED, echo_of};
use serde_json::{Value, json};

const ROW: &str = r#"{"instances": [[1, 2]]}"#;

/// `salver model`, with the folder of a model and flags.
fn change(bundle: &Bundle, folder: &Path, flags: &[&str]) {
    let output = Command::new(bundle.salver()).arg("model").arg(folder).args(flags).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Which version answers for a label.
async fn labelled(http: &Http, label: &str) -> Result<i64, String> {
    let answer = http.post(&format!("/v1/models/tagged/labels/{label}:predict"), ROW).await;
    let version = answer.json().pointer("/predictions/0/version").and_then(Value::as_i64);
    version.ok_or_else(|| answer.error())
}

/// Asks until a label means a version.
async fn wait_until_labelled(http: &Http, label: &str, version: i64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = labelled(http, label).await;
        if found == Ok(version) {
            return;
        }
        assert!(Instant::now() < deadline, "{label} is {found:?}, wanted {version}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_is_rolled_out_and_back_by_one_command_each_and_no_request_notices() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    repository.add_echo("tagged", 2, TAGGED);
    repository.settings("tagged", "# ours\nversion_policy = 'specific:1'\n");
    let model = repository.path().join("tagged");
    let server = Server::start(&bundle, &repository, &[]);
    server.wait_until_available(0, "tagged", 1);
    let http = server.http();

    change(&bundle, &model, &["--versions=specific:1,2", "--label=stable=1", "--label=canary=2"]);
    wait_until_labelled(&http, "canary", 2).await;
    wait_until_labelled(&http, "stable", 1).await;

    let is_over = Arc::new(AtomicBool::new(false));
    let asking = {
        let (http, is_over) = (server.http(), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                let version = labelled(&http, "stable").await.unwrap();
                assert!([1, 2].contains(&version));
                count += 1;
            }
            count
        })
    };
    for version in [2, 1, 2, 1] {
        let begin = Instant::now();
        change(&bundle, &model, &[&format!("--label=stable={version}")]);
        wait_until_labelled(&http, "stable", version).await;
        println!("stable is version {version} after {:?}", begin.elapsed());
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(asking.await.unwrap() > 0);
    let text = std::fs::read_to_string(model.join("model.toml")).unwrap();
    assert!(text.starts_with("# ours\n"), "{text}");
}

#[tokio::test]
async fn a_label_waits_for_its_version_and_moves_when_it_is_there() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    repository.settings("tagged", "[labels]\nstable = 1\nnext = 2\n");
    let server = Server::start(&bundle, &repository, &[]);
    let http = server.http();
    wait_until_labelled(&http, "stable", 1).await;
    let error = labelled(&http, "next").await.unwrap_err();
    assert!(error.contains('2'), "{error}");

    change(&bundle, &repository.path().join("tagged"), &["--label=stable=2"]);
    repository.add_echo("tagged", 2, TAGGED);
    wait_until_labelled(&http, "next", 2).await;
    assert_eq!(labelled(&http, "stable").await, Ok(2));
    let list = http.get("/v1/models").await.json();
    assert_eq!(list["models"][0]["labels"]["stable"], json!({"version": "2", "wanted": "2"}));
    let load = &list["models"][0]["model_version_status"][0]["load"];
    assert!(load["load_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{list}");
    let error = labelled(&http, "beta").await.unwrap_err();
    assert_eq!(error, "Unrecognized servable version label: beta");
}

#[tokio::test]
async fn a_model_that_does_not_fit_is_refused_with_the_figures_and_loaded_when_there_is_room() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("large", TAGGED);
    repository.settings("large", "memory = '600'");
    let server = Server::start(&bundle, &repository, &["--model-memory=1000"]);
    server.wait_until_available(0, "large", 1);

    repository.settings("other", "memory = '500'");
    repository.add_echo("other", 1, TAGGED);
    server.log().wait(0, "failed", &[("id", "other:1"), ("code", "RESOURCE_EXHAUSTED")]);
    let http = server.http();
    let answer = http.post("/v1/models/other:predict", ROW).await;
    assert_eq!(answer.status, 404);
    assert!(answer.error().contains("wants 500, 400 of 1000 are free"), "{}", answer.error());
    assert_eq!(http.post("/v1/models/large:predict", ROW).await.status, 200);

    repository.remove("large", 1);
    server.wait_until_available(0, "other", 1);
    assert_eq!(http.post("/v1/models/other:predict", ROW).await.status, 200);
}

#[tokio::test]
async fn a_load_that_fails_for_a_reason_that_may_pass_is_tried_again_so_often_and_no_more() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    repository.add_echo("flaky", 1, "load = { fail = 'UNAVAILABLE the disk is away' }");
    let flags = ["--load-retries=2", "--load-retry-wait=1ms"];
    let server = Server::start(&bundle, &repository, &flags);
    server.log().wait(0, "failed", &[("id", "flaky:1"), ("code", "UNAVAILABLE")]);
    let status = server.http().get("/v1/models/flaky").await.json();
    assert_eq!(status["model_version_status"][0]["state"], "END");
    let attempts = server.log().text().matches("load failed").count();
    assert_eq!(attempts, 3, "{}", server.log().text());
}

#[tokio::test]
async fn while_a_load_waits_to_be_tried_again_the_reason_is_shown_and_a_mended_file_ends_the_wait() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    repository.add_echo("flaky", 1, "load = { fail = 'UNAVAILABLE the disk is away' }");
    // The server is ready though one model waits, for an hour.
    let server = Server::start(&bundle, &repository, &["--load-retry-wait=1h"]);
    let http = server.http();
    server.log().wait(0, "load failed", &[("id", "flaky:1")]);
    let status = http.get("/v1/models/flaky").await.json();
    let version = &status["model_version_status"][0];
    assert_eq!(
        (&version["state"], &version["status"]["error_code"]),
        (&json!("LOADING"), &json!("UNAVAILABLE"))
    );

    let file = repository.version("flaky", 1).join("echo.toml");
    std::fs::write(file, echo_of("FP32", "")).unwrap();
    server.wait_until_available(0, "flaky", 1);
}
