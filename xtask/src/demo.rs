//! `cargo xtask demo`: the sample digits, served.
//!
//! Without `--once` this process becomes the server, so that Ctrl-C and signals reach it as if it had been started by
//! hand; a child waits until it is ready, says how to ask, and ends.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::{CommandExt as _, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context, bail};

use crate::bundle::{self, Platform};
use crate::python;
use crate::workspace::{root, run as run_command, target};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Classify the sample digits over all four interfaces, print the answers, and stop
    #[arg(long)]
    once: bool,
    /// Serve the digits on every platform: as ONNX, as TorchScript and as a SavedModel
    #[arg(long)]
    all_platforms: bool,
    /// The port to serve on; with --once any free one where it is not given
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

#[derive(clap::Args)]
pub(crate) struct AnnounceArgs {
    address: SocketAddr,
    python: PathBuf,
}

/// TensorFlow Serving's port, and ours.
const PORT: u16 = 8500;

/// The digits as ONNX, and the same weights for other platforms.
const MODELS: [&str; 3] = ["digits", "digits-torchscript", "digits-savedmodel"];

/// How long a server may take until it has loaded the digits, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let port = match (args.port, args.once) {
        (Some(port), _) => port,
        (None, true) => free_port()?,
        (None, false) => PORT,
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let python = python::interpreter()?;
    let (folder, platforms, models): (_, &[Platform], &[&str]) = if args.all_platforms {
        ("demo-all", &[Platform::Onnxruntime, Platform::Libtorch, Platform::Tensorflow], &MODELS)
    } else {
        ("demo", &[Platform::Onnxruntime], MODELS.get(..1).unwrap_or_default())
    };
    let bundle = target().join(folder);
    bundle::make(&bundle, platforms, false)?;
    let mut server = server(&bundle, address);
    if args.all_platforms {
        server.arg("--model-repository").arg(root().join("examples/platforms"));
    }
    if args.once {
        server.arg("--log-level=warn");
        return ask_once(&mut server, address, &python, models);
    }
    let own = env::current_exe().context("finding this program")?;
    Command::new(own)
        .arg("announce")
        .arg(address.to_string())
        .arg(python)
        .spawn()
        .context("starting this program")?;
    Err(server.exec()).context("starting the server")
}

/// Waits for the server that the parent of this process becomes, and says how to ask it.
pub(crate) fn announce(args: &AnnounceArgs) -> anyhow::Result<()> {
    let server = parent_id();
    let is_alive = || Ok(parent_id() == server);
    if wait_until_ready(args.address, is_alive)? {
        print!("{}", Lines { address: args.address, python: &args.python });
    }
    Ok(())
}

fn server(bundle: &Path, address: SocketAddr) -> Command {
    let mut server = Command::new(bundle.join("bin/salver"));
    server.arg("serve").arg("--model-repository").arg(root().join("examples/models"));
    server.args(["--host", &address.ip().to_string(), "--port", &address.port().to_string()]);
    server
}

/// Starts the server, has the digits classified, and stops it, whatever came of that.
fn ask_once(server: &mut Command, address: SocketAddr, python: &Path, models: &[&str]) -> anyhow::Result<()> {
    let mut server = server.spawn().context("starting the server")?;
    let asked = ask(&mut server, address, python, models);
    let stopped = stop(&mut server);
    asked?;
    let status = stopped?;
    if !status.success() {
        bail!("the server ended with {status}");
    }
    Ok(())
}

fn ask(server: &mut Child, address: SocketAddr, python: &Path, models: &[&str]) -> anyhow::Result<()> {
    let is_alive = || Ok(server.try_wait()?.is_none());
    if !wait_until_ready(address, is_alive)? {
        bail!("the server ended before it was ready");
    }
    let classify = root().join("examples/classify.py");
    run_command(Command::new(python).arg(classify).arg(address.to_string()).args(models))
}

/// Asks the server to end, and waits for it; ends it the hard way if it does not.
fn stop(server: &mut Child) -> anyhow::Result<ExitStatus> {
    // The shell's own `kill` is there wherever a shell is.
    run_command(Command::new("sh").args(["-c", &format!("kill -TERM {}", server.id())]))?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = server.try_wait()? {
            return Ok(status);
        }
        thread::sleep(PAUSE);
    }
    server.kill()?;
    bail!("the server did not end within {} seconds of SIGTERM", PATIENCE.as_secs());
}

/// Whether the server became ready; not, if it ended before.
fn wait_until_ready(
    address: SocketAddr,
    mut is_alive: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    while is_alive()? {
        if is_ready(address) {
            return Ok(true);
        }
        if Instant::now() > deadline {
            bail!("the server was not ready within {} seconds", PATIENCE.as_secs());
        }
        thread::sleep(PAUSE);
    }
    Ok(false)
}

/// Whether the server says that it is ready: every model it found is loaded.
fn is_ready(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET /v2/health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}

/// A port that nobody listens on just now.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port")?;
    Ok(listener.local_addr()?.port())
}

/// Lines to paste into another terminal.
struct Lines<'a> {
    address: SocketAddr,
    python: &'a Path,
}

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, python } = self;
        let examples = root().join("examples");
        let examples = examples.display();
        writeln!(
            f,
            "\nServing handwritten digits on {address}: gRPC and REST, both protocols. Ctrl-C stops."
        )?;
        writeln!(f, "In another terminal, the REST API of TensorFlow Serving:\n")?;
        writeln!(
            f,
            "  curl -d '@{examples}/requests/digits.predict.json' http://{address}/v1/models/digits:predict\n"
        )?;
        writeln!(f, "the REST API of the Open Inference Protocol:\n")?;
        writeln!(
            f,
            "  curl -d '@{examples}/requests/digits.infer.json' http://{address}/v2/models/digits/infer\n"
        )?;
        writeln!(f, "and Python, over all four interfaces:\n")?;
        writeln!(f, "  '{}' '{examples}/classify.py' {address}\n", python.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_to_paste_name_files_that_exist() {
        let lines = Lines { address: "127.0.0.1:8500".parse().unwrap(), python: Path::new("/bin/sh") };
        let text = lines.to_string();
        let quoted: Vec<_> = text.split('\'').skip(1).step_by(2).collect();
        assert_eq!(quoted.len(), 4);
        for path in quoted {
            assert!(Path::new(path.trim_start_matches('@')).is_file(), "{path}");
        }
    }

    #[test]
    fn a_server_that_ended_is_not_waited_for() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        assert!(!wait_until_ready(address, || Ok(false)).unwrap());
    }
}
