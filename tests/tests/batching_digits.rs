//! A model of floats in batches: its kernels differ by batch size, and its answers by no more than they round.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::fs;

use futures_util::future::join_all;
use salver_tests::{Bundle, Http, Repository, Server, root};
use serde_json::{Value, json};

/// How far apart probabilities may be that are computed by different kernels, in another order.
const TOLERANCE: f64 = 1e-5;

const CLIENTS: usize = 12;
const TURNS: usize = 40;

/// What a digit is taken for, and how likely each is.
type Read = (i64, Vec<f64>);

async fn classify(http: &Http, model: &str, pixels: &[Value]) -> Vec<Read> {
    let body = json!({ "inputs": pixels }).to_string();
    let answer = http.post(&format!("/v1/models/{model}:predict"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let outputs = answer.json()["outputs"].take();
    let digits = outputs["digit"].as_array().unwrap().iter().map(|digit| digit.as_i64().unwrap());
    let rows = outputs["probabilities"].as_array().unwrap().iter();
    let rows = rows.map(|row| row.as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect());
    let read: Vec<Read> = digits.zip(rows).collect();
    assert_eq!(read.len(), pixels.len());
    read
}

fn assert_agree(read: &[Read], alone: &[Read]) {
    for ((digit, likely), (wanted, as_likely)) in read.iter().zip(alone) {
        assert_eq!(digit, wanted);
        let apart = likely.iter().zip(as_likely).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max);
        assert!(apart <= TOLERANCE, "{apart} apart: {likely:?}, alone {as_likely:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digits_of_many_clients_in_batches_are_read_as_those_alone() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    let model = fs::read(root().join("examples/models/digits/2/model.onnx")).unwrap();
    let batching = "[batching]\nmax_batch_size = 32\nbatch_timeout = '2ms'\nnum_batch_threads = 2\n";
    repository.settings("batched", batching);
    for name in ["alone", "batched"] {
        repository.add_file(name, 1, "model.onnx", &model);
    }
    let server = Server::start(&bundle, &repository, &[]);
    let samples = fs::read_to_string(root().join("examples/requests/digits.json")).unwrap();
    let samples: Value = serde_json::from_str(&samples).unwrap();
    let pixels = samples["pixels"].as_array().unwrap();
    // One at a time, so that no batch has a part in it.
    let mut alone = Vec::new();
    for row in pixels {
        alone.extend(classify(&server.http(), "alone", std::slice::from_ref(row)).await);
    }

    let clients = (0..CLIENTS).map(async |client| {
        let http = server.http();
        for turn in 0..TURNS {
            let first = (client * 7 + turn * 3) % pixels.len();
            let last = (first + 1 + (client + turn) % 5).min(pixels.len());
            let read = classify(&http, "batched", &pixels[first..last]).await;
            assert_agree(&read, &alone[first..last]);
        }
    });
    join_all(clients).await;
    let metrics = server.http().get("/metrics").await.text();
    let line =
        metrics.lines().find(|line| line.starts_with("salver_batch_rows_count") && line.contains("batched"));
    let batches: f64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    let requests = (CLIENTS * TURNS) as f64;
    assert!(batches < 0.8 * requests, "{batches} batches of {requests} requests");
}
