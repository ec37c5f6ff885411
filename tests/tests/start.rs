//! Starting: what it takes, what is reported, and what does not stop the rest.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::Command;

use salver_tests::{Bundle, Grpc, Repository, Server, TAGGED, fp32_predict};
use serde_json::{Value, json};

const ROW: &str = r#"{"instances": [[1, 2]]}"#;

#[tokio::test]
async fn a_folder_of_models_is_all_it_takes_and_one_port_answers_everything() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    repository.add_digits();
    let server = Server::start(&bundle, &repository, &[]);
    let http = server.http();
    for path in
        ["/v1/models/tagged", "/v1/models/digits", "/v2", "/v2/models/digits", "/v2/health/ready", "/metrics"]
    {
        let answer = http.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    let mut grpc = Grpc::connect(&server).await;
    grpc.prediction.predict(fp32_predict("tagged", None, &[1, 2], &[1.0, 2.0])).await.unwrap();
    // Without a word about versions, the latest is served.
    assert_eq!(grpc.versions("digits").await.unwrap()[0].version, 2);
}

#[tokio::test]
async fn a_model_that_is_broken_says_so_and_does_not_stop_the_others() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("good", TAGGED);
    repository.add_file("torn", 1, "model.onnx", b"not a protobuf");
    repository.add_echo("misspelt", 1, "signaturs = 1");
    let server = Server::start(&bundle, &repository, &[]);
    let http = server.http();
    assert_eq!(http.post("/v1/models/good:predict", ROW).await.status, 200);

    for (model, file) in [("torn", "model.onnx"), ("misspelt", "echo.toml")] {
        let status = http.get(&format!("/v1/models/{model}")).await.json();
        let version = &status["model_version_status"][0];
        assert_eq!(version["state"], "END", "{status}");
        let message = version["status"]["error_message"].as_str().unwrap();
        let folder = repository.version(model, 1);
        assert!(message.contains(folder.to_str().unwrap()), "{model}: `{message}` names the folder");
        assert!(message.contains(file), "{model}: `{message}` names {file}");
        let answer = http.post(&format!("/v1/models/{model}:predict"), ROW).await;
        assert!([404, 503].contains(&answer.status.as_u16()), "{model}: {} {}", answer.status, answer.text());
    }
}

#[tokio::test]
async fn a_server_whose_repository_comes_late_is_ready_when_its_models_are() {
    let Some(bundle) = Bundle::from_env() else { return };
    let empty = Repository::new();
    let late = Repository::with_echo("slow", &format!("load = {{ delay_ms = 300 }}\n{TAGGED}"));
    let place = empty.path().join(".late");
    let server = Server::launch(&bundle, &empty, &["--model-repository", place.to_str().unwrap()]);
    server.log().wait(0, "not a directory; not ready until it is", &[]);
    std::os::unix::fs::symlink(late.path(), &place).unwrap();
    server.log().wait(0, "ready", &[]);
    let answer = server.http().post("/v1/models/slow:predict", ROW).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_model_that_no_platform_recognises_is_told_with_what_each_of_them_said() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("good", TAGGED);
    repository.add_file("strange", 1, "model.pdparams", b"from elsewhere");
    let server = Server::start(&bundle, &repository, &[]);
    let message = why_not(&server, "strange").await;
    for part in ["model.pdparams", "echo: ", "onnxruntime: ", "echo.toml", "onnx"] {
        assert!(message.contains(part), "`{message}` has `{part}`");
    }
    assert_eq!(server.http().post("/v1/models/good:predict", ROW).await.status, 200);
}

#[tokio::test]
async fn a_model_that_asks_for_a_missing_platform_is_told_which_there_are() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("good", TAGGED);
    repository.add_echo("ported", 1, TAGGED);
    repository.settings("ported", "platform = 'tensorrt'");
    repository.add_echo("misconfigured", 1, TAGGED);
    repository.settings("misconfigured", "platfrom = 'echo'");
    let server = Server::start(&bundle, &repository, &[]);
    let message = why_not(&server, "ported").await;
    for part in ["`tensorrt` is not installed", "echo", "onnxruntime"] {
        assert!(message.contains(part), "`{message}` has `{part}`");
    }
    // Settings that cannot be read say nothing about versions: the trouble is the model's.
    let answer = server.http().get("/v1/models/misconfigured").await;
    let message = answer.error();
    assert_eq!(answer.status, 404, "{message}");
    assert!(message.contains("model.toml") && message.contains("platfrom"), "{message}");
    assert_eq!(server.http().post("/v1/models/good:predict", ROW).await.status, 200);
}

/// Why the only version of a model is not served.
async fn why_not(server: &Server, model: &str) -> String {
    let status = server.http().get(&format!("/v1/models/{model}")).await.json();
    let message = status.pointer("/model_version_status/0/status/error_message").and_then(Value::as_str);
    message.unwrap_or_else(|| panic!("{status}")).to_owned()
}

#[tokio::test]
async fn a_server_without_plugins_starts_and_says_where_it_looked() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    let empty = tempfile::tempdir().unwrap();
    let plugins = format!("--plugin-dir={}", empty.path().display());
    let server = Server::start(&bundle, &repository, &[&plugins]);
    let message = why_not(&server, "tagged").await;
    assert!(message.contains("no platform plugin is installed"), "{message}");
    assert!(message.contains(empty.path().to_str().unwrap()), "{message}");
}

#[tokio::test]
async fn a_library_that_is_no_plugin_is_reported_and_the_others_are_used() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(bundle.plugin("echo"), folder.path().join("libsalver_echo.so")).unwrap();
    std::fs::write(folder.path().join("libsalver_torn.so"), b"\x7fELF and no more").unwrap();
    let plugins = format!("--plugin-dir={}", folder.path().display());
    let server = Server::start(&bundle, &repository, &[&plugins]);
    let fields = server.log().wait(0, "a plugin cannot be used", &[]);
    assert!(fields["file"].as_str().unwrap().ends_with("libsalver_torn.so"), "{fields}");
    assert_eq!(server.http().post("/v1/models/tagged:predict", ROW).await.status, 200);
}

#[tokio::test]
async fn the_spellings_of_tensorflow_serving_start_the_same_server() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    let base_path = format!("--model_base_path={}", repository.path().join("tagged").display());
    let rest = free_port();
    let flags = [
        "--model_name=renamed",
        &base_path,
        &format!("--rest_api_port={rest}"),
        "--rest_api_timeout_in_ms=30000",
        "--num_load_threads=2",
        "--enable_model_warmup=false",
        "--flush_filesystem_caches=true",
        "--enable_batching=false",
    ];
    let server = Server::launch_with(&bundle, &flags, |_| {});
    server.log().wait(0, "ready", &[]);
    let expected = json!({ "predictions": [{ "x": [1.0, 2.0], "version": 1 }] });
    for port in [server.address().port(), rest] {
        let http = salver_tests::Http::new(([127, 0, 0, 1], port).into());
        assert_eq!(http.post("/v1/models/renamed:predict", ROW).await.json(), expected, "port {port}");
    }
    assert!(server.log().text().contains("--enable_model_warmup has no effect"), "{}", server.log().text());
}

#[tokio::test]
async fn a_unix_socket_answers_as_a_port_does_and_goes_with_the_server() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("salver.sock");
    let mut server = Server::start(&bundle, &repository, &[&format!("--unix-socket={}", path.display())]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /v1/models/tagged HTTP/1.1\r\nhost: salver\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""state":"AVAILABLE""#), "{answer}");
    assert_eq!(server.stop().code(), Some(0));
    assert!(!path.exists());
}

/// A port that nobody listens on just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_command_line_that_cannot_be_right_ends_with_64_and_names_the_flag() {
    let Some(bundle) = Bundle::from_env() else { return };
    for (flags, named) in [
        (&["serve"][..], "--model-repository"),
        (&["serve", "--model-repository=/", "--max-request-bytes=0"], "--max-request-bytes"),
        (&["serve", "--model-repository=/", "--ssl_config_file=/ssl"], "--ssl_config_file"),
        (&["serve", "--model-repository=/", "--batching=max_batch_size=0"], "max_batch_size"),
        (&["serve", "--model_config_file=/no/such/list"], "--model-config-file"),
        (&["serve", "--no-such-flag"], "--no-such-flag"),
        (&["sing"], "sing"),
    ] {
        let output = Command::new(bundle.salver()).args(flags).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{flags:?}: {said}");
        assert!(said.contains(named), "{flags:?}: {said}");
    }
}

#[test]
fn a_port_that_is_taken_ends_the_start_with_its_address() {
    let Some(bundle) = Bundle::from_env() else { return };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = Command::new(bundle.salver())
        .args([
            "serve",
            "--host=127.0.0.1",
            "--model-repository=/nonexistent",
            "--port",
            &address.port().to_string(),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&address.to_string()), "{said}");
}

#[test]
fn the_help_names_every_limit_with_its_default() {
    let Some(bundle) = Bundle::from_env() else { return };
    let output = Command::new(bundle.salver()).args(["serve", "--help"]).output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for (flag, default) in [
        ("--max-request-bytes", "[default: 64MiB]"),
        ("--max-inflight-bytes", "[default: 1GiB]"),
        ("--max-connections", "[default: 4096]"),
        ("--max-queued-requests", "[default: 1000]"),
        ("--rest-timeout", "[default: 30s]"),
        ("--drain-timeout", "[default: 30s]"),
    ] {
        let rest = help.split_once(flag).unwrap_or_else(|| panic!("{flag} is in the help")).1;
        let entry = rest.split_once("\n      --").map_or(rest, |(entry, _)| entry);
        assert!(entry.contains(default), "{flag}: {entry}");
    }
}
