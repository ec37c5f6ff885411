//! A server with a platform of its own, written in this program: no plugin is looked for.
//!
//! It takes the flags of `salver serve`, and `--once`: then it asks itself one question, and ends.

#![expect(clippy::print_stdout, reason = "it tells what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use salver_core_platform::{LoadRequest, Model, Platform, Probe, RunRequest};
use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
use salver_core_status::Status;
use salver_core_tensor::{DType, Tensor};
use salver_server_embed::{Outcome, Platforms, ServeConfig, Server};
use tokio::signal::unix::{SignalKind, signal};

/// Serves models of one file, `line.txt`, that holds two numbers, `a` and `b`.
struct Lines;

impl Platform for Lines {
    fn name(&self) -> &str {
        "line"
    }

    fn probe(&self, directory: &Path) -> Probe {
        Probe::by_file(directory, "line.txt")
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        let file = request.directory.join("line.txt");
        let text = std::fs::read_to_string(&file)
            .map_err(|error| Status::not_found(format!("reading `{}`: {error}", file.display())))?;
        let numbers: Vec<f32> = text.split_whitespace().flat_map(str::parse).collect();
        let [a, b] = numbers[..] else {
            let file = file.display();
            return Err(Status::invalid_argument(format!("`{file}` is {text:?}, wanted two numbers")));
        };
        let tensor = |name| TensorSpec::new(name, DType::F32, ShapeSpec::any());
        let signature = Signature::predict(vec![tensor("x")], vec![tensor("y")]);
        Ok(Box::new(Line { a, b, signatures: SignatureSet::new(vec![signature])? }))
    }
}

/// `y = a * x + b`.
struct Line {
    a: f32,
    b: f32,
    signatures: SignatureSet,
}

impl Model for Line {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let x = request.input(0)?;
        let y = x.as_slice::<f32>()?.iter().map(|x| self.a * x + self.b).collect();
        Ok(vec![Tensor::from_vec(x.shape().clone(), y)?])
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // Before there are threads: what models free goes back to the system.
    salver_server_embed::configure_allocator();
    let (once, mine): (Vec<_>, Vec<_>) = std::env::args_os().skip(1).partition(|flag| flag == "--once");

    let repository = tempfile::tempdir()?;
    let version = repository.path().join("line/1");
    std::fs::create_dir_all(&version)?;
    std::fs::write(version.join("line.txt"), "2 1")?;
    // Nobody is still writing what is there, so nothing has to settle.
    let mut flags: Vec<OsString> =
        vec!["--host=127.0.0.1".into(), "--port=0".into(), "--settle-time=0".into()];
    flags.extend(["--model-repository".into(), repository.path().into()]);
    let config = ServeConfig::from_flags(flags.into_iter().chain(mine))?;

    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(serve(&config, !once.is_empty()))?;
    println!("ended: {outcome:?}");
    Ok(())
}

async fn serve(config: &ServeConfig, is_once: bool) -> Result<Outcome, Box<dyn Error>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let platforms = Platforms::new(vec![Arc::new(Lines)], BTreeMap::new());
    let server = Server::with_platforms(config, platforms).await?;
    let address = *server.addresses().first().ok_or("no port")?;
    println!("listening on {address}");
    let stop = async move {
        if is_once {
            match tokio::task::spawn_blocking(move || ask(address)).await {
                Ok(Ok(answer)) => println!("2 * 3 + 1: {answer}"),
                other => println!("no answer: {other:?}"),
            }
            return;
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(server.run(stop).await)
}

/// Asks for `y` of 3, until the model is loaded, as any client would: over HTTP.
fn ask(address: SocketAddr) -> std::io::Result<String> {
    const PAUSE: Duration = Duration::from_millis(1);
    let body = r#"{"instances": [3]}"#;
    loop {
        let mut stream = TcpStream::connect(address)?;
        let length = body.len();
        write!(
            stream,
            "POST /v1/models/line:predict HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        // 404 and 503 tell that the model is not there yet.
        if answer.starts_with("HTTP/1.1 200") {
            return Ok(answer.rsplit("\r\n").next().unwrap_or_default().to_owned());
        }
        std::thread::sleep(PAUSE);
    }
}
