//! What stays when a version goes: no memory, and nothing but itself while somebody uses it.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::path::Path;
use std::time::Instant;

use salver_proto::tensorflow::serving::model_server_config::Config;
use salver_proto::tensorflow::serving::model_version_status::State;
use salver_proto::tensorflow::serving::{
    ModelConfig, ModelConfigList, ModelServerConfig, PredictRequest, ReloadConfigRequest,
};
use salver_tests::{
    Bundle, Grpc, PATIENCE, Reply, Repository, Server, TAGGED, fp32_infer, fp32_predict, fp32_values,
};

/// Serves these models from now on, and waits for it.
async fn reload(grpc: &mut Grpc, models: &[(&str, &Path)]) {
    let model = |(name, folder): &(&str, &Path)| ModelConfig {
        name: (*name).to_owned(),
        base_path: folder.to_string_lossy().into_owned(),
        ..ModelConfig::default()
    };
    let list = ModelConfigList { config: models.iter().map(model).collect() };
    let config = Some(ModelServerConfig { config: Some(Config::ModelConfigList(list)) });
    let request = ReloadConfigRequest { config, ..ReloadConfigRequest::default() };
    let response = grpc.model.handle_reload_config_request(request).await.unwrap().into_inner();
    let status = response.status.unwrap_or_default();
    assert_eq!(status.error_code, 0, "{}", status.error_message);
}

/// Asks until version 1 of a model is in this state.
async fn wait_until(grpc: &mut Grpc, model: &str, state: State) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let versions = grpc.versions(model).await.unwrap();
        let found = versions.iter().find(|status| status.version == 1).map(|status| status.state());
        if found == Some(state) {
            return;
        }
        assert!(Instant::now() < deadline, "{model}:1 is {found:?}, wanted {state:?}");
    }
}

#[tokio::test]
async fn memory_comes_back_after_a_hundred_cycles_of_a_large_real_model() {
    const CYCLES: usize = 100;
    /// Cycles that settle what allocators keep.
    const FIRST: usize = 5;
    const BYTES: u64 = 64 << 20;
    /// What chance may add.
    const SLACK: u64 = 16 << 20;
    let Some(bundle) = Bundle::from_env() else { return };
    let (repository, models) = (Repository::with_echo("tagged", TAGGED), Repository::new());
    models.add_weights("large", 1, BYTES);
    let folder = models.path().join("large");
    let server = Server::start(&bundle, &repository, &[]);
    let mut grpc = Grpc::connect(&server).await;
    let before = server.memory_now();

    let (mut loaded, mut after) = (0, Vec::new());
    for _ in 0..CYCLES {
        reload(&mut grpc, &[("large", &folder)]).await;
        loaded = server.memory_now();
        reload(&mut grpc, &[]).await;
        // Its state is that of the end once its memory was given back.
        wait_until(&mut grpc, "large", State::End).await;
        after.push(server.memory_now());
    }

    let settled = after.iter().take(FIRST).copied().max().unwrap();
    let last = after.last().copied().unwrap();
    println!(
        "resident: {before} bytes before, {loaded} loaded, {settled} after {FIRST} cycles, {last} after {CYCLES}"
    );
    assert!(loaded > before + BYTES / 2, "{loaded} bytes are no model of {BYTES}");
    assert!(settled < before + BYTES / 2, "{before} bytes became {settled} in {FIRST} cycles of {BYTES}");
    assert!(
        last < settled + settled / 10 + SLACK,
        "{settled} bytes became {last} in {CYCLES} cycles of {BYTES}"
    );
}

#[tokio::test]
async fn a_large_model_answers() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::new();
    repository.add_weights("large", 1, 8 << 20);
    let server = Server::start(&bundle, &repository, &[]);
    let mut grpc = Grpc::connect(&server).await;
    let x: Vec<f32> = (0..1024_u16).map(|column| f32::from(column % 7) - 3.0).collect();
    let answer = grpc.inference.model_infer(fp32_infer("large", "", &[1, 1024], &x)).await.unwrap();
    let y = fp32_values(answer.get_ref().raw_output_contents.concat().as_slice());
    let power = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>();
    let gain = power(&y) / power(&x);
    assert!(y.len() == 1024 && (0.5..2.0).contains(&gain), "{} numbers, {gain} times the power", y.len());
}

#[tokio::test]
async fn a_request_that_takes_long_delays_the_unload_of_its_own_version_and_nothing_else() {
    let Some(bundle) = Bundle::from_env() else { return };
    const HOUR: &str = "[signatures.slow]\ninputs = [{ name = 'x', dtype = 'FP32' }]\ndelay_ms = 3600000\n";
    let slow = format!("{TAGGED}{HOUR}");
    let repository = Repository::with_echo("held", &slow);
    repository.add_echo("other", 1, TAGGED);
    let server = Server::start(&bundle, &repository, &["--max-concurrent-runs=1"]);
    let mut grpc = Grpc::connect(&server).await;

    // Of two at most one runs at a time. When one waits, the other runs.
    let holding = [(); 2].map(|()| tokio::spawn(hold(grpc.clone(), "held")));
    wait_until_one_waits(&server, "held").await;

    let from = server.log().len();
    repository.add_echo("held", 2, TAGGED);
    server.wait_until_available(from, "held", 2);
    wait_until(&mut grpc, "held", State::Unloading).await;
    assert_eq!(tags(&mut grpc, "held").await, [2]);

    // Other models, and other versions of the same, come and go.
    for version in 2..=4 {
        repository.add_echo("other", version, TAGGED);
        server.wait_until_unloaded(from, &repository.version("other", version - 1));
        assert_eq!(tags(&mut grpc, "other").await, [version]);
    }
    repository.add_echo("held", 3, TAGGED);
    server.wait_until_unloaded(from, &repository.version("held", 2));
    assert_eq!(tags(&mut grpc, "held").await, [3]);
    wait_until(&mut grpc, "held", State::Unloading).await;
    assert!(holding.iter().all(|request| !request.is_finished()));

    for request in &holding {
        request.abort();
    }
    // Not by the log, whose wait would keep this thread from telling the server that nobody asks any more.
    wait_until(&mut grpc, "held", State::End).await;
    server.wait_until_unloaded(from, &repository.version("held", 1));
}

/// Asks version 1 for what takes an hour.
async fn hold(mut grpc: Grpc, model: &str) {
    let mut request: PredictRequest = fp32_predict(model, Some(1), &[1, 2], &[1.0, 2.0]);
    request.model_spec.as_mut().unwrap().signature_name = "slow".to_owned();
    grpc.prediction.predict(request).await.unwrap();
}

/// Which version answers.
async fn tags(grpc: &mut Grpc, model: &str) -> Vec<i64> {
    let answer = grpc.prediction.predict(fp32_predict(model, None, &[1, 2], &[1.0, 2.0])).await.unwrap();
    Reply::of_predict(answer.get_ref()).tags
}

/// Looks until one request for version 1 of a model waits for a thread.
async fn wait_until_one_waits(server: &Server, model: &str) {
    let (http, deadline) = (server.http(), Instant::now() + PATIENCE);
    let labels = [format!("model=\"{model}\""), "version=\"1\"".to_owned()];
    loop {
        let metrics = http.get("/metrics").await.text();
        let is_wanted = |line: &&str| {
            line.starts_with("salver_queued_requests{")
                && line.ends_with(" 1.0")
                && labels.iter().all(|label| line.contains(label))
        };
        if metrics.lines().any(|line| is_wanted(&line)) {
            return;
        }
        assert!(Instant::now() < deadline, "{metrics}");
    }
}
