//! The clients that people use, in Python: each file of `tests/python/` against a server of its own.

use salver_tests::{Bundle, Repository, Server, TAGGED, check_pytest, echo_of, pytest, python};

/// Every element type that a client can send.
const DTYPES: [&str; 16] = [
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "BF16",
    "FP32",
    "FP64",
    "BYTES",
    "COMPLEX64",
    "COMPLEX128",
];

/// The models that the files in `tests/python/` are written for.
fn repository() -> Repository {
    let repository = Repository::new();
    repository.add_digits();
    for dtype in DTYPES {
        repository.add_echo(&format!("echo_{}", dtype.to_lowercase()), 1, &echo_of(dtype, ""));
    }
    for version in [1, 2] {
        repository.add_echo("tagged", version, TAGGED);
    }
    repository.settings("tagged", "version_policy = 'all'");
    repository.add_echo("pair", 1, PAIR);
    repository.add_echo("half_plus_two", 123, HALF_PLUS_TWO);
    repository.add_echo("out_of_tea", 1, &echo_of("FP32", "fail = 'UNAVAILABLE out of tea'"));
    repository.add_echo("broken_run", 1, &echo_of("FP32", "fail = 'INTERNAL a cog came loose'"));
    repository.add_echo("slow", 1, &echo_of("FP32", "delay_ms = 3600000"));
    repository.add_echo("broken", 1, "load = { fail = 'DATA_LOSS the disk is on fire' }");
    repository
}

/// Two inputs, one of which may be left out, and two signatures.
const PAIR: &str = r#"
[signatures.serving_default]
inputs = [
    { name = "x", dtype = "FP32", shape = [-1, 2] },
    { name = "bias", dtype = "INT64", shape = [], optional = true, default = 7 },
]
[signatures.renamed]
inputs = [{ name = "x", dtype = "FP32", shape = [-1, 2] }]
outputs = { y = "x" }
"#;

/// As far as an echo goes: the names and the version of TensorFlow Serving's own test model.
const HALF_PLUS_TWO: &str = r#"
[signatures.serving_default]
inputs = [{ name = "x", dtype = "FP32", shape = [-1] }]
outputs = { y = "x" }
"#;

fn run(file: &str) {
    run_with(file, &[]);
}

/// The same where the requests of all models are run together.
fn run_batched(file: &str) {
    run_with(file, &["--enable_batching", "--batching=batch_timeout=1ms"]);
}

fn run_with(file: &str, flags: &[&str]) {
    let (Some(bundle), Some(python)) = (Bundle::from_env(), python()) else { return };
    let repository = repository();
    // The model `slow` takes an hour.
    let server = Server::start(&bundle, &repository, &[flags, &["--rest-timeout=5s"]].concat());
    server.wait_until_available(0, "tagged", 1);
    server.wait_until_available(0, "tagged", 2);
    check_pytest(pytest(&python, file).env("SALVER_ADDRESS", server.address().to_string()));
}

#[test]
fn grpc_clients_come_in_by_a_unix_socket() {
    let (Some(bundle), Some(python)) = (Bundle::from_env(), python()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("salver.sock");
    let repository = repository();
    let server = Server::start(&bundle, &repository, &[&format!("--grpc_socket_path={}", socket.display())]);
    server.wait_until_available(0, "tagged", 1);
    server.wait_until_available(0, "tagged", 2);
    let address = format!("unix:{}", socket.display());
    for file in ["test_tfserving_grpc.py", "test_tritonclient_grpc.py"] {
        check_pytest(pytest(&python, file).env("SALVER_ADDRESS", &address));
    }
}

#[test]
fn tritonclient_over_grpc_gets_right_answers() {
    run("test_tritonclient_grpc.py");
}

#[test]
fn tritonclient_over_http_gets_right_answers_binary_and_json() {
    run("test_tritonclient_http.py");
}

#[test]
fn tensorflow_serving_s_own_client_gets_right_answers() {
    run("test_tfserving_grpc.py");
}

#[test]
fn tensorflow_serving_s_own_client_changes_which_models_are_served() {
    let (Some(bundle), Some(python)) = (Bundle::from_env(), python()) else { return };
    let repository = repository();
    repository.settings("tagged", "");
    let path = repository.path().display();
    let list = format!(
        "model_config_list {{ config {{
            name: 'tagged' base_path: '{path}/tagged' model_version_policy {{ specific {{ versions: 1 }} }}
        }} }}"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), list).unwrap();
    let server = Server::launch_with(&bundle, &[], |command| {
        command.arg("--model-config-file").arg(file.path());
    });
    server.log().wait(0, "ready", &[]);
    server.wait_until_available(0, "tagged", 1);
    let mut pytest = pytest(&python, "test_tfserving_reload.py");
    pytest.env("SALVER_ADDRESS", server.address().to_string()).env("SALVER_REPOSITORY", repository.path());
    check_pytest(&mut pytest);
}

#[test]
fn tensorflow_serving_s_rest_interface_answers_as_its_tests_have_it() {
    run("test_tfserving_rest.py");
}

#[test]
fn every_error_has_the_right_code_on_every_interface() {
    run("test_errors.py");
}

#[test]
fn every_interface_gives_the_same_answer_for_the_digits() {
    run("test_agreement.py");
}

#[test]
fn every_client_gets_the_same_answers_and_errors_where_requests_are_batched() {
    for file in [
        "test_tritonclient_grpc.py",
        "test_tritonclient_http.py",
        "test_tfserving_grpc.py",
        "test_tfserving_rest.py",
        "test_agreement.py",
        "test_errors.py",
    ] {
        run_batched(file);
    }
}
