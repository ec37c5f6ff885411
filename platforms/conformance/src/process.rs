//! What this process takes, as Linux tells it.

use crate::case::Fault;

/// How many threads there are.
pub(crate) fn threads() -> Result<usize, Fault> {
    Ok(figure("Threads:")?.try_into().unwrap_or(usize::MAX))
}

/// How much memory is resident, in bytes.
pub(crate) fn resident_bytes() -> Result<u64, Fault> {
    Ok(figure("VmRSS:")?.saturating_mul(1024))
}

fn figure(name: &str) -> Result<u64, Fault> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    let value = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| Fault::Skipped(format!("this system does not tell `{name}` of a process")))
}
