//! A running server.

#![expect(clippy::expect_used, clippy::panic, reason = "this crate is there for tests alone")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Bundle, Http, Log, PATIENCE, Repository};

/// A server in a process of its own, ended when dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    log: Log,
    address: SocketAddr,
}

impl Server {
    /// Starts a server of all models in `repository`, and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become ready.
    pub fn start(bundle: &Bundle, repository: &Repository, flags: &[&str]) -> Self {
        let server = Self::launch(bundle, repository, flags);
        server.log.wait(0, "ready", &[]);
        server
    }

    /// Starts a server of all models in `repository`, and waits until it listens.
    ///
    /// # Panics
    /// Where it does not.
    pub fn launch(bundle: &Bundle, repository: &Repository, flags: &[&str]) -> Self {
        Self::launch_with(bundle, flags, |command| {
            command.arg("--model-repository").arg(repository.path());
        })
    }

    /// Starts a server with these flags and what else `more` sets, and waits until it listens.
    ///
    /// # Panics
    /// Where it does not.
    pub fn launch_with(bundle: &Bundle, flags: &[&str], more: impl FnOnce(&mut Command)) -> Self {
        let mut command = command(&bundle.salver());
        command.arg("serve");
        more(&mut command);
        Self::spawn(command, flags)
    }

    /// Starts a server by a command that ends with its program, with these flags, and waits until it listens.
    ///
    /// # Panics
    /// Where it does not.
    pub fn launch_by(mut command: Command, flags: &[&str]) -> Self {
        command.stdin(Stdio::null()).arg("serve");
        Self::spawn(command, flags)
    }

    fn spawn(mut command: Command, flags: &[&str]) -> Self {
        command.args([
            "--host=127.0.0.1",
            "--port=0",
            "--log-format=json",
            "--poll-interval=10ms",
            "--settle-time=10ms",
        ]);
        let mut process = command.args(flags).stderr(Stdio::piped()).spawn().expect("starting the server");
        let log = Log::follow(process.stderr.take().expect("it is piped"));
        let fields = log.wait(0, "listening for gRPC and REST", &[]);
        let address = fields.get("address").and_then(|address| address.as_str()).expect("an address");
        Self { process, log, address: address.parse().expect("an address") }
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, for a gRPC client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An HTTP client of it.
    pub fn http(&self) -> Http {
        Http::new(self.address)
    }

    /// What it logs.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Waits until this version answers requests; from line `from` of the log on.
    ///
    /// # Panics
    /// Where it does not.
    pub fn wait_until_available(&self, from: usize, model: &str, version: i64) {
        self.log.wait(from, "available", &[("id", &format!("{model}:{version}"))]);
    }

    /// Waits until the version in this folder is unloaded; from line `from` of the log on.
    ///
    /// # Panics
    /// Where it is not.
    pub fn wait_until_unloaded(&self, from: usize, folder: &Path) {
        self.log.wait(from, "unloaded", &[("directory", &folder.to_string_lossy())]);
    }

    /// The most memory it ever had resident, in bytes.
    ///
    /// # Panics
    /// Where the operating system does not say.
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory it has resident now, in bytes.
    ///
    /// # Panics
    /// Where the operating system does not say.
    pub fn memory_now(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("its status");
        let value = status.lines().find_map(|text| text.strip_prefix(line)).expect("its memory");
        let kibibytes: u64 = value.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes * 1024
    }

    /// Tells it to stop; returns at once.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("an id of a process");
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Where it does not end within [`PATIENCE`].
    pub fn wait(&mut self) -> ExitStatus {
        if !self.log.wait_for_end(PATIENCE) {
            panic!("the server did not end:\n{}", self.log.text());
        }
        self.process.wait().expect("it is our child")
    }

    /// Tells it to stop, and waits for its end.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait()
    }
}

impl Drop for Server {
    #[expect(
        clippy::print_stderr,
        reason = "who reads of a test that failed wants to know what the server said"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log.text());
        }
        // Its end is a test of its own. It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A program that knows nothing of the environment of the tests, but where to find programs.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}
