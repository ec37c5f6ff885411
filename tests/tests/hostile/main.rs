//! Hostile input: each is answered with an error or a closed connection, memory stays bounded, and the server lives.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod grpc;
mod rest;
mod sockets;
mod tensors;

use bytes::{BufMut as _, Bytes, BytesMut};
use salver_tests::{Answer, Bundle, Grpc, Reply, Repository, Server, TAGGED, echo_of, fp32_predict};
use serde_json::json;
use tonic::Code;

/// Requests may have 4 MiB here, so that a bound on memory means something.
const LIMIT: usize = 4 << 20;
const FLAGS: [&str; 1] = ["--max-request-bytes=4MiB"];

/// What the attacks of one test may make the server grow by: some requests at once, each decoded to eight times its
/// size at most, and what the allocator keeps.
const GROWTH: u64 = 64 << 20;

const PREDICT: &str = "/tensorflow.serving.PredictionService/Predict";
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
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

/// Whether an answer to a gRPC call is an error.
fn is_refused(answer: &Answer) -> bool {
    answer.grpc_code().is_some_and(|code| code != Code::Ok)
}

/// Whether a code says that the request was wrong.
fn is_client_s_fault(code: Code) -> bool {
    matches!(code, Code::InvalidArgument | Code::ResourceExhausted | Code::OutOfRange)
}
