//! Hostile input: each is answered with an error or a closed connection, memory stays bounded, and the server lives.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::Method;
use prost::Message as _;
use salver_proto::tensorflow::TensorProto;
use salver_tests::{
    Answer, Bundle, Grpc, PATIENCE, Reply, Repository, Server, TAGGED, echo_of, fp32_infer, fp32_predict,
};
use serde_json::json;
use tonic::Code;

/// Requests may have 4 MiB here, so that a bound on memory means something.
const LIMIT: usize = 4 << 20;
const FLAGS: [&str; 1] = ["--max-request-bytes=4MiB"];

/// What the attacks of one test may make the server grow by: some requests at once, each decoded to eight times its
/// size at most, and what the allocator keeps.
const GROWTH: u64 = 96 << 20;

const PREDICT: &str = "/tensorflow.serving.PredictionService/Predict";
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const CALLS: [&str; 9] = [
    PREDICT,
    "/tensorflow.serving.PredictionService/GetModelMetadata",
    "/tensorflow.serving.ModelService/GetModelStatus",
    INFER,
    "/inference.GRPCInferenceService/ModelReady",
    "/inference.GRPCInferenceService/ModelMetadata",
    "/inference.GRPCInferenceService/ServerLive",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];

/// A server under attack.
struct Target {
    // Its models, which are there as long as it is.
    _repository: Repository,
    server: Server,
    grpc: Grpc,
    memory: u64,
}

impl Target {
    async fn start(bundle: &Bundle) -> Self {
        Self::start_with(bundle, &FLAGS).await
    }

    async fn start_with(bundle: &Bundle, flags: &[&str]) -> Self {
        let repository = Repository::with_echo("tagged", TAGGED);
        repository.add_echo("numbers", 1, &echo_of("INT64", ""));
        repository.add_echo("texts", 1, &echo_of("BYTES", ""));
        let server = Server::start(bundle, &repository, flags);
        let mut target =
            Self { grpc: Grpc::connect(&server).await, memory: 0, server, _repository: repository };
        target.answers().await;
        target.memory = target.server.peak_memory();
        target
    }

    /// The server still answers, rightly, on a connection of before and on a new one.
    async fn answers(&mut self) {
        let x = [1.0, 2.0];
        let response = self.grpc.prediction.predict(fp32_predict("tagged", None, &[1, 2], &x)).await.unwrap();
        assert_eq!(Reply::of_predict(response.get_ref()).x, x);
        let answer = self.server.http().post("/v1/models/tagged:predict", r#"{"inputs": [[1, 2]]}"#).await;
        assert_eq!(answer.json(), json!({ "outputs": { "x": [[1.0, 2.0]], "version": [1] } }));
    }

    /// The server survived, and did not grow beyond the bound at any moment.
    async fn survived(mut self) {
        self.answers().await;
        let (before, peak) = (self.memory, self.server.peak_memory());
        println!("peak memory: {} MiB before, {} MiB after", before >> 20, peak >> 20);
        assert!(peak < before + GROWTH, "{before} bytes became {peak}");
    }

    /// The code that a call answers these bytes with, which are its message, framed.
    async fn code(&self, call: &str, message: &[u8]) -> Option<Code> {
        self.server.http().call(call, &[], framed(message)).await.unwrap().grpc_code()
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

/// A field of length-delimited content.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(content.len() + 12);
    prost::encoding::bytes::encode(number, &content.to_vec(), &mut buffer);
    buffer
}

/// Numbers that are not random, and look it.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

#[tokio::test]
async fn grpc_frames_that_are_cut_off_or_lie_about_their_length_are_refused() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let http = target.server.http();
    let good = framed(&fp32_predict("tagged", None, &[1, 2], &[1.0, 2.0]).encode_to_vec());
    for end in 0..good.len() {
        let answer = http.call(PREDICT, &[], good.slice(..end)).await.unwrap();
        assert!(is_refused(&answer), "cut at {end}: {answer:?}");
    }
    for length in [u32::MAX, 1 << 31, good.len() as u32, 3] {
        let mut lie = BytesMut::from(&good[..]);
        lie[1..5].copy_from_slice(&length.to_be_bytes());
        let answer = http.call(PREDICT, &[], lie.freeze()).await.unwrap();
        assert!(is_refused(&answer), "length {length}: {answer:?}");
    }
    // Compressed, it says, by nothing it names; two messages where one is due; no gRPC at all.
    let mut compressed = BytesMut::from(&good[..]);
    compressed[0] = 1;
    let mut unknown = BytesMut::from(&good[..]);
    unknown[0] = 7;
    let twice = [&good[..], &good[..]].concat().into();
    for body in [compressed.freeze(), unknown.freeze(), twice, Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n")]
    {
        let answer = http.call(PREDICT, &[], body.clone()).await.unwrap();
        assert!(is_refused(&answer), "{body:?}: {answer:?}");
    }
    target.survived().await;
}

/// Whether an answer to a gRPC call is an error.
fn is_refused(answer: &Answer) -> bool {
    answer.grpc_code().is_some_and(|code| code != Code::Ok)
}

#[tokio::test]
async fn generated_bytes_never_bring_a_call_down() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let mut noise = Noise(0x5a17e5);
    for round in 0..300 {
        let call = CALLS[round % CALLS.len()];
        let count = noise.below(300);
        let message = noise.bytes(count);
        // Noise may well be a message with unknown fields alone; what counts is that there is an answer.
        assert!(target.code(call, &message).await.is_some(), "{call}: {message:?}");
    }
    // Messages that are right but for one byte.
    let good = fp32_infer("tagged", "", &[1, 2], &[1.0, 2.0]).encode_to_vec();
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1 << noise.below(8);
        assert!(target.code(INFER, &bad).await.is_some(), "{position}: {bad:?}");
    }
    target.survived().await;
}

#[tokio::test]
async fn shapes_that_no_memory_holds_are_refused_on_every_interface() {
    let Some(bundle) = Bundle::from_env() else { return };
    let mut target = Target::start(&bundle).await;
    let http = target.server.http();
    let shapes: [&[i64]; 7] = [
        &[i64::MAX, 2],
        &[i64::MAX, i64::MAX],
        &[1 << 32, 1 << 32],
        &[i64::MIN, 2],
        &[-1, 2],
        &[1 << 40, 2],
        &[0, i64::MAX, i64::MAX],
    ];
    for shape in shapes {
        let status =
            target.grpc.prediction.predict(fp32_predict("tagged", None, shape, &[1.0])).await.unwrap_err();
        assert!(is_client_s_fault(status.code()), "{shape:?}: {status}");
        let status =
            target.grpc.inference.model_infer(fp32_infer("tagged", "", shape, &[1.0])).await.unwrap_err();
        assert!(is_client_s_fault(status.code()), "{shape:?}: {status}");
        let input = json!({ "name": "x", "datatype": "FP32", "shape": shape, "data": [1.0] });
        let answer = http.post("/v2/models/tagged/infer", json!({ "inputs": [input] }).to_string()).await;
        assert_eq!(answer.status, 400, "{shape:?}: {}", answer.text());
    }
    // One number stands for as many as the shape says: a message of 40 bytes must not become gigabytes.
    for rows in [1 << 28, 1 << 33, 1 << 61] {
        let mut request = fp32_predict("tagged", None, &[rows, 2], &[]);
        let tensor = request.inputs[0].value.get_or_insert_with(TensorProto::default);
        tensor.float_val = vec![1.0];
        let status = target.grpc.prediction.predict(request).await.unwrap_err();
        assert!(is_client_s_fault(status.code()), "{rows} rows: {status}");
    }
    // A shape of a hundred thousand dimensions.
    let status = target.grpc.inference.model_infer(fp32_infer("tagged", "", &vec![1; 100_000], &[1.0])).await;
    assert!(is_client_s_fault(status.unwrap_err().code()));
    let body = r#"{"inputs": [{"name": "x", "datatype": "FP32", "data": [1],
        "shape": [9223372036854775808, 18446744073709551616, 1e400]}]}"#;
    let answer = http.post("/v2/models/tagged/infer", body).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    target.survived().await;
}

fn is_client_s_fault(code: Code) -> bool {
    matches!(code, Code::InvalidArgument | Code::ResourceExhausted | Code::OutOfRange)
}

#[tokio::test]
async fn tensors_that_are_shorter_or_longer_than_their_shapes_are_refused() {
    let Some(bundle) = Bundle::from_env() else { return };
    let mut target = Target::start(&bundle).await;
    for count in [0, 1, 3, 5, 1000] {
        let values = vec![1.0; count];
        let status =
            target.grpc.inference.model_infer(fp32_infer("tagged", "", &[2, 2], &values)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{count} values: {status}");
        if count > 0 {
            let predict = fp32_predict("tagged", None, &[2, 2], &values);
            let status = target.grpc.prediction.predict(predict).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{count} values: {status}");
        }
        let input = json!({ "name": "x", "datatype": "FP32", "shape": [2, 2], "data": values });
        let answer = target
            .server
            .http()
            .post("/v2/models/tagged/infer", json!({ "inputs": [input] }).to_string())
            .await;
        assert_eq!(answer.status, 400, "{count} values: {}", answer.text());
    }
    // Strings whose lengths do not add up.
    for contents in [&[][..], &[1], &[5, 0, 0, 0, b'a'], &[255, 255, 255, 255], &[0, 0, 0, 0, 0]] {
        let mut request = fp32_infer("texts", "", &[1], &[]);
        request.inputs[0].datatype = "BYTES".to_owned();
        request.raw_input_contents = vec![Bytes::copy_from_slice(contents)];
        let status = target.grpc.inference.model_infer(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{contents:?}: {status}");
    }
    target.survived().await;
}

#[tokio::test]
async fn names_of_100_mb_are_refused_and_not_repeated() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let http = target.server.http();
    let huge = "x".repeat(100 << 20);
    let predict = fp32_predict(&huge, None, &[1, 2], &[1.0, 2.0]).encode_to_vec();
    assert_eq!(target.code(PREDICT, &predict).await, Some(Code::ResourceExhausted));
    let answer = http.send(Method::POST, "/v2/models/tagged/infer", &[], huge.into()).await;
    // A server that has read enough may close the connection while the client still writes.
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 413));

    // Below the limit, names are looked up, and cut in messages.
    let long = "y".repeat(LIMIT - 1000);
    let status = target
        .grpc
        .clone()
        .prediction
        .predict(fp32_predict(&long, None, &[1, 2], &[1.0, 2.0]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().len() < 2000, "{} bytes", status.message().len());
    let mut infer = fp32_infer("tagged", "", &[1, 2], &[1.0, 2.0]);
    infer.inputs[0].name = long.clone();
    let status = target.grpc.clone().inference.model_infer(infer).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().len() < 2000, "{} bytes", status.message().len());
    let input = json!({ "name": long, "datatype": "FP32", "shape": [1, 2], "data": [1, 2] });
    let answer = http.post("/v2/models/tagged/infer", json!({ "inputs": [input] }).to_string()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.len() < 2000, "{} bytes", answer.body.len());
    target.survived().await;
}

#[tokio::test]
async fn messages_that_grow_when_they_are_decoded_are_refused_before_that() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    // A million empty submessages: 2 bytes each on the wire, and hundreds in memory.
    let many = |number: u32| field(number, &[]).repeat((LIMIT - 100) / 2);
    for (call, message) in
        [(PREDICT, many(2)), (PREDICT, many(3)), (INFER, many(5)), (INFER, many(6)), (INFER, many(7))]
    {
        let code = target.code(call, &message).await;
        assert!(code.is_some_and(is_client_s_fault), "{call}: {code:?}");
    }
    // One tensor with a dimension list as long.
    let shape = field(2, &many(2));
    let entry = [field(1, b"x"), field(2, &field(2, &shape))].concat();
    let message = [field(1, &field(1, b"tagged")), field(2, &entry)].concat();
    let code = target.code(PREDICT, &message[..message.len().min(LIMIT)]).await;
    assert!(code.is_some_and(is_client_s_fault), "{code:?}");
    target.survived().await;
}

#[tokio::test]
async fn json_bombs_are_refused() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let http = target.server.http();
    let deep = |open: &str, close: &str, depth: usize| open.repeat(depth) + &close.repeat(depth);
    let (predict, infer) = ("/v1/models/numbers:predict", "/v2/models/numbers/infer");
    let many_keys: String = (0..200_000).map(|key| format!("\"{key}\":1,")).collect();
    let bodies = [
        deep("[", "]", 1_000_000),
        deep("{\"a\":", "}", 300_000),
        format!("{{\"instances\": {}}}", deep("[", "]", 1_000_000)),
        format!("{{\"instances\": {}", "[".repeat(1_000_000)),
        format!(
            "{{\"inputs\": [{{\"name\": \"x\", \"datatype\": \"INT64\", \"shape\": [1], \"data\": {}}}]}}",
            deep("[", "]", 500_000)
        ),
        format!("{{\"inputs\": [{}]}}", "{},".repeat(1_000_000)),
        format!("{{\"inputs\": [{{}}{}]}}", ",{}".repeat(1_000_000)),
        format!("{{{many_keys}\"inputs\": 1.5}}"),
        format!("{{\"instances\": [{}]}}", "1".repeat(LIMIT - 1000)),
        format!("{{\"instances\": [{}]}}", "\"\\ud800\","),
        format!("{{\"instances\": [{}]}}", "1e999999999"),
        "{\"instances\": [1, 2".to_owned(),
        "{\"instances\": [NaN]}".to_owned(),
        "\u{0}".to_owned(),
        String::new(),
    ];
    for body in &bodies {
        for path in [predict, infer] {
            let answer = http.post(path, body.clone()).await;
            let head: String = body.chars().take(60).collect();
            assert!(
                [400, 413].contains(&answer.status.as_u16()),
                "{path} {head}: {} {}",
                answer.status,
                answer.text()
            );
            assert!(
                !answer.error().is_empty() && answer.body.len() < 4000,
                "{path} {head}: {} bytes",
                answer.body.len()
            );
        }
    }
    target.survived().await;
}

#[tokio::test]
async fn a_body_that_grows_when_it_is_decompressed_is_cut_off_at_the_limit() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let http = target.server.http();
    // A gigabyte of spaces, by way of a thousand gzip members of a megabyte.
    let bomb: Bytes = gzipped(&vec![b' '; 1 << 20]).repeat(1024).into();
    assert!(bomb.len() < LIMIT, "{} bytes", bomb.len());
    for path in ["/v1/models/numbers:predict", "/v2/models/numbers/infer"] {
        let headers = [("content-encoding", "gzip"), ("content-type", "application/json")];
        let answer = http.send(Method::POST, path, &headers, bomb.clone()).await.unwrap();
        assert!([400, 413].contains(&answer.status.as_u16()), "{path}: {} {}", answer.status, answer.text());
        let torn = bomb.slice(..bomb.len() / 2 + 7);
        let answer = http.send(Method::POST, path, &headers, torn).await.unwrap();
        assert!([400, 413].contains(&answer.status.as_u16()), "{path}: {} {}", answer.status, answer.text());
    }
    // The same as a gRPC message.
    let mut frame = BytesMut::new();
    frame.put_u8(1);
    frame.put_u32(u32::try_from(bomb.len()).unwrap());
    frame.put_slice(&bomb);
    let answer = http.call(PREDICT, &[("grpc-encoding", "gzip")], frame.freeze()).await.unwrap();
    assert!(is_refused(&answer), "{answer:?}");
    target.survived().await;
}

fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn binary_bodies_that_lie_about_their_parts_are_refused() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let http = target.server.http();
    let head = |size: &str| {
        format!(
            r#"{{"inputs":[{{"name":"x","datatype":"INT64","shape":[2],"parameters":{{"binary_data_size":{size}}}}}]}}"#
        )
    };
    let right = head("16");
    let length = right.len().to_string();
    for (text, header, binary) in [
        (&right, length.as_str(), 15),
        (&right, length.as_str(), 17),
        (&right, length.as_str(), 0),
        (&right, "0", 16),
        (&right, "1", 16),
        (&right, "-1", 16),
        (&right, "99999", 16),
        (&right, "9223372036854775808", 16),
        (&right, "", 16),
        (&right, "10, 20", 16),
        (&head("18446744073709551615"), "0", 16),
    ] {
        let body: Bytes = [text.as_bytes(), &vec![0; binary]].concat().into();
        let headers = [("inference-header-content-length", header)];
        let answer = http.send(Method::POST, "/v2/models/numbers/infer", &headers, body).await.unwrap();
        assert_eq!(answer.status, 400, "header {header}, {binary} bytes: {}", answer.text());
    }
    for size in ["18446744073709551615", "-16", "1e3", "\"16\"", "15", "17", "9223372036854775807"] {
        let text = head(size);
        let body: Bytes = [text.as_bytes(), &[0; 16]].concat().into();
        let length = text.len().to_string();
        let headers = [("inference-header-content-length", length.as_str())];
        let answer = http.send(Method::POST, "/v2/models/numbers/infer", &headers, body).await.unwrap();
        assert_eq!(answer.status, 400, "size {size}: {}", answer.text());
    }
    target.survived().await;
}

#[tokio::test]
async fn sockets_that_send_garbage_get_an_answer_or_are_closed() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let mut noise = Noise(0x50c4e7);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let huge_head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "h".repeat(1 << 20));
    let many_heads = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    let mut attacks: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"POST /v1/models/tagged:predict HTTP/1.1\r\ncontent-length: -1\r\n\r\n".to_vec(),
        b"POST /v1/models/tagged:predict HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n".to_vec(),
        b"POST /v1/models/tagged:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"inst".to_vec(),
        b"POST /v1/models/tagged:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}".to_vec(),
        b"POST /v1/models/tagged:predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec(),
        b"POST /v1/models/tagged:predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        huge_head.into_bytes(),
        many_heads.into_bytes(),
        preface.clone(),
        preface[..10].to_vec(),
        // A frame of 16 MB, a ping of the wrong size, a reset of a stream that never was, a settings flood.
        [&preface[..], &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat(),
        [&preface[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0], &[0, 0, 1, 6, 0, 0, 0, 0, 0, 0]].concat(),
        [&preface[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0], &[0, 0, 4, 3, 0, 0, 0, 0, 9, 0, 0, 0, 8]].concat(),
        [&preface[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0].repeat(20_000)].concat(),
    ];
    for _ in 0..50 {
        let count = noise.below(2000);
        attacks.push(noise.bytes(count));
        attacks.push([&preface[..], &noise.bytes(count)].concat());
    }
    for attack in attacks {
        let mut socket = TcpStream::connect(target.server.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        // The server may have closed the connection before it had it all.
        let _ = socket.write_all(&attack).and_then(|()| socket.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        let end = socket.take(1 << 20).read_to_end(&mut answer);
        let is_over =
            end.is_ok() || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(is_over, "{} bytes, beginning {:?}", attack.len(), attack.get(..40));
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&answer));
    }
    target.survived().await;
}

#[tokio::test]
async fn clients_that_promise_much_and_send_nothing_hold_no_memory_and_nobody_up() {
    let Some(bundle) = Bundle::from_env() else { return };
    let mut target = Target::start(&bundle).await;
    let address = target.server.address();
    let head = format!(
        "POST /v2/models/numbers/infer HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{{\"inputs\"",
        LIMIT - 1
    );
    let waiting: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut socket = TcpStream::connect(address).unwrap();
            socket.write_all(head.as_bytes()).unwrap();
            socket
        })
        .collect();
    target.answers().await;
    drop(waiting);
    target.survived().await;
}

#[tokio::test]
async fn bodies_that_take_more_together_than_they_may_are_refused_until_there_is_room() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start_with(&bundle, &[FLAGS[0], "--max-inflight-bytes=32MiB"]).await;
    let address = target.server.address();
    // Each of these stops one byte short of its end: 11 fill the 32 MiB that all may take.
    let length = 3 << 20;
    let head = format!(
        "POST /v2/models/numbers/infer HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n\r\n"
    );
    let body = vec![b' '; length - 1];
    let mut held = Vec::new();
    let mut refused = None;
    for _ in 0..64 {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(&body));
        // The server has read all there is to read when it answers another request on another connection: not for
        // certain, which is why there are more attempts than room.
        let answer = target
            .server
            .http()
            .send(Method::POST, "/v2/models/numbers/infer", &[], vec![b' '; length].into())
            .await;
        if let Ok(answer) = answer
            && answer.status == 503
        {
            refused = Some(answer);
            break;
        }
        held.push(socket);
    }
    let refused = refused.expect("32 MiB of bodies and no refusal");
    assert!(refused.error().contains("max-inflight-bytes"), "{}", refused.text());
    drop(held);
    // Once those clients are gone there is room again. When the server notices is up to the operating system.
    let mut last = None;
    for _ in 0..10_000 {
        let answer = target.server.http().post("/v1/models/tagged:predict", r#"{"inputs": [[1, 2]]}"#).await;
        let status = answer.status;
        last = Some(answer);
        if status == 200 {
            break;
        }
    }
    assert_eq!(last.map(|answer| answer.status.as_u16()), Some(200));
    target.survived().await;
}
