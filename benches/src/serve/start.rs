//! From starting the process to its first answer, and the memory it holds when nobody asks.

use std::time::Duration;

use crate::client::{self, Transport};
use crate::figures::{Promise, Rounds, Want};
use crate::process::Server;
use crate::{built, messages};

/// How long a model may take until it answers, before the benchmark gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

const ROUNDS: usize = 7;
/// How long after its last request a server counts as idle.
const IDLE: Duration = Duration::from_secs(1);
const PROMISED_SECONDS: f64 = 0.2;
const PROMISED_MEGABYTES: f64 = 40.0;

/// Starts a server with the sample model some times.
pub(super) async fn measure() -> anyhow::Result<Vec<Promise>> {
    let request = messages::digits()?.request(Transport::Http);
    let (mut seconds, mut resident, mut private) = (Rounds::default(), Rounds::default(), Rounds::default());
    for _ in 0..ROUNDS {
        let mut serve = built::serve_command()?;
        serve.arg("--model-repository").arg(built::digits_repository());
        let server = Server::spawn(serve)?;
        client::first_answer(&server, &request, PATIENCE).await?;
        seconds.push(server.started.elapsed().as_secs_f64());
        tokio::time::sleep(IDLE).await;
        resident.push(server.memory("VmRSS")? / 1e6);
        private.push(server.memory("RssAnon")? / 1e6);
    }
    println!("  digits through ONNX Runtime: {seconds} s from start to first answer");
    println!("  idle after it: {resident} MB resident, of which {private} MB are not of files");
    Ok(vec![
        Promise::new("start_to_first_answer", seconds.median(), "s", Want::AtMost(PROMISED_SECONDS)),
        Promise::new("idle_resident_memory", resident.median(), "MB", Want::AtMost(PROMISED_MEGABYTES)),
    ])
}
