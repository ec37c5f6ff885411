//! Requests that are run together: the same answers as alone, each once, through the real server.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::fs;
use std::process::Command;

use salver_tests::{
    Bundle, Grpc, Http, Reply, Repository, Server, TAGGED, fp32_infer, fp32_predict, python, root,
};
use serde_json::{Value, json};

/// What stands in the metrics for a name and part of its labels, added up.
async fn metric(http: &Http, name: &str, labels: &str) -> f64 {
    let text = http.get("/metrics").await.text();
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(labels));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// How the requests of a model's latest version are batched, as the status tells it.
async fn batching(http: &Http, model: &str) -> Value {
    let all = http.get("/v1/models").await.json();
    let models = all["models"].as_array().unwrap();
    let model = models.iter().find(|document| document["name"] == model).unwrap();
    model["model_version_status"][0]["batching"].clone()
}

/// A number of the caller's own for each element.
fn values(client: usize, turn: usize, rows: usize) -> Vec<f32> {
    (0..rows * 2).map(|element| (client * 1_000_000 + turn * 100 + element) as f32).collect()
}

/// So many clients.
fn clients(server: &Server, count: usize) -> Vec<(Http, String)> {
    (0..count).map(|_| (server.http(), server.url())).collect()
}

/// Many clients ask models, each another one every time, for what is theirs alone, over both protocols; each gets that.
async fn ask(clients: Vec<(Http, String)>, models: &'static [&'static str], turns: usize) {
    let asking = clients.into_iter().enumerate().map(|(client, (http, url))| {
        tokio::spawn(async move {
            let mut grpc = Grpc::connect_to(url).await;
            for turn in 0..turns {
                let rows = 1 + (client + turn) % 4;
                let model = models[(client + turn) % models.len()];
                let values = values(client, turn, rows);
                let shape = [rows as i64, 2];
                let found = match turn % 3 {
                    0 => {
                        let request = fp32_predict(model, None, &shape, &values);
                        Reply::of_predict(grpc.prediction.predict(request).await.unwrap().get_ref())
                    }
                    1 => {
                        let request = fp32_infer(model, "", &shape, &values);
                        Reply::of_infer(grpc.inference.model_infer(request).await.unwrap().get_ref())
                    }
                    _ => {
                        let rows: Vec<_> = values.chunks(2).collect();
                        let body = json!({ "inputs": { "x": rows } }).to_string();
                        let answer = http.post(&format!("/v1/models/{model}:predict"), body).await;
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        Reply::of_columns(&answer.json())
                    }
                };
                assert_eq!(found.x, values);
                assert_eq!(found.tags.len(), rows);
                assert!(found.tags.iter().all(|tag| *tag == found.tags[0]), "one version answers a request");
            }
        })
    });
    for client in asking.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_share_batches_and_each_gets_its_own_answer() {
    let Some(bundle) = Bundle::from_env() else { return };
    let slow = format!("{TAGGED}\ndelay_ms = 2\n");
    let repository = Repository::with_echo("tagged", &slow);
    let flags = [
        "--batching=max_batch_size=16",
        "--batching=allowed_batch_sizes=4,8,16",
        "--batching=num_batch_threads=2",
    ];
    let server = Server::start(&bundle, &repository, &flags);
    ask(clients(&server, 12), &["tagged"], 60).await;
    let http = server.http();
    let batches = metric(&http, "salver_batch_rows_count", "tagged").await;
    let padding = metric(&http, "salver_batch_padding_rows_total", "tagged").await;
    assert!(batches > 0.0 && batches < 600.0, "{batches} batches of 720 requests");
    assert!(padding > 0.0);
    // No batch has a size that is not allowed: none is smaller, and fours make up all rows.
    assert_eq!(metric(&http, "salver_batch_rows_bucket", "le=\"2.0\"").await, 0.0);
    assert_eq!(metric(&http, "salver_batch_rows_sum", "tagged").await % 4.0, 0.0);
    assert_eq!(
        metric(&http, "salver_run_duration_seconds_count", "tagged").await,
        batches,
        "a run is a batch's"
    );
    let batching = batching(&http, "tagged").await;
    assert_eq!(batching["levels"][0]["allowed_batch_sizes"], json!([4, 8, 16]), "{batching}");
    assert_eq!(batching["signatures"][0]["batched"], true, "{batching}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_come_and_go_under_batches_and_no_request_fails() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    let flags = ["--batching=max_batch_size=8", "--batching=batch_timeout=1ms"];
    let server = Server::start(&bundle, &repository, &flags);
    let asking = tokio::spawn(ask(clients(&server, 12), &["tagged"], 250));
    let mut swaps = 0;
    tokio::task::block_in_place(|| {
        let mut seen = 0;
        while !asking.is_finished() {
            repository.add_echo("tagged", 2, TAGGED);
            server.wait_until_available(seen, "tagged", 2);
            seen = server.log().len();
            repository.remove("tagged", 2);
            server.wait_until_available(seen, "tagged", 1);
            seen = server.log().len();
            swaps += 2;
        }
    });
    asking.await.unwrap();
    assert!(swaps > 2, "{swaps} swaps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_that_make_room_for_each_other_under_batches_answer_every_request() {
    const MODELS: &[&str] = &["a", "b", "c", "d", "e", "f"];
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    for model in MODELS {
        repository.settings(model, "memory = '1MiB'");
        repository.add_echo(model, 1, TAGGED);
    }
    let flags = [
        "--load=on-demand",
        "--on-demand-memory=4MiB",
        "--batching=max_batch_size=8",
        "--batching=batch_timeout=1ms",
    ];
    let server = Server::start(&bundle, &repository, &flags);
    ask(clients(&server, 4), MODELS, 60).await;
    let http = server.http();
    assert!(metric(&http, "salver_model_cache_evictions_total", "").await > 0.0);
}

#[test]
fn digits_in_batches_are_read_as_those_alone() {
    let (Some(bundle), Some(python)) = (Bundle::from_env(), python()) else { return };
    let repository = Repository::new();
    repository.add_digits();
    let server = Server::start(&bundle, &repository, &["--enable_batching"]);
    let mut classify = Command::new(python);
    let output =
        classify.arg(root().join("examples/classify.py")).arg(server.address().to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn tensorflow_serving_s_file_of_parameters_is_heeded() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "max_batch_size { value: 4 }\nbatch_timeout_micros { value: 1000 }\nmax_enqueued_batches { value: 7 }\n\
                num_batch_threads { value: 3 }\nthread_pool_name { value: 'threads' }\nallowed_batch_sizes: 2\nallowed_batch_sizes: 4\n";
    fs::write(file.path(), text).unwrap();
    let path = format!("--batching_parameters_file={}", file.path().display());
    let server = Server::start(&bundle, &repository, &["--enable_batching=true", &path]);
    let http = server.http();
    let batching = batching(&http, "tagged").await;
    assert_eq!(batching["thread_pool_name"], "threads", "{batching}");
    assert_eq!(batching["num_batch_threads"], 3);
    assert_eq!(batching["levels"][0]["batch_timeout_micros"], 1000);
    assert_eq!(batching["levels"][0]["max_enqueued_batches"], 7);
    let answer = http.post("/v1/models/tagged:predict", r#"{"instances": [[1, 2]]}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // More rows than a batch may have.
    let rows = json!({ "instances": vec![[1, 2]; 5] }).to_string();
    let answer = http.post("/v1/models/tagged:predict", rows).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains('5') && answer.text().contains('4'), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_found_for_a_target_or_a_limit_is_in_the_status_while_it_is_found() {
    const MODELS: &[&str] = &["target", "adaptive"];
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    for (model, settings) in [
        ("target", "latency_target = '5s'\nallowed_batch_sizes = [1, 4, 16]"),
        ("adaptive", "mode = 'adaptive'\nnum_batch_threads = 4\nbatches_to_average_over = 1"),
    ] {
        repository.settings(model, &format!("[batching]\n{settings}\n"));
        repository.add_echo(model, 1, &format!("{TAGGED}delay_ms = 2\n"));
    }
    let server = Server::start(&bundle, &repository, &[]);
    let http = server.http();
    let (target, adaptive) = (batching(&http, "target").await, batching(&http, "adaptive").await);
    assert_eq!((&target["mode"], &adaptive["mode"]), (&json!("latency_target"), &json!("adaptive")));
    assert_eq!(target["signatures"][0]["found"], json!({ "batch_size": 1, "wait_micros": 0 }), "{target}");
    assert_eq!(target["in_flight"], Value::Null);
    assert_eq!(adaptive["in_flight"]["limit"], 3, "{adaptive}");
    assert_eq!(adaptive["signatures"][0]["found"], Value::Null);

    let asking = tokio::spawn(ask(clients(&server, 12), MODELS, 200));
    let (mut size, mut limit) = (1, 3);
    while !asking.is_finished() && (size == 1 || limit == 3) {
        let (target, adaptive) = (batching(&http, "target").await, batching(&http, "adaptive").await);
        size = size.max(target["signatures"][0]["found"]["batch_size"].as_u64().unwrap());
        limit = if limit == 3 { adaptive["in_flight"]["limit"].as_u64().unwrap() } else { limit };
    }
    asking.await.unwrap();
    assert!(size > 1 && limit != 3, "{size} rows, {limit} batches");
}

#[tokio::test]
async fn a_model_says_how_it_is_batched_in_its_settings_in_triton_s_or_for_each_version() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    repository.add_echo("toml", 1, TAGGED);
    repository.settings("toml", "[batching]\nmax_batch_size = 6\nbatch_timeout = \"3ms\"\n");
    repository.add_echo("triton", 1, TAGGED);
    let config = "name: 'triton'\nbackend: 'python'\nmax_batch_size: 5\n\
                  dynamic_batching { preferred_batch_size: [ 2, 4 ] max_queue_delay_microseconds: 700 }\n";
    fs::write(repository.path().join("triton/config.pbtxt"), config).unwrap();
    repository.add_echo("wrong", 1, TAGGED);
    repository.settings("wrong", "[batching]\nmax_batch_size = 6\nallowed_batch_sizes = [2, 4]\n");
    let server = Server::start(&bundle, &repository, &[]);
    let http = server.http();
    assert_eq!(batching(&http, "tagged").await, Value::Null);
    let toml = batching(&http, "toml").await;
    assert_eq!(
        (&toml["levels"][0]["max_batch_size"], &toml["levels"][0]["batch_timeout_micros"]),
        (&json!(6), &json!(3000))
    );
    let triton = batching(&http, "triton").await;
    assert_eq!(triton["levels"][0]["preferred_batch_sizes"], json!([2, 4]), "{triton}");
    assert_eq!(triton["levels"][0]["batch_timeout_micros"], 700, "{triton}");
    let status = http.get("/v1/models/wrong").await.json();
    let message = status["model_version_status"][0]["status"]["error_message"].as_str().unwrap();
    assert!(message.contains("allowed_batch_sizes"), "{message}");

    let per_version = Repository::with_echo("own", TAGGED);
    per_version.add_echo("none", 1, TAGGED);
    fs::write(per_version.version("own", 1).join("batching_params.pbtxt"), "max_batch_size { value: 3 }")
        .unwrap();
    let flags = ["--enable_batching", "--enable_per_model_batching_parameters"];
    let server = Server::start(&bundle, &per_version, &flags);
    let http = server.http();
    assert_eq!(batching(&http, "own").await["levels"][0]["max_batch_size"], 3);
    assert_eq!(batching(&http, "none").await, Value::Null);
}

#[tokio::test]
async fn a_request_of_another_shape_fails_no_neighbour() {
    let Some(bundle) = Bundle::from_env() else { return };
    let any = "[signatures.serving_default]\ninputs = [{ name = \"x\", dtype = \"FP32\", shape = [-1, -1] }]\ndelay_ms = 20\n";
    let repository = Repository::with_echo("any", any);
    let flags = ["--batching=max_batch_size=64", "--batching=batch_timeout=20ms"];
    let server = Server::start(&bundle, &repository, &flags);
    let asking = (1..=12).map(|columns| {
        let http = server.http();
        tokio::spawn(async move {
            let row: Vec<f32> = vec![columns as f32; 1 + columns % 3];
            let answer = http.post("/v1/models/any:predict", json!({ "instances": [row] }).to_string()).await;
            assert_eq!(answer.json(), json!({ "predictions": [row] }), "{}", answer.text());
        })
    });
    for asked in asking.collect::<Vec<_>>() {
        asked.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ragged_requests_that_are_split_come_back_whole() {
    let Some(bundle) = Bundle::from_env() else { return };
    let ragged =
        "[signatures.serving_default]\ninputs = [{ name = \"x\", dtype = \"BYTES\", shape = [-1, -1] }]\n";
    let repository = Repository::with_echo("ragged", ragged);
    let flags = [
        "--batching=max_batch_size=64",
        "--batching=max_execution_batch_size=8",
        "--batching=enable_large_batch_splitting=true",
        "--batching=pad_variable_length_inputs=true",
        "--batching=allowed_batch_sizes=2,8",
        "--batching=max_enqueued_batches=100",
        "--batching=batch_timeout=2ms",
    ];
    let server = Server::start(&bundle, &repository, &flags);
    let asking = (0..8_usize).map(|client| {
        let http = server.http();
        tokio::spawn(async move {
            for turn in 0..25_usize {
                let (rows, columns) = (1 + (7 * client + 11 * turn) % 40, 1 + (client + turn) % 5);
                let row =
                    |row| (0..columns).map(|column| format!("{client} {turn} {row} {column}")).collect();
                let sent: Vec<Vec<String>> = (0..rows).map(row).collect();
                let body = json!({ "instances": sent }).to_string();
                let answer = http.post("/v1/models/ragged:predict", body).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                let found = answer.json();
                let found = found["predictions"].as_array().unwrap();
                assert_eq!(found.len(), rows);
                for (found, sent) in found.iter().zip(&sent) {
                    // Wider where it was padded beside others.
                    assert_eq!(found.as_array().unwrap()[..columns], json!(sent).as_array().unwrap()[..]);
                }
            }
        })
    });
    for asked in asking.collect::<Vec<_>>() {
        asked.await.unwrap();
    }
}
