//! Steps inside a model, of the example plugin that decodes sequences: many requests share them, and each is answered as if
//! it were alone, while versions come and go.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use futures_util::future::join_all;
use salver_tests::{Bundle, Http, Repository, Server, root};
use serde_json::{Value, json};

/// Sequences that are decoded at once.
const MANY: usize = 16;

/// Its steps take long enough for others to come while one runs.
const MODEL: &[u8] = b"width 128 layers 2 vocabulary 64 seed 7";

/// The plugin's library, built with this workspace.
fn plugin() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["build", "--quiet", "--message-format=json"]);
    let built = cargo.args(["--package", "salver-plugins-examples-decode"]).output().unwrap();
    let said = String::from_utf8(built.stdout).unwrap();
    let mut names = said.split('"').filter(|text| text.ends_with("/libsalver_decode.so"));
    names.next_back().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&built.stderr))).into()
}

/// What a model adds to a prompt of the client's own.
async fn decode(http: &Http, model: &str, client: usize) -> Value {
    let most = 20 + client * 3 % 17;
    let body = json!({ "inputs": { "prompt": [client % 63 + 1, 5], "most": most } }).to_string();
    let answer = http.post(&format!("/v1/models/{model}:predict"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// What a metric of the queue of the step is.
async fn metric(http: &Http, name: &str) -> f64 {
    let text = http.get("/metrics").await.text();
    let of_step = |line: &&str| line.starts_with(name) && line.contains("signature=\"step/serving_default\"");
    text.lines().filter(of_step).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_share_steps_and_each_is_answered_as_if_it_were_alone() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    repository.settings("alone", "options = { step_mode = 'off' }");
    repository.add_file("alone", 1, "decode.txt", MODEL);
    repository.add_file("shared", 1, "decode.txt", MODEL);
    let plugins = tempfile::tempdir().unwrap();
    fs::copy(plugin(), plugins.path().join("libsalver_decode.so")).unwrap();
    let flags = [format!("--max-concurrent-runs={MANY}")];
    let server = Server::launch_with(&bundle, &flags.each_ref().map(String::as_str), |command| {
        command.arg("--plugin-dir").arg(plugins.path()).arg("--model-repository").arg(repository.path());
    });
    for model in ["alone", "shared"] {
        server.wait_until_available(0, model, 1);
    }
    let alone = join_all((0..MANY).map(async |client| decode(&server.http(), "alone", client).await)).await;
    let http = server.http();
    assert_eq!(
        metric(&http, "salver_batch_rows_count").await,
        0.0,
        "no queue has a step that is not batched"
    );

    // The steps of one version are not those of another, whose queue goes with it.
    let swap = async {
        repository.add_file("shared", 2, "decode.txt", MODEL);
        tokio::task::block_in_place(|| {
            server.wait_until_available(0, "shared", 2);
            server.wait_until_unloaded(0, &repository.version("shared", 1));
        });
        // Of the second version alone: the figures of the first have gone with it.
        decode_together(&server, &alone, 4).await;
    };
    tokio::join!(decode_together(&server, &alone, 8), swap);
    let (steps, batches) =
        (metric(&http, "salver_batch_rows_sum").await, metric(&http, "salver_batch_rows_count").await);
    assert!(batches > 0.0 && steps > 1.5 * batches, "{steps} steps in {batches} batches");
}

/// All ask at once, again and again, and are answered as if they were alone.
async fn decode_together(server: &Server, alone: &[Value], times: usize) {
    let clients = alone.iter().enumerate().map(async |(client, alone)| {
        let http = server.http();
        for _ in 0..times {
            assert_eq!(decode(&http, "shared", client).await, *alone, "client {client}");
        }
    });
    join_all(clients).await;
}
