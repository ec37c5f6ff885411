//! Requests that wait for their batch: how many may, for how long, in which order, and to the end.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::fs;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use http::Method;
use salver_tests::{
    Bundle, Grpc, HELD, Http, PATIENCE, Reply, Repository, Server, TAGGED, fp32_infer, fp32_predict,
};
use serde_json::json;

/// A row for the model `slow`.
const ROW: &str = r#"{"instances": [[1, 2]]}"#;

/// One batch at a time, of one row.
const ONE_BY_ONE: [&str; 2] = ["--batching=max_batch_size=1", "--batching=num_batch_threads=1"];

/// A tagged model whose runs wait until it is let go, and then take so long.
fn held(milliseconds: u64) -> Repository {
    Repository::with_echo("slow", &format!("{TAGGED}{HELD}delay_ms = {milliseconds}\n"))
}

fn start(bundle: &Bundle, repository: &Repository, more: &[&str]) -> Server {
    let flags: Vec<_> = ONE_BY_ONE.iter().chain(more).copied().collect();
    Server::start(bundle, repository, &flags)
}

/// What stands in the metrics for a name and part of its labels, added up.
async fn metric(http: &Http, name: &str, labels: &str) -> f64 {
    let text = http.get("/metrics").await.text();
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(labels));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Waits until a metric has that value.
async fn until(http: &Http, name: &str, value: f64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = metric(http, name, "slow").await;
        if found == value {
            return;
        }
        assert!(Instant::now() < deadline, "{name} is {found}, not {value}");
    }
}

/// Waits until so many requests have begun to run.
async fn until_begun(http: &Http, count: usize) {
    until(http, "salver_batch_queue_duration_seconds_count", count as f64).await;
}

/// Waits until so many requests wait for their batch.
async fn until_waiting(http: &Http, count: usize) {
    until(http, "salver_batch_queued_requests", count as f64).await;
}

/// Asks `slow` for a row, in a task of its own; returns the status.
fn post(server: &Server, headers: &'static [(&str, &str)]) -> tokio::task::JoinHandle<u16> {
    let http = server.http();
    tokio::spawn(async move {
        let asked = http.send(Method::POST, "/v1/models/slow:predict", headers, ROW.into());
        asked.await.unwrap().status.as_u16()
    })
}

#[tokio::test]
async fn what_does_not_fit_the_queue_is_unavailable() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = held(0);
    let server = start(&bundle, &repository, &["--batching=max_enqueued_batches=2"]);
    let http = server.http();
    let busy = post(&server, &[]);
    until_begun(&http, 1).await;
    let waiting = [post(&server, &[]), post(&server, &[])];
    until_waiting(&http, 2).await;
    let refused = http.post("/v1/models/slow:predict", ROW).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    let mut grpc = Grpc::connect(&server).await;
    let refused =
        grpc.prediction.predict(fp32_predict("slow", None, &[1, 2], &[1.0, 2.0])).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    assert_eq!(metric(&http, "salver_batch_drops_total", "reason=\"full\"").await, 2.0);
    repository.let_go("slow", 1);
    for asked in [busy].into_iter().chain(waiting) {
        assert_eq!(asked.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn what_is_late_is_not_run() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = held(0);
    let server = start(&bundle, &repository, &[]);
    let http = server.http();
    let busy = post(&server, &[]);
    until_begun(&http, 1).await;
    let mut grpc = Grpc::connect(&server).await;
    let mut request = tonic::Request::new(fp32_predict("slow", None, &[1, 2], &[1.0, 2.0]));
    request.set_timeout(Duration::from_millis(500));
    let late = grpc.prediction.predict(request).await.unwrap_err();
    assert!([tonic::Code::DeadlineExceeded, tonic::Code::Cancelled].contains(&late.code()), "{late}");
    repository.let_go("slow", 1);
    assert_eq!(busy.await.unwrap(), 200);
    // What came after it is run, and it was not.
    assert_eq!(post(&server, &[]).await.unwrap(), 200);
    assert_eq!(metric(&http, "salver_run_duration_seconds_count", "slow").await, 2.0);
    assert_eq!(metric(&http, "salver_batch_drops_total", "slow").await, 1.0);
}

#[tokio::test]
async fn a_timeout_is_for_the_queue_where_triton_s_configuration_allows_it() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = held(1000);
    let config = "max_batch_size: 1\ndynamic_batching { default_queue_policy { allow_timeout_override: true } }\n\
                  instance_group { count: 1 }\n";
    fs::write(repository.path().join("slow/config.pbtxt"), config).unwrap();
    let server = Server::start(&bundle, &repository, &["--batching=num_batch_threads=1"]);
    let http = server.http();
    let infer = json!({
        "inputs": [{ "name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2] }],
        "parameters": { "timeout": 500_000 },
    });
    let infer = infer.to_string();
    // A run takes longer, and nothing is in its way.
    repository.let_go("slow", 1);
    let alone = http.post("/v2/models/slow/infer", infer.clone()).await;
    assert_eq!(alone.status, 200, "{}", alone.text());
    repository.hold("slow", 1);
    let busy = post(&server, &[]);
    until_begun(&http, 2).await;
    let late = http.post("/v2/models/slow/infer", infer).await;
    assert_eq!(late.status, 503, "{}", late.text());
    assert!(late.text().contains("Request timeout expired"), "{}", late.text());
    repository.let_go("slow", 1);
    assert_eq!(busy.await.unwrap(), 200);
    assert_eq!(metric(&http, "salver_batch_drops_total", "reason=\"timeout\"").await, 1.0);
}

#[tokio::test]
async fn urgent_requests_of_every_interface_are_run_first() {
    const URGENT: &[(&str, &str)] = &[("salver-priority", "1")];
    let Some(bundle) = Bundle::from_env() else { return };
    let more = ["--batching=priority_levels=2", "--batching=default_priority_level=2"];
    let repository = held(100);
    let server = start(&bundle, &repository, &more);
    let (http, grpc) = (server.http(), Grpc::connect(&server).await);
    let (sender, ended) = mpsc::channel();
    let note = |what: &'static str, asked: tokio::task::JoinHandle<u16>| {
        let sender = sender.clone();
        tokio::spawn(async move {
            assert_eq!(asked.await.unwrap(), 200, "{what}");
            sender.send(what).unwrap();
        })
    };
    let mut asked = vec![note("busy", post(&server, &[]))];
    until_begun(&http, 1).await;
    asked.push(note("usual", post(&server, &[])));
    asked.push(note("usual", post(&server, &[])));
    until_waiting(&http, 2).await;

    asked.push(note("urgent", post(&server, URGENT)));
    let mut predict = tonic::Request::new(fp32_predict("slow", None, &[1, 2], &[1.0, 2.0]));
    predict.metadata_mut().insert("salver-priority", "1".parse().unwrap());
    let mut prediction = grpc.prediction.clone();
    asked.push(note(
        "urgent",
        tokio::spawn(async move { prediction.predict(predict).await.map_or(0, |_| 200) }),
    ));
    let mut infer = tonic::Request::new(fp32_infer("slow", "", &[1, 2], &[1.0, 2.0]));
    infer.metadata_mut().insert("salver-priority", "1".parse().unwrap());
    let mut inference = grpc.inference.clone();
    asked.push(note(
        "urgent",
        tokio::spawn(async move { inference.model_infer(infer).await.map_or(0, |_| 200) }),
    ));
    let infer = json!({
        "inputs": [{ "name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2] }],
        "parameters": { "priority": 1 },
    });
    let rest = http.clone();
    asked.push(note(
        "urgent",
        tokio::spawn(
            async move { rest.post("/v2/models/slow/infer", infer.to_string()).await.status.as_u16() },
        ),
    ));
    until_waiting(&http, 6).await;
    repository.let_go("slow", 1);
    for one in asked {
        one.await.unwrap();
    }
    let ended: Vec<_> = ended.try_iter().collect();
    assert_eq!(ended, ["busy", "urgent", "urgent", "urgent", "urgent", "usual", "usual"]);
}

#[tokio::test]
async fn a_priority_that_is_none_is_refused_with_the_header_s_name() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("slow", TAGGED);
    let server = start(&bundle, &repository, &["--batching=priority_levels=2"]);
    let http = server.http();
    let urgent = [("salver-priority", "urgent")];
    let refused = http.send(Method::POST, "/v1/models/slow:predict", &urgent, ROW.into()).await.unwrap();
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("salver-priority"), "{}", refused.text());
    let mut grpc = Grpc::connect(&server).await;
    let mut request = tonic::Request::new(fp32_predict("slow", None, &[1, 2], &[1.0, 2.0]));
    request.metadata_mut().insert("salver-priority", "urgent".parse().unwrap());
    let refused = grpc.prediction.predict(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("salver-priority"), "{refused}");
}

#[tokio::test]
async fn requests_that_wait_for_their_batch_at_sigterm_are_answered() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = held(0);
    let mut server = start(&bundle, &repository, &[]);
    let (grpc, http) = (Grpc::connect(&server).await, server.http());
    let busy = post(&server, &[]);
    until_begun(&http, 1).await;
    let waiting = post(&server, &[]);
    let mut inference = grpc.inference.clone();
    let infer =
        tokio::spawn(
            async move { inference.model_infer(fp32_infer("slow", "", &[1, 2], &[1.0, 2.0])).await },
        );
    until_waiting(&http, 2).await;
    server.terminate();
    server.log().wait(0, "stopping; requests under way are finished first", &[]);
    repository.let_go("slow", 1);
    let reply = Reply { said: Some(1), tags: vec![1], x: vec![1.0, 2.0] };
    assert_eq!(Reply::of_infer(infer.await.unwrap().unwrap().get_ref()), reply);
    assert_eq!([busy.await.unwrap(), waiting.await.unwrap()], [200, 200]);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log().text());
    server.wait_until_unloaded(0, &repository.version("slow", 1));
}
