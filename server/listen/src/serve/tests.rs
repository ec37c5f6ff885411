use super::*;

use axum::body::Bytes;
use axum::routing::post;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode};
use salver_server_http::Account;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

/// A server of an app that is told when a request is under way, and lets it go on when told.
struct Fixture {
    address: std::net::SocketAddr,
    under_way: Arc<Notify>,
    go_on: Arc<Notify>,
    budget: Budget,
    stop: oneshot::Sender<()>,
    outcome: tokio::task::JoinHandle<Outcome>,
}

async fn start(budget: usize, drain_timeout: Duration) -> Fixture {
    let (under_way, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&under_way), Arc::clone(&go_on));
    let slow = move |body: Bytes| async move {
        tell.notify_one();
        wait.notified().await;
        body
    };
    let app = Router::new().route("/slow", post(slow)).route("/echo", post(|body: Bytes| async { body }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let budget = Budget::new(budget);
    let options = Options { max_connections: 16, budget: budget.clone(), drain_timeout };
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        let _ = stopped.await;
    };
    let outcome = tokio::spawn(serve(vec![listener.into()], app, options, stopped));
    Fixture { address, under_way, go_on, budget, stop, outcome }
}

/// Where `app` is served until the test ends.
async fn serving(app: Router, budget: Budget) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = Options { max_connections: 16, budget, drain_timeout: Duration::ZERO };
    tokio::spawn(serve(vec![listener.into()], app, options, std::future::pending()));
    address
}

async fn send(address: std::net::SocketAddr, path: &str, body: &'static [u8]) -> Response<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request =
        Request::post(path).header("host", "test").body(Full::new(Bytes::from_static(body))).unwrap();
    let (head, body) = client.send_request(request).await.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_request_under_way_is_finished_after_the_signal_to_stop_and_new_connections_are_refused() {
    let server = start(1 << 20, Duration::from_secs(60)).await;
    let request = tokio::spawn(send(server.address, "/slow", b"kept"));
    server.under_way.notified().await;
    server.stop.send(()).unwrap();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.go_on.notify_one();
    assert_eq!(request.await.unwrap().body(), "kept");
    assert_eq!(server.outcome.await.unwrap(), Outcome::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_under_way_does_not_hold_the_end_up() {
    let server = start(1 << 20, Duration::from_secs(60)).await;
    let mut half_a_head = TcpStream::connect(server.address).await.unwrap();
    half_a_head.write_all(b"POST /slow HTTP/1.1\r\nhost:").await.unwrap();
    server.stop.send(()).unwrap();
    assert_eq!(server.outcome.await.unwrap(), Outcome::Drained);
}

#[tokio::test]
async fn a_request_that_does_not_finish_in_time_is_cut() {
    let server = start(1 << 20, Duration::ZERO).await;
    let _request = tokio::spawn(send(server.address, "/slow", b"lost"));
    server.under_way.notified().await;
    server.stop.send(()).unwrap();
    assert_eq!(server.outcome.await.unwrap(), Outcome::Cut);
}

#[tokio::test]
async fn a_body_is_counted_until_it_is_answered_and_what_exceeds_the_budget_is_refused() {
    let server = start(100, Duration::ZERO).await;
    let request = tokio::spawn(send(server.address, "/slow", &[7; 80]));
    server.under_way.notified().await;
    assert_eq!(server.budget.taken(), 80);
    let refused = send(server.address, "/echo", &[7; 21]).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        refused.body().starts_with(b"{\"error\":\"requests under way take 80 bytes of 100"),
        "{refused:?}"
    );
    assert_eq!(send(server.address, "/echo", &[7; 20]).await.status(), StatusCode::OK);
    server.go_on.notify_one();
    request.await.unwrap();
}

#[tokio::test]
async fn what_a_request_takes_beyond_its_body_counts_too_until_it_is_answered() {
    let taking = |request: axum::extract::Request| async move {
        let account = Account::of(request.extensions());
        format!("{:?} {:?}", account.take(60).is_ok(), account.take(60).map_err(|status| status.code()))
    };
    let budget = Budget::new(100);
    let address = serving(Router::new().route("/take", post(taking)), budget.clone()).await;
    let answer = send(address, "/take", b"").await;
    assert_eq!(answer.body(), "true Err(Unavailable)");
    while budget.taken() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_larger_than_the_whole_budget_is_left_to_the_limit_for_one_body() {
    let address = serving(Router::new().route("/large", post(async || "answered")), Budget::new(100)).await;
    assert_eq!(send(address, "/large", &[7; 101]).await.body(), "answered");
}
