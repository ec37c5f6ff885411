//! Models that are loaded when they are first asked for, and make room for others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use salver_proto::inference::ModelReadyRequest;
use salver_proto::tensorflow::serving::model_spec::VersionChoice;
use salver_proto::tensorflow::serving::model_version_status::State;
use salver_tests::{
    Bundle, Grpc, HELD, Http, PATIENCE, Reply, Repository, Server, TAGGED, fp32_infer, fp32_predict,
};

/// What every model says it takes, and how many there is room for.
const MODEL_BYTES: usize = 1 << 20;
const ROOM: usize = 5;

const MODELS: usize = 200;
const CLIENTS: usize = 16;
const REQUESTS: usize = 2000;

const PREDICT: &str = r#"{"instances": [[1, 2]]}"#;

fn flags() -> [String; 2] {
    ["--load=on-demand".to_owned(), format!("--on-demand-memory={}", ROOM * MODEL_BYTES)]
}

fn start(bundle: &Bundle, repository: &Repository, more: &[&str]) -> Server {
    let flags = flags();
    let flags: Vec<_> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Server::start(bundle, repository, &flags)
}

/// Adds a version of a model that takes [`MODEL_BYTES`]; with more settings.
fn add(repository: &Repository, model: &str, more: &str) {
    repository.settings(model, &format!("memory = '{MODEL_BYTES}'\n{more}"));
    repository.add_echo(model, 1, TAGGED);
}

/// The value of a metric that has no labels; `None` where there is none yet.
async fn metric(http: &Http, name: &str) -> Option<f64> {
    let text = http.get("/metrics").await.text();
    let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Asks again and again until it is so.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_models_are_answered_with_room_for_a_few_and_never_take_more_than_that() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    for number in 0..MODELS {
        add(&repository, &format!("m{number}"), "");
    }
    let server = start(&bundle, &repository, &[]);
    let (grpc, http) = (Grpc::connect(&server).await, server.http());
    assert_eq!(metric(&http, "salver_model_cache_versions").await, Some(0.0), "nothing is loaded yet");

    let is_over = Arc::new(AtomicBool::new(false));
    let watch = {
        let (http, is_over) = (http.clone(), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut most = 0.0_f64;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(metric(&http, "salver_model_cache_bytes").await.unwrap());
            }
            most
        })
    };
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(ask_until_done(grpc.clone(), http.clone(), Arc::clone(&next))))
        .collect();
    for client in clients {
        client.await.unwrap().unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    let most = watch.await.unwrap();

    let budget = metric(&http, "salver_model_cache_budget_bytes").await.unwrap();
    let (hits, misses, evictions) = (
        metric(&http, "salver_model_cache_hits_total").await.unwrap(),
        metric(&http, "salver_model_cache_misses_total").await.unwrap(),
        metric(&http, "salver_model_cache_evictions_total").await.unwrap(),
    );
    println!(
        "{REQUESTS} requests for {MODELS} models with room for {ROOM}: {hits} hits, {misses} misses, {evictions} evictions"
    );
    assert_eq!(budget, (ROOM * MODEL_BYTES) as f64);
    assert!(most > 0.0 && most <= budget, "{most} of {budget} bytes");
    assert_eq!(hits + misses, REQUESTS as f64);
    assert!(hits > 0.0 && evictions > 0.0);
}

/// Asks over each interface in turn for models of which the first are wanted most.
async fn ask_until_done(mut grpc: Grpc, http: Http, next: Arc<AtomicUsize>) -> Result<(), tonic::Status> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= REQUESTS {
            return Ok(());
        }
        // Evenly spread on a logarithmic scale, which is Zipf's law: model n is wanted in proportion to 1/n.
        let spread = (number as f64 * 0.618_033_988_75).fract();
        let model = format!("m{}", (MODELS as f64).powf(spread) as usize - 1);
        let x = [number as f32, 1.0];
        let reply = match number % 4 {
            0 => {
                let response = grpc.prediction.predict(fp32_predict(&model, None, &[1, 2], &x)).await?;
                Reply::of_predict(response.get_ref())
            }
            1 => {
                let response = grpc.inference.model_infer(fp32_infer(&model, "", &[1, 2], &x)).await?;
                Reply::of_infer(response.get_ref())
            }
            2 => {
                let body = serde_json::json!({ "inputs": [x] });
                let answer = http.post(&format!("/v1/models/{model}:predict"), body.to_string()).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                Reply::of_columns(&answer.json())
            }
            _ => {
                let input =
                    serde_json::json!({ "name": "x", "datatype": "FP32", "shape": [1, 2], "data": x });
                let body = serde_json::json!({ "inputs": [input] });
                let answer = http.post(&format!("/v2/models/{model}/infer"), body.to_string()).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                Reply::of_infer_json(&answer.json())
            }
        };
        assert_eq!((reply.tags, reply.x), (vec![1], x.to_vec()), "{model}");
    }
}

#[tokio::test]
async fn a_model_that_is_there_is_ready_before_it_is_loaded_and_one_that_is_not_is_not_found() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    add(&repository, "m", "");
    let server = start(&bundle, &repository, &[]);
    let (mut grpc, http) = (Grpc::connect(&server).await, server.http());

    assert_eq!(http.get("/v2/models/m/ready").await.status, 200);
    assert_eq!(http.get("/v2/models/m/versions/2/ready").await.status, 400);
    let ready = ModelReadyRequest { name: "m".to_owned(), version: String::new() };
    assert!(grpc.inference.model_ready(ready).await.unwrap().into_inner().ready);
    assert_eq!(grpc.versions("m").await.unwrap()[0].state(), State::Start);
    let list = http.get("/v1/models").await.json();
    assert_eq!(list["models"][0]["model_version_status"][0]["state"], "START");
    assert_eq!(metric(&http, "salver_model_cache_misses_total").await, Some(0.0), "that loaded nothing");

    // What a model takes is asked of the model: that loads it.
    assert_eq!(http.get("/v2/models/m").await.json()["versions"], serde_json::json!(["1"]));
    assert_eq!(grpc.versions("m").await.unwrap()[0].state(), State::Available);

    let answer = http.post("/v1/models/n:predict", PREDICT).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error().as_str()),
        (404, "Servable not found for request: Latest(n)")
    );
    let missing = grpc.prediction.predict(fp32_predict("m", Some(2), &[1, 2], &[0.0; 2])).await.unwrap_err();
    assert_eq!(missing.code(), tonic::Code::NotFound);
    assert_eq!(missing.message(), "Servable not found for request: Specific(m, 2)");
    let unknown = grpc.inference.model_infer(fp32_infer("n", "", &[1, 2], &[0.0; 2])).await.unwrap_err();
    assert_eq!(unknown.message(), "Request for unknown model: 'n' is not found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_first_requests_at_once_are_one_load() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    repository.settings("m", &format!("memory = '{MODEL_BYTES}'"));
    repository.add_echo("m", 1, &format!("load = {{ delay_ms = 300 }}\n{TAGGED}"));
    let server = start(&bundle, &repository, &[]);
    let http = server.http();
    let ask = |_| {
        let http = http.clone();
        tokio::spawn(async move { http.post("/v1/models/m:predict", PREDICT).await.status })
    };
    let requests: Vec<_> = (0..100).map(ask).collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
    let text = http.get("/metrics").await.text();
    let loads = r#"salver_loads_total{model="m",version="1",code="OK"} 1.0"#;
    assert!(text.contains(loads), "{text}");
}

#[tokio::test]
async fn a_request_waits_as_long_as_it_may_and_the_load_goes_on() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    repository.settings("m", &format!("memory = '{MODEL_BYTES}'"));
    repository.add_echo("m", 1, &format!("[load]\n{HELD}{TAGGED}"));
    let server = start(&bundle, &repository, &["--on-demand-wait=20ms"]);
    let (mut grpc, http) = (Grpc::connect(&server).await, server.http());
    let answer = http.post("/v1/models/m:predict", PREDICT).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.headers.get("retry-after").and_then(|value| value.to_str().ok()), Some("1"));
    let mut hurried = tonic::Request::new(fp32_predict("m", None, &[1, 2], &[0.0; 2]));
    hurried.set_timeout(Duration::from_millis(5));
    let late = grpc.prediction.predict(hurried).await.unwrap_err();
    assert!(matches!(late.code(), tonic::Code::DeadlineExceeded | tonic::Code::Cancelled), "{late}");
    repository.let_go("m", 1);
    server.wait_until_available(0, "m", 1);
    until("the model answers", async || http.post("/v1/models/m:predict", PREDICT).await.status == 200).await;
}

#[tokio::test]
async fn a_new_version_takes_over_where_the_old_one_is_in_use_and_a_model_that_is_taken_away_is_not_found() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    add(&repository, "m", "");
    add(&repository, "unused", "");
    let server = start(&bundle, &repository, &[]);
    let (mut grpc, http) = (Grpc::connect(&server).await, server.http());
    let ask = fp32_predict("m", None, &[1, 2], &[0.0; 2]);
    let reply = grpc.prediction.predict(ask.clone()).await.unwrap();
    assert_eq!(Reply::of_predict(reply.get_ref()).said, Some(1));

    let from = server.log().len();
    repository.add_echo("unused", 2, TAGGED);
    repository.add_echo("m", 2, TAGGED);
    server.wait_until_available(from, "m", 2);
    server.wait_until_unloaded(from, &repository.version("m", 1));
    let reply = grpc.prediction.predict(ask.clone()).await.unwrap();
    assert_eq!(Reply::of_predict(reply.get_ref()).said, Some(2));
    assert_eq!(grpc.versions("unused").await.unwrap()[0].state(), State::Start, "nobody has asked for it");

    repository.remove("m", 2);
    repository.remove("m", 1);
    server.wait_until_unloaded(from, &repository.version("m", 2));
    until("not found", async || http.post("/v1/models/m:predict", PREDICT).await.status == 404).await;
    assert_eq!(http.get("/v2/models/m/ready").await.status, 400);
}

#[tokio::test]
async fn a_model_that_fails_says_why_at_once_and_answers_when_it_is_mended() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    repository.settings("m", &format!("memory = '{MODEL_BYTES}'"));
    repository.add_echo("m", 1, "load = { fail = 'DATA_LOSS torn' }");
    let server = start(&bundle, &repository, &[]);
    let (mut grpc, http) = (Grpc::connect(&server).await, server.http());
    for _ in 0..20 {
        let answer = http.post("/v1/models/m:predict", PREDICT).await;
        assert_eq!(answer.status, 404);
        let error = answer.error();
        assert!(error.starts_with("Servable not found for request: Latest(m); it failed: "), "{error}");
        assert!(error.contains("torn"), "{error}");
    }
    let status = grpc.versions("m").await.unwrap().remove(0);
    assert_eq!(status.state(), State::End);
    assert!(status.status.unwrap().error_message.contains("torn"));
    assert_eq!(http.get("/v2/models/m/ready").await.status, 400);

    std::fs::write(repository.version("m", 1).join("echo.toml"), TAGGED).unwrap();
    until("it is mended", async || http.post("/v1/models/m:predict", PREDICT).await.status == 200).await;
    assert_eq!(http.get("/v2/models/m/ready").await.status, 200);
}

#[tokio::test]
async fn a_label_loads_its_version_and_moves_when_the_next_is_loaded() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    add(&repository, "m", "version_policy = 'all'\nlabels = { stable = 1 }");
    repository.add_echo("m", 2, TAGGED);
    let server = start(&bundle, &repository, &[]);
    let (mut grpc, http) = (Grpc::connect(&server).await, server.http());
    let mut stable = fp32_predict("m", None, &[1, 2], &[0.0; 2]);
    if let Some(spec) = &mut stable.model_spec {
        spec.version_choice = Some(VersionChoice::VersionLabel("stable".to_owned()));
    }
    assert_eq!(
        http.get("/v1/models/m/labels/stable").await.json()["model_version_status"][0]["version"],
        "1"
    );
    let reply = grpc.prediction.predict(stable.clone()).await.unwrap();
    assert_eq!(Reply::of_predict(reply.get_ref()).said, Some(1));
    assert_eq!(metric(&http, "salver_model_cache_versions").await, Some(1.0));

    let from = server.log().len();
    repository.settings(
        "m",
        &format!("memory = '{MODEL_BYTES}'\nversion_policy = 'all'\nlabels = {{ stable = 2 }}"),
    );
    server.wait_until_available(from, "m", 2);
    let reply = grpc.prediction.predict(stable.clone()).await.unwrap();
    assert_eq!(Reply::of_predict(reply.get_ref()).said, Some(2));
    let answer = http.post("/v1/models/m/labels/nobody:predict", PREDICT).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error().as_str()),
        (400, "Unrecognized servable version label: nobody")
    );
}

#[tokio::test]
async fn a_pinned_model_is_loaded_at_the_start_and_stays() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    add(&repository, "pinned", "pin = true");
    for number in 0..2 * ROOM {
        add(&repository, &format!("m{number}"), "");
    }
    let server = start(&bundle, &repository, &[]);
    let (mut grpc, http) = (Grpc::connect(&server).await, server.http());
    server.wait_until_available(0, "pinned", 1);
    for number in 0..2 * ROOM {
        assert_eq!(http.post(&format!("/v1/models/m{number}:predict"), PREDICT).await.status, 200);
    }
    assert_eq!(grpc.versions("pinned").await.unwrap()[0].state(), State::Available);
    assert_eq!(grpc.versions("m0").await.unwrap()[0].state(), State::Start, "it made room");
}
