//! The least client that does: prepared requests over plain HTTP/1.1 or HTTP/2, one at a time on a connection.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::process::Server;

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Grpc,
    Http,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Transport::Grpc => "grpc",
            Transport::Http => "rest",
        })
    }
}

/// A request that is ready to be sent any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) transport: Transport,
    pub(crate) path: String,
    /// The length of the JSON before the tensors of a REST body.
    pub(crate) head_bytes: usize,
    pub(crate) body: Bytes,
}

/// What a request was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The length of the JSON before the tensors of a REST body, where there are tensors.
    pub(crate) head_bytes: Option<usize>,
    pub(crate) body: Bytes,
}

/// Says how long the JSON in front of the tensors is.
pub(crate) const HEAD_LENGTH: &str = "inference-header-content-length";

/// Asks until it is answered, from when the server's port is open.
pub(crate) async fn first_answer(
    server: &Server,
    request: &Request,
    patience: Duration,
) -> anyhow::Result<Answer> {
    const PAUSE: Duration = Duration::from_micros(500);
    loop {
        let asked = async { Connection::open(server.address, request).await?.ask().await };
        match asked.await {
            Ok(answer) => return Ok(answer),
            Err(error) if server.started.elapsed() > patience => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A connection that sends one request again and again.
pub(crate) enum Connection {
    Grpc { sender: SendRequest<Bytes>, request: http::Request<()>, body: Bytes, task: JoinHandle<()> },
    Http { stream: TcpStream, request: Vec<u8>, received: BytesMut },
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr, request: &Request) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let Request { transport, path, head_bytes, body } = request;
        match transport {
            Transport::Grpc => {
                let (sender, connection) = h2::client::handshake(stream).await.context("beginning HTTP/2")?;
                // Its errors reach the requests.
                let task = tokio::spawn(async move { drop(connection.await) });
                let request = http::Request::post(format!("http://{address}{path}"))
                    .header("content-type", "application/grpc")
                    .header("te", "trailers")
                    .body(())?;
                Ok(Self::Grpc { sender, request, body: body.clone(), task })
            }
            Transport::Http => {
                let mut request = format!(
                    "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/octet-stream\r\n\
                     {HEAD_LENGTH}: {head_bytes}\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                )
                .into_bytes();
                request.extend_from_slice(body);
                Ok(Self::Http { stream, request, received: BytesMut::with_capacity(8192) })
            }
        }
    }

    /// Sends the request and waits for the whole answer.
    pub(crate) async fn ask(&mut self) -> anyhow::Result<Answer> {
        match self {
            Self::Grpc { sender, request, body, .. } => ask_grpc(sender, request, body).await,
            Self::Http { stream, request, received } => ask_http(stream, request, received).await,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Self::Grpc { task, .. } = self {
            task.abort();
        }
    }
}

async fn ask_grpc(
    sender: &mut SendRequest<Bytes>,
    request: &http::Request<()>,
    body: &Bytes,
) -> anyhow::Result<Answer> {
    std::future::poll_fn(|context| sender.poll_ready(context)).await?;
    let (response, mut stream) = sender.send_request(request.clone(), false)?;
    stream.send_data(body.clone(), true)?;
    let response = response.await?;
    ensure!(response.status() == http::StatusCode::OK, "HTTP status {}", response.status());
    let (head, mut receiving) = response.into_parts();
    let mut received = Bytes::new();
    while let Some(data) = receiving.data().await {
        let data = data?;
        receiving.flow_control().release_capacity(data.len())?;
        received = if received.is_empty() { data } else { [received, data].concat().into() };
    }
    let trailers = receiving.trailers().await?.unwrap_or(head.headers);
    let text =
        |name: &str| trailers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match text("grpc-status").as_deref() {
        Some("0") => Ok(Answer { head_bytes: None, body: received }),
        status => bail!("gRPC status {status:?}: {}", text("grpc-message").unwrap_or_default()),
    }
}

async fn ask_http(stream: &mut TcpStream, request: &[u8], received: &mut BytesMut) -> anyhow::Result<Answer> {
    stream.write_all(request).await?;
    received.clear();
    let head_end = loop {
        read_more(stream, received).await?;
        if let Some(at) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = received.split_to(head_end);
    let head = std::str::from_utf8(&head).context("the head of an answer is no text")?;
    let number = |name: &str| head.lines().find_map(|line| value_of(line, name)?.parse::<usize>().ok());
    let length = number("content-length").context("an answer without a length")?;
    while received.len() < length {
        read_more(stream, received).await?;
    }
    let body = received.split_to(length).freeze();
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}{}", String::from_utf8_lossy(&body));
    Ok(Answer { head_bytes: number(HEAD_LENGTH), body })
}

async fn read_more(stream: &mut TcpStream, received: &mut BytesMut) -> anyhow::Result<()> {
    received.reserve(4096);
    ensure!(stream.read_buf(received).await? > 0, "the server closed the connection");
    Ok(())
}

/// The value of a header line, where it is of the header `name`.
fn value_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = line.split_once(':')?;
    found.eq_ignore_ascii_case(name).then(|| value.trim())
}
