//! Versions come and go, and requests do not notice.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use salver_proto::tensorflow::serving::model_version_status::State;
use salver_tests::{
    Bundle, Grpc, Http, PATIENCE, Reply, Repository, Server, TAGGED, echo_of, fp32_infer, fp32_predict,
};
use serde_json::json;

/// The acceptance of the whole design: what a swap under load may cost is nothing.
const REQUESTS: usize = 100_000;
const CONCURRENCY: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_and_each_answer_is_one_version_s_while_versions_are_swapped() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Arc::new(Repository::with_echo("tagged", TAGGED));
    let server = Arc::new(Server::start(&bundle, &repository, &[]));
    let grpc = Grpc::connect(&server).await;

    let is_over = Arc::new(AtomicBool::new(false));
    let swapper = {
        let (repository, server, is_over) = (repository, Arc::clone(&server), Arc::clone(&is_over));
        tokio::task::spawn_blocking(move || swap_until(&is_over, &repository, &server))
    };
    let started = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CONCURRENCY)
        .map(|_| tokio::spawn(ask_until_done(grpc.clone(), server.http(), Arc::clone(&started))))
        .collect();
    let mut seen = [0usize; 3];
    for client in clients {
        for (total, count) in seen.iter_mut().zip(client.await.unwrap()) {
            *total += count;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    let swaps = swapper.await.unwrap();

    println!(
        "{REQUESTS} requests at concurrency {CONCURRENCY}, {swaps} swaps, answered by version {seen:?}: 0 failed"
    );
    assert_eq!(seen.iter().sum::<usize>(), REQUESTS);
    assert!(swaps >= 4 && seen[1] > 0 && seen[2] > 0, "{swaps} swaps, {seen:?}");
}

/// Adds version 2 and removes version 1, and the other way round, waiting for each; returns how often.
fn swap_until(is_over: &AtomicBool, repository: &Repository, server: &Server) -> usize {
    let mut swaps = 0;
    let (mut old, mut new) = (1, 2);
    while !is_over.load(Ordering::Relaxed) {
        let from = server.log().len();
        repository.add_echo("tagged", new, TAGGED);
        repository.remove("tagged", old);
        server.wait_until_available(from, "tagged", new);
        server.wait_until_unloaded(from, &repository.version("tagged", old));
        (old, new) = (new, old);
        swaps += 1;
    }
    swaps
}

/// Asks over each interface in turn; returns how often each version answered.
async fn ask_until_done(mut grpc: Grpc, http: Http, started: Arc<AtomicUsize>) -> [usize; 3] {
    let mut seen = [0; 3];
    loop {
        let number = started.fetch_add(1, Ordering::Relaxed);
        if number >= REQUESTS {
            return seen;
        }
        let x = [number as f32, 1.0, 2.0, 3.0];
        let reply = match number % 4 {
            0 => {
                let response = grpc.prediction.predict(fp32_predict("tagged", None, &[2, 2], &x)).await;
                Reply::of_predict(response.unwrap().get_ref())
            }
            1 => {
                let response = grpc.inference.model_infer(fp32_infer("tagged", "", &[2, 2], &x)).await;
                Reply::of_infer(response.unwrap().get_ref())
            }
            2 => {
                let body = json!({ "inputs": [[x[0], x[1]], [x[2], x[3]]] });
                let answer = http.post("/v1/models/tagged:predict", body.to_string()).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                Reply::of_columns(&answer.json())
            }
            _ => {
                let input = json!({ "name": "x", "datatype": "FP32", "shape": [2, 2], "data": x });
                let body = json!({ "inputs": [input] });
                let answer = http.post("/v2/models/tagged/infer", body.to_string()).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                Reply::of_infer_json(&answer.json())
            }
        };
        let version = reply.tags[0];
        assert_eq!(reply.tags, [version, version], "one answer, one version");
        // TensorFlow Serving's REST answers do not say who they are from.
        assert_eq!(reply.said.unwrap_or(version), version, "the frame and the model agree");
        assert_eq!(reply.x, x, "the answer is to this request");
        seen[usize::try_from(version).unwrap()] += 1;
    }
}

#[tokio::test]
async fn a_version_that_does_not_load_leaves_the_old_one_serving() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    let server = Server::start(&bundle, &repository, &[]);
    let mut grpc = Grpc::connect(&server).await;

    let from = server.log().len();
    repository.add_echo("tagged", 2, "load = { fail = 'DATA_LOSS the disk is on fire' }");
    server.log().wait(from, "load failed", &[("id", "tagged:2"), ("code", "DATA_LOSS")]);

    let response = grpc.prediction.predict(fp32_predict("tagged", None, &[1, 2], &[1.0, 2.0])).await.unwrap();
    assert_eq!(
        Reply::of_predict(response.get_ref()),
        Reply { said: Some(1), tags: vec![1], x: vec![1.0, 2.0] }
    );
    // The load says so first; the word reaches the status a moment later.
    let deadline = Instant::now() + PATIENCE;
    let failed = loop {
        let versions = grpc.versions("tagged").await.unwrap();
        let failed = versions.into_iter().find(|status| status.version == 2).unwrap();
        if failed.state() == State::End {
            break failed;
        }
        assert!(Instant::now() < deadline, "{failed:?}");
    };
    let status = failed.status.as_ref().unwrap();
    assert_eq!(status.error_code, tonic::Code::DataLoss as i32);
    assert!(status.error_message.contains("the disk is on fire"), "{status:?}");
}

#[tokio::test]
async fn a_version_that_failed_is_loaded_once_its_files_are_mended() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", "load = { fail = 'DATA_LOSS torn' }");
    let server = Server::start(&bundle, &repository, &[]);
    server.log().wait(0, "load failed", &[("id", "tagged:1")]);

    let from = server.log().len();
    std::fs::write(repository.version("tagged", 1).join("echo.toml"), TAGGED).unwrap();
    server.wait_until_available(from, "tagged", 1);
    let answer = server.http().post("/v1/models/tagged:predict", r#"{"instances": [[1, 2]]}"#).await;
    assert_eq!(answer.json(), json!({ "predictions": [{ "x": [1.0, 2.0], "version": 1 }] }));
}

#[tokio::test]
async fn a_model_appears_and_disappears_with_its_folder() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    let server = Server::start(&bundle, &repository, &[]);
    let http = server.http();
    assert_eq!(http.get("/v1/models/late").await.status, 404);

    repository.add_echo("late", 7, TAGGED);
    server.wait_until_available(0, "late", 7);
    let status = http.get("/v1/models/late").await.json();
    assert_eq!(status["model_version_status"][0]["version"], "7");
    assert_eq!(status["model_version_status"][0]["state"], "AVAILABLE");

    repository.remove("late", 7);
    server.wait_until_unloaded(0, &repository.version("late", 7));
    let answer = http.post("/v1/models/late:predict", r#"{"instances": [[1, 2]]}"#).await;
    assert_eq!(answer.status, 404, "{}", answer.text());
}

#[tokio::test]
async fn a_version_being_loaded_answers_unavailable_and_the_others_answer() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    repository.add_echo("slow", 1, "load = { delay_ms = 3600000 }");
    let server = Server::launch(&bundle, &repository, &[]);
    server.wait_until_available(0, "tagged", 1);
    let http = server.http();

    let request = r#"{"instances": [[1, 2]]}"#;
    assert_eq!(http.post("/v1/models/tagged:predict", request).await.status, 200);
    let answer = http.post("/v1/models/slow:predict", request).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(http.get("/v2/health/live").await.status, 200);
    assert_ne!(http.get("/v2/health/ready").await.status, 200);
    let mut grpc = Grpc::connect(&server).await;
    let status = grpc.prediction.predict(fp32_predict("slow", None, &[1], &[1.0])).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
}

#[tokio::test]
async fn every_version_answers_where_the_model_asks_for_all() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    repository.add_echo("tagged", 3, TAGGED);
    repository.settings("tagged", "version_policy = 'all'");
    let server = Server::start(&bundle, &repository, &[]);
    // Ready means that each model answers; its other versions may come after.
    server.wait_until_available(0, "tagged", 1);
    server.wait_until_available(0, "tagged", 3);
    let mut grpc = Grpc::connect(&server).await;
    for (asked, answered) in [(Some(1), 1), (Some(3), 3), (None, 3)] {
        let response =
            grpc.prediction.predict(fp32_predict("tagged", asked, &[1, 2], &[0.0; 2])).await.unwrap();
        assert_eq!(Reply::of_predict(response.get_ref()).tags, [answered], "{asked:?}");
        let version = asked.map_or(String::new(), |version| version.to_string());
        let response =
            grpc.inference.model_infer(fp32_infer("tagged", &version, &[1, 2], &[0.0; 2])).await.unwrap();
        assert_eq!(Reply::of_infer(response.get_ref()).tags, [answered], "{asked:?}");
    }
}

#[tokio::test]
async fn memory_comes_back_after_loads_and_unloads() {
    let Some(bundle) = Bundle::from_env() else { return };
    // A default of a million numbers is held by the model: 8 MB.
    let text = echo_of("FP32", "")
        + "[signatures.big]\ninputs = [{ name = 'y', dtype = 'FP64', shape = [1024, 1024], optional = true, default = 1 }]\n";
    let repository = Repository::with_echo("big", &text);
    let server = Server::start(&bundle, &repository, &[]);
    let swap = |old, new| {
        let from = server.log().len();
        repository.add_echo("big", new, &text);
        repository.remove("big", old);
        server.wait_until_unloaded(from, &repository.version("big", old));
    };
    // The first rounds settle what allocators keep.
    for round in 1..=5 {
        swap(round, round + 1);
    }
    let settled = server.memory_now();
    for round in 6..=35 {
        swap(round, round + 1);
    }
    let (after, allowed) = (server.memory_now(), settled + (24 << 20));
    assert!(after < allowed, "{settled} bytes became {after} in 30 rounds of 8 MB");
}
