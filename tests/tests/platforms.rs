//! Several frameworks in one server: the same answers, in whatever order they come, and none in another's way.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::f32::consts::TAU;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use salver_tests::{
    Bundle, Grpc, Http, Repository, Server, check_pytest, copy, fp32_predict, pytest, python, root, skip,
};
use serde_json::{Value, json};

/// The bundle, where every platform is in it.
fn bundle() -> Option<Bundle> {
    let bundle = Bundle::from_env()?;
    let is_there = |name: &&str| bundle.plugin(name).is_file();
    if let Some(missing) = ["libtorch", "tensorflow"].iter().find(|name| !is_there(name)) {
        skip(&format!("{missing} is not in the bundle; `cargo xtask test --all-platforms` packs it"));
        return None;
    }
    Some(bundle)
}

const DIGITS: [&str; 3] = ["digits", "digits-torchscript", "digits-savedmodel"];

/// A repository with the digits for every platform.
fn digits() -> Repository {
    let repository = Repository::new();
    repository.add_digits();
    for model in ["digits-torchscript", "digits-savedmodel"] {
        copy(&root().join("examples/platforms").join(model), &repository.path().join(model));
    }
    repository
}

fn sample() -> Value {
    serde_json::from_slice(&fs::read(root().join("examples/requests/digits.json")).unwrap()).unwrap()
}

/// The digits that a model reads in the samples.
async fn read(http: &Http, model: &str, pixels: &Value) -> Value {
    let answer =
        http.post(&format!("/v1/models/{model}:predict"), json!({ "inputs": pixels }).to_string()).await;
    assert_eq!(answer.status, 200, "{model}: {}", answer.text());
    answer.json()["outputs"]["digit"].clone()
}

#[test]
fn the_same_weights_give_the_same_answers_on_every_platform_and_interface() {
    let (Some(bundle), Some(python)) = (bundle(), python()) else { return };
    let repository = digits();
    let server = Server::start(&bundle, &repository, &[]);
    let mut classify = Command::new(python);
    classify.arg(root().join("examples/classify.py")).arg(server.address().to_string()).args(DIGITS);
    let output = classify.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("3 models on all 4 interfaces agree"), "{said}{failed}");
}

#[tokio::test]
async fn half_plus_two_is_answered_exactly() {
    let Some(bundle) = bundle() else { return };
    let repository = Repository::new();
    let fixtures = root().join("platforms/tensorflow/tests/fixtures");
    copy(&fixtures.join("half_plus_two"), &repository.version("half_plus_two", 123));
    copy(&fixtures.join("half_plus_two_v2"), &repository.version("half_plus_two_v2", 1));
    let server = Server::start(&bundle, &repository, &[]);
    let http = server.http();
    for model in ["half_plus_two", "half_plus_two_v2"] {
        let answer = http
            .post(&format!("/v1/models/{model}:predict"), r#"{"instances": [[1.0], [2.0], [5.0]]}"#)
            .await;
        assert_eq!(answer.json(), json!({ "predictions": [[2.5], [3.0], [4.5]] }), "{model}");
        // TensorFlow Serving's first example: its signature says [-1, 1], which holds nobody to it.
        let path = format!("/v1/models/{model}:predict");
        let answer = http.post(&path, r#"{"instances": [1.0, 2.0, 5.0]}"#).await;
        assert_eq!(answer.json(), json!({ "predictions": [2.5, 3.0, 4.5] }), "{model}");
    }
    let mut grpc = Grpc::connect(&server).await;
    let request = fp32_predict("half_plus_two", Some(123), &[3, 1], &[1.0, 2.0, 5.0]);
    let answer = grpc.prediction.predict(request).await.unwrap().into_inner();
    assert_eq!(answer.outputs[0].value.as_ref().unwrap().float_val, [2.5, 3.0, 4.5]);
    if let Some(python) = python() {
        let mut examples = pytest(&python, "test_tfserving_examples.py");
        check_pytest(examples.env("SALVER_ADDRESS", server.address().to_string()));
    }
    let metadata = http.get("/v1/models/half_plus_two/metadata").await.json();
    let signatures = &metadata["metadata"]["signature_def"]["signature_def"];
    assert_eq!(signatures["regress_x_to_y"]["method_name"], "tensorflow/serving/regress");
    assert_eq!(signatures["regress_x_to_y"]["inputs"]["inputs"]["name"], "tf_example:0");
}

#[tokio::test]
async fn a_torchscript_module_in_a_repository_of_triton_s_is_served_as_it_lies_there() {
    let Some(bundle) = bundle() else { return };
    let (repository, sample) = (Repository::new(), sample());
    let model = repository.version("digits", 1);
    copy(&root().join("examples/platforms/digits-torchscript/1"), &model);
    let config = r#"
        platform: "pytorch_libtorch"
        max_batch_size: 32
        input [ { name: "INPUT__0" data_type: TYPE_FP32 dims: [ 64 ] } ]
        output [
            { name: "probabilities" data_type: TYPE_FP32 dims: [ 10 ] },
            { name: "digit" data_type: TYPE_INT64 dims: [ ] }
        ]
        dynamic_batching { }
    "#;
    fs::write(repository.path().join("digits/config.pbtxt"), config).unwrap();
    let server = Server::start(&bundle, &repository, &[]);
    let http = server.http();
    let metadata = http.get("/v2/models/digits").await.json();
    assert_eq!(metadata["inputs"], json!([{ "name": "INPUT__0", "datatype": "FP32", "shape": [-1, 64] }]));
    assert_eq!(metadata["outputs"][0]["shape"], json!([-1, 10]));
    let request = json!({ "inputs": sample["pixels"] }).to_string();
    let answer = http.post("/v1/models/digits:predict", request).await.json();
    assert_eq!(answer["outputs"]["digit"], sample["digit"], "{answer}");
}

#[tokio::test]
async fn frameworks_may_be_opened_in_any_order() {
    let Some(bundle) = bundle() else { return };
    let (repository, sample) = (digits(), sample());
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        // A framework is opened when its first model is loaded, which is when it is first asked for.
        let mut server = Server::launch(&bundle, &repository, &["--load=on-demand"]);
        let http = server.http();
        for model in order.iter().chain(&order).map(|&index| DIGITS[index]) {
            assert_eq!(read(&http, model, &sample["pixels"]).await, sample["digit"], "{order:?}: {model}");
        }
        assert!(server.stop().success(), "{order:?}");
    }
}

/// How long the frameworks are kept busy; a variable says otherwise.
const FULL_LOAD: Duration = Duration::from_secs(5);

fn full_load() -> Duration {
    let seconds = std::env::var("SALVER_FULL_LOAD_SECONDS").ok();
    seconds.map_or(FULL_LOAD, |seconds| Duration::from_secs(seconds.parse().unwrap()))
}

/// What the server takes, of what `/proc/ID/status` tells.
fn status(process: u32, field: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// What clients saw of one framework.
#[derive(Default)]
struct Seen {
    right: AtomicUsize,
    wrong: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frameworks_serve_side_by_side_at_full_load_with_bounded_threads_and_memory() {
    const CLIENTS: usize = 12;
    let Some(bundle) = bundle() else { return };
    let (repository, sample) = (digits(), Arc::new(sample()));
    let mut server = Server::start(&bundle, &repository, &[]);
    let seen: Arc<[Seen; DIGITS.len()]> = Arc::default();
    // What is resident when every framework has what it keeps.
    let resident = Arc::new(OnceLock::new());
    let (warm, end) = (Instant::now() + full_load() / 4, Instant::now() + full_load());
    let process = server.id();
    let clients = (0..CLIENTS).map(|client| {
        let (http, sample) = (server.http(), Arc::clone(&sample));
        let (seen, resident) = (Arc::clone(&seen), Arc::clone(&resident));
        let body = json!({ "inputs": sample["pixels"] }).to_string();
        tokio::spawn(async move {
            for turn in client.. {
                let (now, index) = (Instant::now(), turn % DIGITS.len());
                if now >= warm {
                    resident.get_or_init(|| status(process, "VmRSS:"));
                }
                if now >= end {
                    return;
                }
                let answer = http.post(&format!("/v1/models/{}:predict", DIGITS[index]), body.clone()).await;
                let is_right = answer.status == 200 && answer.json()["outputs"]["digit"] == sample["digit"];
                let count = if is_right { &seen[index].right } else { &seen[index].wrong };
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let (threads, after, resident) =
        (status(process, "Threads:"), status(process, "VmRSS:"), *resident.get().unwrap());
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    for (model, seen) in DIGITS.iter().zip(&*seen) {
        println!("{model}: {} right answers, {} others", count(&seen.right), count(&seen.wrong));
    }
    println!("{threads} threads, {} MiB, {} MiB after a quarter of the time", after / 1024, resident / 1024);
    for (model, seen) in DIGITS.iter().zip(&*seen) {
        assert_eq!(count(&seen.wrong), 0, "{model}");
        assert!(count(&seen.right) > 0, "{model}");
    }
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    // The server's own, then for each processor: a run of each model, and what each framework computes with.
    assert!(threads <= 40 + 12 * cpus, "{threads} threads on {cpus} processors");
    // In kibibytes: what allocators keep of the runs, for each thread that runs some.
    let most = resident + 100 * 1024;
    assert!(after <= most, "{after} KiB, {resident} KiB after a quarter of the time");
    assert!(server.stop().success());
}

/// The folder with silero's model as TorchScript and as ONNX: `cargo xtask fetch silero-vad`.
fn silero() -> Option<PathBuf> {
    let folder = std::env::var_os("SALVER_SILERO_VAD").map(PathBuf::from);
    if folder.is_none() {
        skip("SALVER_SILERO_VAD is not set; `cargo xtask test --all-platforms` sets it");
    }
    folder
}

const RATE: usize = 16_000;
const CHUNK: usize = 512;
/// So many samples of the chunk before stand before each chunk: silero's TorchScript does that by itself, whoever calls its
/// ONNX does it (`OnnxWrapper` of the package `silero-vad`).
const CONTEXT: usize = 64;

/// Silence, a vowel whose pitch falls, noise, and silence again: what a voice detector is for.
fn audio() -> Vec<f32> {
    let mut noise = 1_u32;
    let mut sample = |index: usize| {
        let time = index as f32 / RATE as f32;
        match index / (RATE / 2) {
            1 => {
                let pitch = 180.0 - 60.0 * time;
                // Harmonics, stronger near the formants of an open vowel.
                let harmonic = |number: f32| {
                    let near = |formant: f32| (-((number * pitch - formant) / 150.0).powi(2)).exp();
                    (near(700.0) + 0.6 * near(1200.0) + 0.3 * near(2600.0))
                        * (TAU * number * pitch * time).sin()
                };
                0.3 * (1..25).map(|number| harmonic(number as f32)).sum::<f32>()
            }
            2 => {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                0.05 * (noise as f32 / u32::MAX as f32 - 0.5)
            }
            _ => 0.0,
        }
    };
    (0..2 * RATE).map(&mut sample).collect()
}

async fn infer(http: &Http, model: &str, inputs: Value) -> Value {
    let answer =
        http.post(&format!("/v2/models/{model}/infer"), json!({ "inputs": inputs }).to_string()).await;
    assert_eq!(answer.status, 200, "{model}: {}", answer.text());
    answer.json()
}

/// An output by its name.
fn output<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let outputs = answer["outputs"].as_array().unwrap();
    &outputs.iter().find(|output| output["name"] == name).unwrap()["data"]
}

#[tokio::test]
async fn a_model_that_a_package_ships_hears_the_same_speech_as_onnx_and_as_torchscript() {
    let (Some(bundle), Some(silero)) = (bundle(), silero()) else { return };
    let repository = Repository::new();
    repository.add_file("vad_onnx", 1, "model.onnx", &fs::read(silero.join("silero_vad.onnx")).unwrap());
    repository.add_file("vad_torch", 1, "model.pt", &fs::read(silero.join("silero_vad.jit")).unwrap());
    let settings = r#"
        [signature]
        inputs = [{ name = "x", dtype = "FP32", shape = [-1, 512] }, { name = "sr" }]
        outputs = [{ name = "probability", dtype = "FP32", shape = [-1, 1] }]
    "#;
    repository.settings("vad_torch", settings);
    let server = Server::start(&bundle, &repository, &[]);
    let http = server.http();
    let rate = json!({ "name": "sr", "shape": [], "datatype": "INT64", "data": [RATE] });
    let audio = audio();
    let mut state = json!(vec![0.0; 2 * 128]);
    let mut context = vec![0.0; CONTEXT];
    let mut heard = Vec::new();
    for chunk in audio.chunks_exact(CHUNK) {
        let x = json!({ "name": "x", "shape": [1, CHUNK], "datatype": "FP32", "data": chunk });
        let torch = infer(&http, "vad_torch", json!([x, rate])).await;
        let input = [&context[..], chunk].concat();
        let inputs = json!([
            { "name": "input", "shape": [1, CONTEXT + CHUNK], "datatype": "FP32", "data": input },
            { "name": "state", "shape": [2, 1, 128], "datatype": "FP32", "data": state },
            rate
        ]);
        let onnx = infer(&http, "vad_onnx", inputs).await;
        state = output(&onnx, "stateN").clone();
        context = chunk[CHUNK - CONTEXT..].to_vec();
        let probability = |answer: &Value, name| output(answer, name)[0].as_f64().unwrap();
        heard.push((probability(&torch, "probability"), probability(&onnx, "output")));
    }
    let apart = heard.iter().map(|(torch, onnx)| (torch - onnx).abs()).fold(0.0, f64::max);
    assert!(apart < 1e-3, "{apart} apart: {heard:?}");
    let most = heard.iter().map(|(torch, _)| *torch).fold(0.0, f64::max);
    let least = heard.iter().map(|(torch, _)| *torch).fold(1.0, f64::min);
    assert!(most > 0.5 && least < 0.05, "silence is told from a voice: {least} to {most}");
}
