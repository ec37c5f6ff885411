//! An HTTP client: HTTP/1.1 for REST, HTTP/2 for gRPC frames that no gRPC client would send.

#![expect(clippy::expect_used, reason = "this crate is there for tests alone")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A client of one server. Clones share connections.
#[derive(Clone, Debug)]
pub struct Http {
    address: SocketAddr,
    http1: Client<HttpConnector, Full<Bytes>>,
    http2: Client<HttpConnector, Full<Bytes>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The trailers; empty where there are none.
    pub trailers: HeaderMap,
}

impl Http {
    /// A client of the server at `address`.
    pub fn new(address: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(Duration::from_secs(60));
        let http1 = builder.build(connector.clone());
        let http2 = builder.http2_only(true).build(connector);
        Self { address, http1, http2 }
    }

    /// `GET path`.
    ///
    /// # Panics
    /// Where there is no answer.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Bytes::new()).await.expect("an answer")
    }

    /// `POST path` with a JSON body.
    ///
    /// # Panics
    /// Where there is no answer.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let json = [("content-type", "application/json")];
        self.send(Method::POST, path, &json, body.into()).await.expect("an answer")
    }

    /// Any request.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, hyper_util::client::legacy::Error> {
        Self::ask(&self.http1, self.request(method, path, headers, body)).await
    }

    /// A gRPC call with these bytes as its body: framed or not, true or not.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn call(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, hyper_util::client::legacy::Error> {
        let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
        let headers: Vec<_> = grpc.iter().chain(headers).copied().collect();
        Self::ask(&self.http2, self.request(Method::POST, path, &headers, body)).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(body)).expect("a request that can be written")
    }

    async fn ask(
        client: &Client<HttpConnector, Full<Bytes>>,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, hyper_util::client::legacy::Error> {
        let (head, body) = client.request(request).await?.into_parts();
        // A body that breaks off is an answer too: an empty one, which no assertion takes for a right one.
        let collected = body.collect().await.unwrap_or_default();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Ok(Answer { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers })
    }
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// What the answer says went wrong; empty where it does not say.
    pub fn error(&self) -> String {
        let document: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        document.get("error").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The gRPC status, from the trailers or, where there is nothing else, the headers.
    pub fn grpc_code(&self) -> Option<tonic::Code> {
        let status = self.trailers.get("grpc-status").or_else(|| self.headers.get("grpc-status"))?;
        Some(tonic::Code::from_bytes(status.as_bytes()))
    }
}
