//! A web server for tests, which keeps a log and misbehaves on command.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

/// What is served, how, and what was asked for.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// How many bytes of a body are sent before the connection is cut; none: all of them.
    pub(crate) cut_after: Option<usize>,
    /// Whether a cut is the last.
    pub(crate) cut_once: bool,
    /// Takes the place of a file when a connection is cut.
    pub(crate) change: Option<(String, Vec<u8>)>,
    /// The first byte of what is sent is another, as long as it is cut.
    pub(crate) damages: bool,
    pub(crate) no_ranges: bool,
    pub(crate) no_tags: bool,
    pub(crate) webdav: bool,
    /// What is said of the bytes, in place of the truth.
    pub(crate) digest: Option<String>,
    /// What every request is answered with.
    pub(crate) refuse: Option<u16>,
    pub(crate) log: Vec<Request>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) first_byte: usize,
    pub(crate) status: u16,
    /// Of the body.
    pub(crate) sent_bytes: usize,
}

/// The server, which runs until the process ends.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn start(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (connection, state) = (connection.unwrap(), Arc::clone(&shared));
                // Whoever hangs up early is no concern of the server's.
                thread::spawn(move || drop(answer(connection, &state)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What was sent of one file, request by request.
    pub(crate) fn gets(&self, path: &str) -> Vec<Request> {
        let state = self.state();
        state.log.iter().filter(|one| one.method == "GET" && one.path == path).cloned().collect()
    }
}

/// An answer before it is sent.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    first_byte: usize,
}

fn answer(mut connection: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut locked = state.lock().unwrap();
    let state = &mut *locked;
    let Answer { status, headers, mut body, first_byte } = state.answer(&method, &path, &headers);
    let mut head = format!("HTTP/1.1 {status} Said\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut sent_bytes = if method == "HEAD" { 0 } else { body.len() };
    let is_file = state.files.contains_key(path.trim_start_matches('/'));
    if let Some(most) = state.cut_after.filter(|most| is_file && *most < sent_bytes) {
        sent_bytes = most;
        if state.damages {
            body[0] ^= 0xff;
        }
        if state.cut_once {
            state.cut_after = None;
        }
        if let Some((path, bytes)) = state.change.take() {
            state.files.insert(path, bytes);
        }
    }
    state.log.push(Request { method, path, first_byte, status, sent_bytes });
    drop(locked);
    connection.write_all(head.as_bytes())?;
    connection.write_all(b"\r\n")?;
    connection.write_all(&body[..sent_bytes])
}

impl State {
    fn answer(&self, method: &str, path: &str, asked: &BTreeMap<String, String>) -> Answer {
        let plain = |status| Answer { status, headers: vec![], body: vec![], first_byte: 0 };
        if let Some(status) = self.refuse {
            return plain(status);
        }
        let path = path.trim_start_matches('/');
        if method == "PROPFIND" {
            return if self.webdav { self.properties(path, asked["depth"] == "1") } else { plain(501) };
        }
        let Some(bytes) = self.files.get(path) else { return self.page(path).unwrap_or_else(|| plain(404)) };
        let hash = Sha256::digest(bytes);
        let tag = format!("\"{}\"", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        if !self.no_tags && asked.get("if-match").is_some_and(|wanted| *wanted != tag) {
            return plain(412);
        }
        let first = |range: &String| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok();
        let range: Option<usize> = asked.get("range").filter(|_| !self.no_ranges).and_then(first);
        let first_byte = range.unwrap_or(0);
        let body = bytes[first_byte..].to_vec();
        let mut headers = vec![
            ("Content-Length", body.len().to_string()),
            ("Last-Modified", "Sun, 22 Nov 2026 20:00:00 GMT".to_owned()),
        ];
        if !self.no_tags {
            headers.push(("ETag", tag));
        }
        let digest = self.digest.clone().unwrap_or_else(|| BASE64.encode(hash));
        headers.push(("Repr-Digest", format!("sha-256=:{digest}:")));
        if range.is_some() {
            headers
                .push(("Content-Range", format!("bytes {first_byte}-{}/{}", bytes.len() - 1, bytes.len())));
        }
        Answer { status: if range.is_some() { 206 } else { 200 }, headers, body, first_byte }
    }

    /// What is right in a folder: names, those of folders with a slash.
    fn children(&self, folder: &str) -> Vec<String> {
        let below = self.files.keys().filter_map(|path| path.strip_prefix(folder));
        let mut names: Vec<_> = below
            .map(|rest| match rest.split_once('/') {
                Some((name, _)) => format!("{name}/"),
                None => rest.to_owned(),
            })
            .collect();
        names.dedup();
        names
    }

    /// A page as nginx makes it, of which nobody says how long it is.
    fn page(&self, folder: &str) -> Option<Answer> {
        let names = self.children(folder);
        if names.is_empty() || !(folder.is_empty() || folder.ends_with('/')) {
            return None;
        }
        let link = |name: &String| format!("<a href=\"{name}\">{name}</a>  22-Nov-2026 20:00  -\n");
        let links: String = names.iter().map(link).collect();
        let body =
            format!("<html><h1>Index of /{folder}</h1><pre><a href=\"../\">../</a>\n{links}</pre></html>");
        let headers = vec![("Content-Type", "text/html".to_owned())];
        Some(Answer { status: 200, headers, body: body.into_bytes(), first_byte: 0 })
    }

    fn properties(&self, folder: &str, with_children: bool) -> Answer {
        let folder = folder.trim_end_matches('/').to_owned() + "/";
        let names = self.children(&folder);
        if names.is_empty() {
            return Answer { status: 404, headers: vec![], body: vec![], first_byte: 0 };
        }
        let mut body = "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">".to_owned();
        let children = names.iter().filter(|_| with_children).map(|name| format!("{folder}{name}"));
        for path in std::iter::once(folder.clone()).chain(children) {
            let kind = if path.ends_with('/') { "<D:collection/>" } else { "" };
            let of_file = self.files.get(&path).map(|bytes| {
                let tag = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                let length = bytes.len();
                format!("<D:getcontentlength>{length}</D:getcontentlength><D:getetag>\"{tag}\"</D:getetag>")
            });
            body += &format!(
                "<D:response><D:href>/{path}</D:href><D:propstat><D:prop><D:resourcetype>{kind}</D:resourcetype>\
                 <D:getlastmodified>Sun, 22 Nov 2026 20:00:00 GMT</D:getlastmodified>{}</D:prop>\
                 <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>",
                of_file.unwrap_or_default()
            );
        }
        body += "</D:multistatus>";
        let headers = vec![("Content-Length", body.len().to_string())];
        Answer { status: 207, headers, body: body.into_bytes(), first_byte: 0 }
    }
}
