//! Models on a web server that is slow, and whose connections break.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use salver_tests::{Bundle, PATIENCE, Server, TAGGED};
use serde_json::Value;

/// So large that half of it is more than what sockets hold back.
const PADDING: usize = 4 << 20;

/// A web server of one model, `far`, whose one file stops half-way the first time it is asked for, until it is told to
/// go on: then the connection breaks.
struct Web {
    address: SocketAddr,
    break_it: Sender<()>,
    /// The ranges that were asked for, of requests for the file.
    asked: Arc<Mutex<Vec<Option<String>>>>,
}

impl Web {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (break_it, wait) = channel();
        let wait = Arc::new(Mutex::new(Some(wait)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (wait, known) = (Arc::clone(&wait), Arc::clone(&known));
                thread::spawn(move || answer(&stream.unwrap(), &wait, &known));
            }
        });
        Self { address, break_it, asked }
    }
}

fn file() -> Vec<u8> {
    [TAGGED.as_bytes(), b"\n#", &vec![b'x'; PADDING], b"\n"].concat()
}

/// Answers one request, and closes the connection.
fn answer(stream: &TcpStream, wait: &Mutex<Option<Receiver<()>>>, asked: &Mutex<Vec<Option<String>>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let range = headers.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("range").then(|| value.trim().to_owned())
    });
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let page = |link: &str| format!("<html><body><a href=\"{link}\">{link}</a></body></html>").into_bytes();
    let (body, is_file) = match path {
        "/" => (page("far/"), false),
        "/far/" => (page("1/"), false),
        "/far/1/" => (page("echo.toml"), false),
        "/far/1/echo.toml" => (file(), true),
        _ => return send(stream, "404 Not Found", "", b"", true),
    };
    if method != "GET" && method != "HEAD" {
        return send(stream, "501 Not Implemented", "", b"", true);
    }
    if !is_file {
        return send(stream, "200 OK", "Content-Type: text/html\r\n", &body, method == "GET");
    }
    let tags = "ETag: \"one\"\r\nLast-Modified: Tue, 01 Jan 2019 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n";
    if method == "HEAD" {
        return send(stream, "200 OK", tags, &body, false);
    }
    asked.lock().unwrap().push(range.clone());
    let first_time = wait.lock().unwrap().take();
    if let Some(wait) = first_time {
        let head = format!("HTTP/1.1 200 OK\r\n{tags}Content-Length: {}\r\n\r\n", body.len());
        let mut stream = stream;
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body[..body.len() / 2]).unwrap();
        // Breaks off when it is told to, or when the test is over.
        let _ = wait.recv();
        return;
    }
    let from: usize = match &range {
        Some(range) => range.trim_start_matches("bytes=").split('-').next().unwrap().parse().unwrap(),
        None => 0,
    };
    let (total, last) = (body.len(), body.len() - 1);
    let tags = format!("{tags}Content-Range: bytes {from}-{last}/{total}\r\n");
    let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
    send(stream, status, &tags, &body[from..], true);
}

fn send(mut stream: &TcpStream, status: &str, headers: &str, body: &[u8], with_body: bool) {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // The client may be gone.
    let sent = stream.write_all(head.as_bytes());
    if sent.is_ok() && with_body {
        let _ = stream.write_all(body);
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read(&mut [0; 1]);
}

#[tokio::test]
async fn a_download_shows_its_progress_and_goes_on_where_the_connection_broke() {
    let Some(bundle) = Bundle::from_env() else { return };
    let (web, downloads) = (Web::start(), tempfile::tempdir().unwrap());
    let server = Server::launch_with(&bundle, &[], |command| {
        command.arg(format!("--model-repository=http://{}/", web.address));
        command.arg("--download-dir").arg(downloads.path());
    });
    let http = server.http();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = http.get("/v1/models").await.json();
        let load = &list["models"][0]["model_version_status"][0]["load"];
        let total = file().len() as u64;
        if load["phase"] == "fetch" && load["done_bytes"].as_u64() > Some(0) {
            assert_eq!(load["total_bytes"], total);
            assert!(load["done_bytes"].as_u64() < Some(total), "{list}");
            break;
        }
        assert!(Instant::now() < deadline, "{list}");
        tokio::task::yield_now().await;
    }
    assert_ne!(http.get("/v2/health/ready").await.status, 200);
    web.break_it.send(()).unwrap();
    server.wait_until_available(0, "far", 1);
    let answer = http.post("/v1/models/far:predict", r#"{"instances": [[1, 2]]}"#).await;
    assert_eq!(answer.json().pointer("/predictions/0/version").and_then(Value::as_i64), Some(1));
    let list = http.get("/v1/models").await.json();
    let load = &list["models"][0]["model_version_status"][0]["load"];
    assert!(
        load["fetch_seconds"].as_f64() > Some(0.0) && load["load_seconds"].as_f64() > Some(0.0),
        "{list}"
    );
    let asked = web.asked.lock().unwrap().clone();
    assert!(asked.len() == 2 && asked[1].is_some(), "the rest was asked for, and nothing twice: {asked:?}");
}
