//! A server in a process of its own, and what the operating system says of it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, bail};

/// How long a server may take to open its port.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// When its process was started.
    pub(crate) started: Instant,
    /// The lines that it says.
    told: mpsc::Receiver<String>,
}

impl Server {
    /// Starts a server that tells on standard error where it listens, as `address=HOST:PORT`.
    pub(crate) fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let started = Instant::now();
        let shown = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {shown}"))?;
        let stderr = child.stderr.take().context("reading what the server says")?;
        let (sender, told) = mpsc::channel();
        // Reads to the end, so that a server that says much does not wait for a reader.
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody listens any more once the server is dropped.
                let _ = sender.send(line);
            }
        });
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), started, told };
        let mut said = Vec::new();
        loop {
            match server.told.recv_timeout(PATIENCE.saturating_sub(started.elapsed())) {
                Ok(line) => {
                    if let Some(address) = address_in(&line) {
                        server.address = address;
                        return Ok(server);
                    }
                    said.push(line);
                }
                Err(_) => bail!("{shown} opened no port; it said: {}", said.join("\n")),
            }
        }
    }

    /// Waits until so many more lines with `text` in them were said.
    pub(crate) fn wait_for_lines(&self, text: &str, count: usize, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        let mut left = count;
        while left > 0 {
            match self.told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => left -= 1,
                Ok(_) => {}
                Err(_) => bail!("the server has {left} of {count} lines with `{text}` still to say"),
            }
        }
        Ok(())
    }

    /// The CPU time of all its threads, to a clock tick.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        cpu_time(self.child.id())
    }

    /// A figure of `/proc/PID/status` in bytes, such as `VmRSS`.
    pub(crate) fn memory(&self, name: &str) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        Ok(kilobytes.with_context(|| format!("{path} has no {name}"))? * 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way there is nothing more to be done about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The CPU time that a process has used, and those that it started and that have ended since.
pub(crate) fn cpu_time(id: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    // The name of the program, in brackets, may hold anything; the times, and those of children, are the 12th to 15th
    // after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: u64 = fields.skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second())?)
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("address=")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_a_line_of_the_log() {
        let line = "2026-01-01T00:00:00Z  INFO salver: listening for gRPC and REST address=127.0.0.1:4711";
        assert_eq!(address_in(line), Some(SocketAddr::from(([127, 0, 0, 1], 4711))));
        assert_eq!(address_in("loaded id=digits:2"), None);
    }
}
