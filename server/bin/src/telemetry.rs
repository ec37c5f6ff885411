//! Log lines on standard error.

use salver_server_config::LogFormat;
use tracing_subscriber::EnvFilter;

/// Starts logging what `filter` lets through.
///
/// # Errors
/// A sentence on what is wrong with the filter.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("--log-level `{filter}`: {error}"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
