//! Servers in Python: moto, which answers as S3 does, and the standard library's own web server.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::Receiver;

use salver_core_loader::AspiredVersions;
use salver_core_status::Code;
use salver_manager_source_object_store::{Config, ModelUrl, RemoteVersion, StoreUrl};
use serde_json::{Value, json};

use crate::{PATIENCE, cache, eager, fetch, noise, versions, watch, weights};

/// The Python in `$SALVER_PYTHON`, which has what is in `tests/python/requirements.txt`.
#[expect(clippy::print_stderr, reason = "a test that does not run says why")]
fn python() -> Option<OsString> {
    let python = env::var_os("SALVER_PYTHON").filter(|value| !value.is_empty());
    if python.is_none() {
        let reason = "SALVER_PYTHON is not set; `cargo xtask test` sets it";
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{reason}");
        eprintln!("skipped: {reason}");
    }
    python
}

/// A process that is told what to do line by line, ended when dropped.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// S3 with the bucket `models`.
struct S3 {
    process: Process,
    endpoint: String,
}

impl S3 {
    fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/s3_server.py");
        let mut process = Process::start(Command::new(python()?).arg(script));
        let endpoint = process.line().trim().to_owned();
        assert!(endpoint.starts_with("http://127.0.0.1:"), "{endpoint}");
        Some(Self { process, endpoint })
    }

    fn ask(&mut self, command: &Value) {
        writeln!(self.process.input, "{command}").unwrap();
        assert_eq!(self.process.line(), "done\n");
    }

    fn put(&mut self, key: &str, bytes: &[u8]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object");
        fs::write(&path, bytes).unwrap();
        self.ask(&json!({ "put": key, "from": path }));
    }

    fn delete(&mut self, key: &str) {
        self.ask(&json!({ "delete": key }));
    }

    fn url(&self, url: &str) -> StoreUrl {
        let options = [
            ("aws_endpoint", self.endpoint.as_str()),
            ("aws_allow_http", "true"),
            ("aws_access_key_id", "id"),
            ("aws_secret_access_key", "secret"),
        ];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        StoreUrl { url: url.to_owned(), options }
    }
}

/// Waits until these versions of a stream are wanted.
fn wait_for(
    told: &Receiver<AspiredVersions<RemoteVersion>>,
    stream: &str,
    wanted: &[i64],
) -> Vec<RemoteVersion> {
    loop {
        let AspiredVersions { stream: of, versions } = told.recv_timeout(PATIENCE).unwrap();
        let Ok(versions) = versions else { continue };
        let numbers: Vec<_> = versions.iter().map(|one| one.version.number()).collect();
        if of.as_str() == stream && numbers == wanted {
            return versions.into_iter().map(|one| one.data.unwrap()).collect();
        }
    }
}

#[test]
fn a_repository_in_s3_is_watched_and_its_versions_are_brought_here() {
    let Some(mut s3) = S3::start() else { return };
    // More than a page of a listing has.
    let small: Vec<_> = (0..120).map(|number| format!("models/digits/1/assets/{number}")).collect();
    s3.ask(&json!({ "put_many": small }));
    s3.put("models/digits/1/weights", &noise(3_000_000));
    s3.put("models/digits/1/variables/a b+c%20d", b"odd");
    s3.put("models/digits/model.toml", b"");

    let config = Config { repositories: vec![s3.url("s3://models/models")], ..eager(vec![]) };
    let (_source, told) = watch(config);
    let version = wait_for(&told, "digits", &[1]).remove(0);
    assert_eq!((version.url(), version.num_objects()), ("s3://models/models/digits/1", 122));
    let (_folder, cache) = cache();
    let lease = fetch(&cache, &version).unwrap();
    assert_eq!(weights(&lease), noise(3_000_000));
    assert_eq!(fs::read(lease.path().join("variables/a b+c%20d")).unwrap(), b"odd");
    assert_eq!(fs::read_dir(lease.path().join("assets")).unwrap().count(), 120);

    // Uploaded in parts: its tag is no hash of anything.
    s3.ask(&json!({ "put_parts": "models/digits/2/weights", "parts": 2 }));
    let version = wait_for(&told, "digits", &[1, 2]).remove(1);
    assert_eq!(weights(&fetch(&cache, &version).unwrap()).len(), 2 * (5 << 20));

    s3.put("models/other/7/weights", b"7");
    wait_for(&told, "other", &[7]);
    s3.delete("models/other/7/weights");
    wait_for(&told, "other", &[]);
}

#[test]
fn an_object_that_is_stored_anew_is_another_version_of_it_and_the_old_one_is_not_served_for_it() {
    let Some(mut s3) = S3::start() else { return };
    s3.put("m/1/weights", b"old");
    let old = versions(ModelUrl::new("m", s3.url("s3://models/m"))).unwrap().remove(0);
    let again = versions(ModelUrl::new("m", s3.url("s3://models/m"))).unwrap().remove(0);
    assert_eq!(old, again);
    s3.put("m/1/weights", b"new");
    let new = versions(ModelUrl::new("m", s3.url("s3://models/m"))).unwrap().remove(0);
    assert_ne!(old, new);
    let (_folder, cache) = cache();
    // What was listed is not there any more, and is not pieced together either.
    assert_eq!(weights(&fetch(&cache, &old).unwrap()), b"new");
    assert_eq!(weights(&fetch(&cache, &new).unwrap()), b"new");
}

#[test]
fn a_bucket_or_a_prefix_that_is_not_there_is_not_found() {
    let Some(mut s3) = S3::start() else { return };
    s3.put("m/1/weights", b"x");
    for (url, said) in [("s3://missing/m", "NoSuchBucket"), ("s3://models/missing", "nothing is there")] {
        let status = versions(ModelUrl::new("m", s3.url(url))).unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{status}");
        assert!(status.message().contains(said) && status.message().contains(url), "{status}");
    }
}

#[test]
fn the_web_server_of_python_is_read_as_it_is() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("m & n/3/variables")).unwrap();
    fs::write(folder.path().join("m & n/3/weights"), noise(1_000_000)).unwrap();
    fs::write(folder.path().join("m & n/3/variables/<a> é"), "odd").unwrap();
    let mut command = Command::new(python);
    command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]).arg(folder.path());
    let mut server = Process::start(command.stderr(Stdio::null()));
    // `Serving HTTP on 127.0.0.1 port 12345 (http://127.0.0.1:12345/) ...`
    let line = server.line();
    let port = line.split_whitespace().skip_while(|word| *word != "port").nth(1).unwrap();

    let config = Config { repositories: vec![format!("http://127.0.0.1:{port}").into()], ..eager(vec![]) };
    let (_source, told) = watch(config);
    let version = wait_for(&told, "m & n", &[3]).remove(0);
    let (_folder, cache) = cache();
    let lease = fetch(&cache, &version).unwrap();
    assert_eq!(weights(&lease), noise(1_000_000));
    assert_eq!(fs::read_to_string(lease.path().join("variables/<a> é")).unwrap(), "odd");
}
