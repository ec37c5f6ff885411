//! Stopping: requests under way are finished, and the exit code says whether they all were.

use std::net::TcpStream;
use std::time::Instant;

use salver_tests::{
    Bundle, Grpc, HELD, Http, PATIENCE, Reply, Repository, Server, TAGGED, fp32_infer, fp32_predict,
};
use serde_json::json;

/// A tagged model whose runs wait until it is let go.
fn held() -> Repository {
    Repository::with_echo("slow", &format!("{TAGGED}{HELD}"))
}

const ROW: &str = r#"{"instances": [[1, 2]]}"#;

/// Waits until so many requests for a model wait for their turn; where only one runs at a time, one more is running.
async fn until_queued(http: &Http, count: usize) {
    let line = format!(r#"salver_queued_requests{{model="slow",version="1"}} {count}.0"#);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = http.get("/metrics").await.text();
        if metrics.lines().any(|found| found == line) {
            return;
        }
        assert!(Instant::now() < deadline, "`{line}` does not show:\n{metrics}");
    }
}

#[tokio::test]
async fn requests_under_way_at_sigterm_are_answered_and_the_server_ends_with_0() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = held();
    let mut server = Server::start(&bundle, &repository, &["--max-concurrent-runs=1"]);
    let (grpc, http) = (Grpc::connect(&server).await, server.http());

    let (mut prediction, mut inference) = (grpc.prediction.clone(), grpc.inference.clone());
    let predict =
        tokio::spawn(
            async move { prediction.predict(fp32_predict("slow", None, &[1, 2], &[1.0, 2.0])).await },
        );
    let infer =
        tokio::spawn(
            async move { inference.model_infer(fp32_infer("slow", "", &[1, 2], &[1.0, 2.0])).await },
        );
    let rest = tokio::spawn({
        let http = http.clone();
        async move { http.post("/v1/models/slow:predict", ROW).await }
    });
    until_queued(&http, 2).await;
    server.terminate();
    server.log().wait(0, "stopping; requests under way are finished first", &[]);
    repository.let_go("slow", 1);

    let reply = Reply { said: Some(1), tags: vec![1], x: vec![1.0, 2.0] };
    assert_eq!(Reply::of_predict(predict.await.unwrap().unwrap().get_ref()), reply);
    assert_eq!(Reply::of_infer(infer.await.unwrap().unwrap().get_ref()), reply);
    let expected = json!({ "predictions": [{ "x": [1.0, 2.0], "version": 1 }] });
    assert_eq!(rest.await.unwrap().json(), expected);
    let status = server.wait();
    assert_eq!(status.code(), Some(0), "{}", server.log().text());
}

#[tokio::test]
async fn a_server_that_drains_takes_no_new_connections() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = held();
    let mut server = Server::start(&bundle, &repository, &["--max-concurrent-runs=1", "--drain-timeout=2s"]);
    let http = server.http();
    let post = |http: Http| {
        tokio::spawn(async move {
            http.send(http::Method::POST, "/v1/models/slow:predict", &[], ROW.into()).await
        })
    };
    let requests = [post(http.clone()), post(http.clone())];
    until_queued(&http, 1).await;
    server.terminate();

    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(server.address()).is_ok() {
        assert!(Instant::now() < deadline, "the port is still open");
    }
    // A run without end is cut when the time is over, and the exit code tells.
    assert_eq!(server.wait().code(), Some(1), "{}", server.log().text());
    for request in requests {
        let outcome = request.await.unwrap();
        assert!(!outcome.is_ok_and(|answer| answer.status == 200));
    }
}

// Two threads: the clients answer the server's farewell while this one waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_server_ends_at_once_and_leaves_no_model_behind() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    let mut server = Server::start(&bundle, &repository, &["--drain-timeout=2m"]);
    // Connections that are open and idle do not hold it up.
    let http = server.http();
    assert_eq!(http.post("/v1/models/tagged:predict", ROW).await.status, 200);
    let _grpc = Grpc::connect(&server).await;
    let begin = Instant::now();
    assert_eq!(server.stop().code(), Some(0));
    let took = begin.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    server.wait_until_unloaded(0, &repository.version("tagged", 1));
}

#[test]
fn a_server_still_loading_ends_when_it_is_told_to() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("slow", "load = { delay_ms = 3600000 }");
    let mut server = Server::launch(&bundle, &repository, &["--drain-timeout=1s"]);
    server.terminate();
    server.wait();
}
