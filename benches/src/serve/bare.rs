//! Servers that read each request to its end, decode it where the protocol has messages, and answer always the same.
//!
//! They are what tonic and axum can do at all, with the connection settings of the real server. Each is a child process
//! of this program.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use salver_proto::inference::grpc_inference_service_server::{
    GrpcInferenceService, GrpcInferenceServiceServer,
};
use salver_proto::inference::{
    ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest,
    ModelReadyResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse,
    ServerReadyRequest, ServerReadyResponse,
};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

use crate::client::{Answer, HEAD_LENGTH, Transport};
use crate::messages;
use crate::process::Server;

/// What makes this program a bare server: `--child grpc|rest ANSWER HEAD_BYTES`.
pub(crate) const CHILD_FLAG: &str = "--child";

/// The settings of `salver-server-listen`.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
const MAX_FRAME: u32 = 1 << 20;
const MAX_STREAMS: u32 = 1000;

/// Starts a bare server that answers `answer`.
pub(super) fn spawn(transport: Transport, answer: &Answer) -> anyhow::Result<Server> {
    let file = NamedTempFile::new().context("making a file for the answer")?;
    std::fs::write(file.path(), &answer.body)?;
    let mut child = Command::new(std::env::current_exe().context("looking for this program")?);
    child.arg(CHILD_FLAG).arg(transport.to_string()).arg(file.path());
    child.arg(answer.head_bytes.unwrap_or_default().to_string());
    // It has read the file when it says where it listens.
    Server::spawn(child)
}

/// Is a bare server, until it is killed.
pub(crate) fn child(arguments: &[String]) -> anyhow::Result<()> {
    let [transport, answer, head_bytes] = arguments else {
        bail!("{CHILD_FLAG} grpc|rest ANSWER HEAD_BYTES")
    };
    let answer = Bytes::from(std::fs::read(answer).with_context(|| format!("reading {answer}"))?);
    // The runtime is as the real server's.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        match transport.as_str() {
            "grpc" => {
                let answer = messages::response(&answer)?;
                tell(address);
                grpc(listener, answer).await
            }
            "rest" => {
                tell(address);
                rest(listener, answer, head_bytes.clone()).await
            }
            other => bail!("there is no transport `{other}`"),
        }
    })
}

#[expect(clippy::print_stderr, reason = "the parent reads it there, as it does the real server's")]
fn tell(address: SocketAddr) {
    eprintln!("listening address={address}");
}

async fn rest(listener: TcpListener, answer: Bytes, head_bytes: String) -> anyhow::Result<()> {
    let handler = move |body: Bytes| async move {
        drop(body);
        ([(CONTENT_TYPE.as_str(), "application/octet-stream".to_owned()), (HEAD_LENGTH, head_bytes)], answer)
    };
    let app = Router::new().route("/v2/models/{model}/infer", post(handler));
    let listener = listener.tap_io(|stream| {
        // Where it cannot be set, answers are only slower.
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}

async fn grpc(listener: TcpListener, answer: ModelInferResponse) -> anyhow::Result<()> {
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_concurrent_streams(MAX_STREAMS)
        .add_service(GrpcInferenceServiceServer::new(Bare(answer)));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Ok(server.serve_with_incoming(incoming).await?)
}

struct Bare(ModelInferResponse);

type Reply<T> = Result<tonic::Response<T>, tonic::Status>;

fn nothing<T>() -> Reply<T> {
    Err(tonic::Status::unimplemented("this server only infers"))
}

#[tonic::async_trait]
impl GrpcInferenceService for Bare {
    async fn model_infer(&self, request: tonic::Request<ModelInferRequest>) -> Reply<ModelInferResponse> {
        drop(request);
        Ok(tonic::Response::new(self.0.clone()))
    }

    async fn server_live(&self, _: tonic::Request<ServerLiveRequest>) -> Reply<ServerLiveResponse> {
        nothing()
    }

    async fn server_ready(&self, _: tonic::Request<ServerReadyRequest>) -> Reply<ServerReadyResponse> {
        nothing()
    }

    async fn model_ready(&self, _: tonic::Request<ModelReadyRequest>) -> Reply<ModelReadyResponse> {
        nothing()
    }

    async fn server_metadata(
        &self,
        _: tonic::Request<ServerMetadataRequest>,
    ) -> Reply<ServerMetadataResponse> {
        nothing()
    }

    async fn model_metadata(&self, _: tonic::Request<ModelMetadataRequest>) -> Reply<ModelMetadataResponse> {
        nothing()
    }
}
