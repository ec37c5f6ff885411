//! The machine that figures are of.

use std::fs;
use std::thread;

/// Prints processor, cores, kernel, load and build.
pub(crate) fn print() {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    println!("machine  {processor}, {} cores, {memory} memory", cores());
    println!("kernel   {}", kernel.trim());
    println!("load     {load} (averages of 1, 5 and 15 minutes; anything above 0 disturbs)");
    println!("build    {}", build());
}

/// How many threads run at once.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug: these figures mean nothing, use --release" } else { "release" }
}

/// The first value called `name` in a file of `name: value` lines.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
