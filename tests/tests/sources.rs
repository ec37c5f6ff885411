//! A source from a plugin says what is served, as links do: they appear, are made to lead elsewhere, and are taken away.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use salver_tests::{Bundle, Grpc, Http, PATIENCE, Reply, Repository, Server, TAGGED, fp32_predict, root};
use serde_json::json;

/// The plugin with the source, built from this workspace, in a directory of plugins.
fn plugin_dir() -> tempfile::TempDir {
    let package = "salver-plugins-examples-symlinks";
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--message-format=json", "--package", package])
        .current_dir(root())
        .output()
        .unwrap();
    let messages = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let is_library = |text: &&str| text.ends_with("libsalver_symlinks.so") && !text.contains("/deps/");
    let library = messages.split('"').rfind(is_library).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(library, folder.path().join("libsalver_symlinks.so")).unwrap();
    folder
}

/// Versions of models, and a folder of links to them.
struct Shelf {
    versions: Repository,
    links: tempfile::TempDir,
    plugins: tempfile::TempDir,
}

impl Shelf {
    /// Versions 1 and 2 of a tagged model.
    fn new() -> Self {
        let versions = Repository::new();
        versions.add_echo("any", 1, TAGGED);
        versions.add_echo("any", 2, TAGGED);
        Self { versions, links: tempfile::tempdir().unwrap(), plugins: plugin_dir() }
    }

    /// Makes a link lead to this version, in one step.
    fn link(&self, name: &str, version: i64) {
        self.link_to(name, &self.versions.version("any", version));
    }

    fn link_to(&self, name: &str, folder: &Path) {
        let hidden = self.links.path().join(".new");
        symlink(folder, &hidden).unwrap();
        fs::rename(hidden, self.links.path().join(name)).unwrap();
    }

    fn unlink(&self, name: &str) {
        fs::remove_file(self.links.path().join(name)).unwrap();
    }

    /// What `--source` is given.
    fn source(&self) -> String {
        format!("symlinks:directory={},interval_ms=10", self.links.path().display())
    }

    /// A server with the bundle's plugins and this one, and these flags.
    fn serve(&self, bundle: &Bundle, flags: &[&str]) -> Server {
        Server::launch_with(bundle, flags, |command| {
            command.arg("--plugin-dir").arg(bundle.path().join("plugins"));
            command.arg("--plugin-dir").arg(self.plugins.path()).arg("--source").arg(self.source());
        })
    }

    /// Where a version is once links are followed.
    fn version(&self, version: i64) -> PathBuf {
        self.versions.version("any", version).canonicalize().unwrap()
    }
}

/// Which version answers.
async fn answering(grpc: &mut Grpc, model: &str) -> Result<i64, tonic::Code> {
    let answer = grpc.prediction.predict(fp32_predict(model, None, &[1, 2], &[1.0, 2.0])).await;
    let reply = Reply::of_predict(answer.map_err(|status| status.code())?.get_ref());
    Ok(reply.said.unwrap())
}

/// Asks until the server is done; returns how many asked and were answered.
async fn ask_until(is_over: &AtomicBool, mut grpc: Grpc) -> usize {
    let mut asked = 0;
    while !is_over.load(Ordering::Relaxed) {
        answering(&mut grpc, "m").await.unwrap();
        asked += 1;
    }
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_served_swapped_without_a_failed_request_and_unloaded() {
    let Some(bundle) = Bundle::from_env() else { return };
    let shelf = Shelf::new();
    let mut server = shelf.serve(&bundle, &[]);
    server.log().wait(0, "ready", &[]);
    let mut grpc = Grpc::connect(&server).await;
    assert_eq!(answering(&mut grpc, "m").await, Err(tonic::Code::NotFound));

    shelf.link("m", 1);
    server.wait_until_available(0, "m", 1);
    assert_eq!(answering(&mut grpc, "m").await, Ok(1));

    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (is_over, grpc) = (Arc::clone(&is_over), grpc.clone());
            tokio::spawn(async move { ask_until(&is_over, grpc).await })
        })
        .collect();
    for (old, new) in [(1, 2), (2, 1), (1, 2)] {
        let from = server.log().len();
        shelf.link("m", new);
        server.wait_until_available(from, "m", new);
        server.wait_until_unloaded(from, &shelf.version(old));
        assert_eq!(answering(&mut grpc, "m").await, Ok(new));
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.unwrap() > 0);
    }

    let from = server.log().len();
    shelf.unlink("m");
    server.wait_until_unloaded(from, &shelf.version(2));
    assert_eq!(answering(&mut grpc, "m").await, Err(tonic::Code::NotFound));
    assert!(server.stop().success());
}

#[tokio::test]
async fn a_source_that_errs_changes_nothing_and_its_models_tell_why() {
    let Some(bundle) = Bundle::from_env() else { return };
    let shelf = Shelf::new();
    shelf.link("m", 1);
    let server = shelf.serve(&bundle, &[]);
    server.log().wait(0, "ready", &[]);
    let mut grpc = Grpc::connect(&server).await;
    assert_eq!(answering(&mut grpc, "m").await, Ok(1), "what is there at start is waited for");
    let from = server.log().len();
    shelf.link_to("m", Path::new("/no/such/version/7"));
    server.log().wait(from, "the versions of a model cannot be told", &[("model", "m")]);
    assert_eq!(answering(&mut grpc, "m").await, Ok(1));
    let from = server.log().len();
    shelf.link("m", 2);
    server.wait_until_available(from, "m", 2);
}

#[tokio::test]
async fn who_names_a_model_first_keeps_it_until_it_has_none() {
    let Some(bundle) = Bundle::from_env() else { return };
    let shelf = Shelf::new();
    let repository = Repository::new();
    repository.add_echo("m", 5, TAGGED);
    let server = Server::launch_with(&bundle, &[], |command| {
        command.arg("--plugin-dir").arg(bundle.path().join("plugins"));
        command.arg("--plugin-dir").arg(shelf.plugins.path()).arg("--source").arg(shelf.source());
        command.arg("--model-repository").arg(repository.path());
    });
    server.wait_until_available(0, "m", 5);
    shelf.link("m", 1);
    let source = shelf.source();
    let wanted = [("model", "m"), ("source", source.as_str())];
    server.log().wait(0, "ignored: a model of its name is served from elsewhere", &wanted);
    let mut grpc = Grpc::connect(&server).await;
    assert_eq!(answering(&mut grpc, "m").await, Ok(5));

    let from = server.log().len();
    repository.remove("m", 5);
    server.wait_until_available(from, "m", 1);
    assert_eq!(answering(&mut grpc, "m").await, Ok(1));
}

#[tokio::test]
async fn what_a_model_says_of_itself_beside_its_versions_counts() {
    let Some(bundle) = Bundle::from_env() else { return };
    let shelf = Shelf::new();
    shelf.versions.settings("any", "[labels]\nstable = 1\n");
    shelf.link("m", 1);
    let server = shelf.serve(&bundle, &[]);
    server.wait_until_available(0, "m", 1);
    let http = server.http();
    let body = json!({ "instances": [{ "x": [1, 2] }] }).to_string();
    let answer = http.post("/v1/models/m/labels/stable:predict", body.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Settings that cannot be read change nothing, until they can be.
    let from = server.log().len();
    shelf.versions.settings("any", "labels = 7");
    server.log().wait(from, "the versions of a model cannot be told", &[("model", "m")]);
    shelf.versions.settings("any", "[labels]\nfresh = 1\n");
    until_answered(&http, "/v1/models/m/labels/fresh:predict", &body).await;
}

async fn until_answered(http: &Http, path: &str, body: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = http.post(path, body.to_owned()).await;
        if answer.status == 200 {
            return;
        }
        assert!(Instant::now() < deadline, "{}", answer.text());
    }
}

#[test]
fn a_source_that_is_not_there_or_cannot_be_made_is_told_at_start() {
    let Some(bundle) = Bundle::from_env() else { return };
    let plugins = plugin_dir();
    for (source, wanted) in [
        ("shelf", "salver: source `shelf` is not installed; there are: symlinks"),
        ("symlinks", "salver: source `symlinks`: option `directory` is missing"),
        (
            "symlinks:directori=/",
            "salver: source `symlinks`: unknown option `directori`; there are: directory, interval_ms",
        ),
    ] {
        let mut command = Command::new(bundle.salver());
        command.args(["serve", "--host=127.0.0.1", "--port=0", "--log-level=off", "--source", source]);
        let output = command.arg("--plugin-dir").arg(plugins.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.trim()), (Some(1), wanted));
    }
}

#[test]
fn a_source_that_never_ends_does_not_keep_the_server_from_ending() {
    let Some(bundle) = Bundle::from_env() else { return };
    let plugins = tempfile::tempdir().unwrap();
    let made = Command::new("cc")
        .args(["-std=c11", "-O1", "-shared", "-fPIC", "-I"])
        .arg(root().join("plugins/c"))
        .arg("-o")
        .args([plugins.path().join("sources.so"), root().join("plugins/misbehaving/sources.c")])
        .status();
    assert!(made.unwrap().success());
    let mut server = Server::launch_with(&bundle, &["--drain-timeout=100ms"], |command| {
        command.arg("--plugin-dir").arg(plugins.path()).args(["--source", "wrong:say=none,hang=yes"]);
    });
    assert!(server.stop().success());
    assert!(server.log().text().contains("a source does not end"));
}
