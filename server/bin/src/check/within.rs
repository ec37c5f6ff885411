//! One case, in a process of its own: both ends of it.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use salver_core_platform::Options;
use salver_core_tensor::DType;
use salver_platforms_conformance::{Outcome, Subject, cases};
use salver_plugins_host::{HostServices, Plugins};
use salver_server_config::{CheckArgs, ModelSettings, SourceEntry};

use crate::check::report::Ending;
use crate::check::source;

/// The case before all others: the plugin opens, and has the platform.
pub(super) const OPENS: &str = "opens";

/// What the line begins with that says how the case ended; a plugin may write to standard output, too.
const MARK: &str = "salver-check:";

/// What a case is run of.
pub(super) enum Of<'a> {
    /// The platform of this name.
    Platform(&'a str),
    /// The source of this name, with these settings.
    Source(&'a SourceEntry),
}

/// Runs a case in this process, and says on standard output how it ended.
pub(super) fn run(args: &CheckArgs, case: &str) -> ExitCode {
    let (word, why) = match outcome(args, case) {
        Outcome::Passed => ("passed", String::new()),
        Outcome::Failed(why) => ("failed", why),
        Outcome::Skipped(why) => ("skipped", why),
    };
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = std::io::stdout().lock();
    match writeln!(out, "\n{MARK}{word}:{why}").and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn outcome(args: &CheckArgs, case: &str) -> Outcome {
    let services = HostServices::default();
    let cpu_threads = services.cpu_threads;
    let plugins = Plugins::new(services);
    let plugin = match plugins.open(&args.file) {
        Ok(plugin) => plugin,
        Err(error) => return Outcome::Failed(format!("{:#}", anyhow::Error::from(error))),
    };
    if let Some(entry) = &args.source {
        return match plugin.sources().iter().find(|kind| kind.name() == entry.name) {
            Some(kind) => source::run(kind, case, entry),
            None => Outcome::Failed(format!("there is no source `{}`", entry.name)),
        };
    }
    let wanted = args.platform.as_deref().unwrap_or_default();
    let Some(platform) = plugin.platforms().iter().find(|platform| platform.name() == wanted) else {
        return Outcome::Failed(format!("there is no platform `{wanted}`"));
    };
    if case == OPENS {
        return Outcome::Passed;
    }
    let Some(case) = cases().iter().find(|each| each.name == case) else {
        return Outcome::Failed(format!("there is no case `{case}`"));
    };
    let options = match args.options(wanted) {
        Ok(options) => options,
        Err(why) => return Outcome::Failed(why),
    };
    let repository = args.identity.as_deref();
    let identity = |dtype: DType, _dims: &[i64], directory: &Path| {
        repository.map_or(Ok(None), |repository| copy_of(&repository.join(dtype.name()), directory))
    };
    let mut subject =
        Subject { model: args.model.clone(), options, ..Subject::new(Arc::clone(platform), cpu_threads) };
    if repository.is_some() {
        subject.identity = Some(&identity);
    }
    case.run(&subject)
}

/// Copies the first version of a model into a folder, and reads its settings; `None` where there is none.
fn copy_of(model: &Path, directory: &Path) -> std::io::Result<Option<Options>> {
    let version = model.join("1");
    if !version.is_dir() {
        return Ok(None);
    }
    copy(&version, directory)?;
    Ok(Some(ModelSettings::read(model).map_err(std::io::Error::other)?.options))
}

/// Copies what is in a folder, and below.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            std::fs::create_dir(&place)?;
            copy(&path, &place)?;
        } else {
            std::fs::copy(&path, &place)?;
        }
    }
    Ok(())
}

/// Runs a case in a process of its own, and waits for it to end, or for its time to.
pub(super) fn start(args: &CheckArgs, of: &Of<'_>, case: &str) -> Ending {
    let started = std::env::current_exe().and_then(|program| {
        let mut command = Command::new(program);
        command.args(["plugin", "check", "--case", case]);
        match of {
            Of::Platform(name) => command.args(["--platform", name]),
            Of::Source(entry) => command.args(["--source", &entry.to_string()]),
        };
        if let Some(model) = &args.model {
            command.arg("--model").arg(model);
        }
        if let Some(identity) = &args.identity {
            command.arg("--identity").arg(identity);
        }
        for option in &args.platform_option {
            command.arg("--platform-option").arg(option);
        }
        command.arg("--").arg(&args.file);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    });
    match started {
        Ok(child) => ending(child, Duration::from_secs(args.timeout)),
        Err(error) => Ending::Failed(format!("the case cannot be started: {error}")),
    }
}

fn ending(mut child: Child, limit: Duration) -> Ending {
    let Some(mut output) = child.stdout.take() else {
        return Ending::Failed("the case has no output".to_owned());
    };
    let (said, hears) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What can be read is what there is, and nobody hears it where the time is over.
        let _ = output.read_to_end(&mut bytes);
        let _ = said.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    let said = hears.recv_timeout(limit).ok();
    if said.is_none() {
        // A child that has ended by itself by now is no harm.
        let _ = child.kill();
    }
    match (child.wait(), said) {
        (_, None) => Ending::Failed(format!("did not end within {} s", limit.as_secs())),
        (Ok(status), Some(said)) => told(&said, status),
        (Err(error), _) => Ending::Failed(format!("nobody knows how the case ended: {error}")),
    }
}

/// How a case ended, from what its process said and how that ended.
fn told(said: &str, status: ExitStatus) -> Ending {
    let line = said.lines().rev().find_map(|line| line.strip_prefix(MARK)?.split_once(':'));
    if let Some(signal) = status.signal() {
        let when = if line.is_some() { ", after the case" } else { "" };
        return Ending::Crashed { signal, when };
    }
    match line {
        Some(("passed", _)) if status.success() => Ending::Passed,
        Some(("skipped", why)) if status.success() => Ending::Skipped(why.to_owned()),
        Some(("failed", why)) => Ending::Failed(why.to_owned()),
        _ => Ending::Failed(format!("the plugin ended the process, with {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_ends_as_it_says_unless_its_process_says_otherwise() {
        let (good, bad, crash) =
            (ExitStatus::from_raw(0), ExitStatus::from_raw(3 << 8), ExitStatus::from_raw(11));
        assert_eq!(told("noise\n\nsalver-check:passed:\n", good), Ending::Passed);
        assert_eq!(told("noise\nsalver-check:failed:a: b\nmore", good), Ending::Failed("a: b".into()));
        assert_eq!(told("salver-check:skipped:no", good), Ending::Skipped("no".into()));
        let ended =
            |code: &str| Ending::Failed(format!("the plugin ended the process, with exit status: {code}"));
        assert_eq!(told("", good), ended("0"));
        assert_eq!(told("salver-check:passed:", bad), ended("3"));
        assert_eq!(told("", crash), Ending::Crashed { signal: 11, when: "" });
        let after = Ending::Crashed { signal: 11, when: ", after the case" };
        assert_eq!(told("salver-check:passed:", crash), after);
    }
}
