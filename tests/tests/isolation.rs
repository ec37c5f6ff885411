//! Platforms in processes of their own, in the real server.

#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "a test's own")]

use std::path::Path;
use std::process::Command;

use salver_tests::{Bundle, PATIENCE, Repository, Server, root};
use serde_json::json;

const ROW: &str = r#"{"instances":[[1.0,2.0]]}"#;
const MIRROR: &str =
    "[signatures.serving_default]\ninputs = [{ name = 'x', dtype = 'FP32', shape = [-1, 2] }]\n";
const ANSWERS: &str = r#"{"signature_name":"answers","inputs":{}}"#;
const CRASHES: &str = r#"{"signature_name":"crashes","inputs":{}}"#;

/// A folder with the plugin that ends its process where it is asked to.
fn crashing() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let plugins = root().join("plugins");
    let made = Command::new("cc")
        .args(["-std=c11", "-O1", "-shared", "-fPIC", "-D_GNU_SOURCE", "-I"])
        .arg(plugins.join("c"))
        .arg("-o")
        .args([folder.path().join("crashing.so"), plugins.join("misbehaving/crashing.c")])
        .status();
    assert!(made.unwrap().success());
    folder
}

/// The processes that a server has started.
fn children(server: &Server) -> Vec<i64> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.id())).unwrap().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>()).collect()
}

fn is_there(process: i64) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

#[tokio::test]
async fn a_crash_costs_one_model_a_restart_and_the_server_nothing() {
    let Some(bundle) = Bundle::from_env() else { return };
    let (plugins, repository) = (crashing(), Repository::with_echo("here", MIRROR));
    repository.add_echo("apart", 1, MIRROR);
    repository.settings("apart", "isolation = 'process'");
    repository.add_file("crash", 1, "crash.txt", b"");
    let bundled = bundle.path().join("plugins");
    let flags = [
        &format!("--plugin-dir={}", bundled.display()),
        &format!("--plugin-dir={}", plugins.path().display()),
        "--platform-option=crashing.isolation=process",
    ];
    let server = Server::start(&bundle, &repository, &flags);
    server.log().wait(0, "plugin ready, in processes of its own", &[("name", "crashing")]);
    let http = server.http();
    let answer = async || http.post("/v1/models/crash:predict", ANSWERS).await;
    let first = answer().await.json()["outputs"].as_i64().unwrap();
    assert!(children(&server).contains(&first));

    let from = server.log().len();
    let crash = http.post("/v1/models/crash:predict", CRASHES).await;
    assert_eq!(crash.status, 503, "{}", crash.text());
    assert!(crash.error().contains("SIGSEGV") && crash.error().contains("crash:1"), "{}", crash.error());
    for model in ["here", "apart"] {
        let answer = http.post(&format!("/v1/models/{model}:predict"), ROW).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (200, json!({"predictions": [[1.0, 2.0]]})),
            "{model}"
        );
    }
    server.log().wait(from, "a process was started again, and has loaded its model", &[("model", "crash:1")]);
    let second = answer().await.json()["outputs"].as_i64().unwrap();
    assert_ne!(second, first);
    let metrics = http.get("/metrics").await.text();
    assert!(metrics.contains("salver_plugin_crashing_process_restarts_total 1"), "{metrics}");
}

#[tokio::test]
async fn no_process_outlives_its_version_or_its_server() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("apart", MIRROR);
    repository.settings("apart", "isolation = 'process'");
    repository.add_echo("brief", 1, MIRROR);
    repository.settings("brief", "isolation = 'process'");
    let mut server = Server::start(&bundle, &repository, &["--poll-interval=100ms"]);
    let workers = children(&server);
    assert_eq!(workers.len(), 2, "{workers:?}");

    let from = server.log().len();
    let folder = repository.version("brief", 1);
    repository.remove("brief", 1);
    server.wait_until_unloaded(from, &folder);
    assert_eq!(children(&server).len(), 1);
    assert!(server.stop().success());
    assert!(workers.iter().all(|worker| !is_there(*worker)), "{workers:?}");
}

#[tokio::test]
async fn a_server_that_is_killed_takes_its_processes_with_it() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("apart", MIRROR);
    repository.settings("apart", "isolation = 'process'");
    let server = Server::start(&bundle, &repository, &[]);
    let workers = children(&server);
    assert_eq!(workers.len(), 1);
    // Dropping it kills it.
    drop(server);
    // Nothing tells of the end of a process that is not one's own.
    let gone = async {
        while workers.iter().any(|worker| is_there(*worker)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn a_real_model_answers_apart_as_it_does_in_the_server() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    repository.add_digits();
    let apart = ["--platform-option=onnxruntime.isolation=process"];
    let pixels = json!({"instances": [(0..64).map(|pixel| pixel % 17).collect::<Vec<_>>()]}).to_string();
    let mut answers = Vec::new();
    for flags in [&[][..], &apart] {
        let server = Server::start(&bundle, &repository, flags);
        let answer = server.http().post("/v1/models/digits:predict", pixels.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answers.push(answer.json());
    }
    assert_eq!(answers.first(), answers.last());
}

#[tokio::test]
async fn an_isolation_that_there_is_not_is_refused_where_it_is_said() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("apart", MIRROR);
    repository.settings("apart", "isolation = 'thread'");
    let server = Server::start(&bundle, &repository, &[]);
    let status = server.http().get("/v1/models/apart").await.text();
    assert!(status.contains("thread") && status.contains("wanted `none` or `process`"), "{status}");
    let flag = "--platform-option=echo.isolation=thread";
    let mut refused = Server::launch(&bundle, &repository, &[flag]);
    assert!(!refused.wait().success());
    assert!(refused.log().text().contains("platform echo: option `isolation`"), "{}", refused.log().text());
}
