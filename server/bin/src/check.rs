//! `salver plugin check`: what every platform and every source must do, of a plugin.
//!
//! Each case runs in a process of its own, this program started again: a plugin that crashes takes the case with it and
//! not the report, and no case finds the threads and memory of another. This process reads the plugin's note and runs
//! none of its code.

mod report;
mod source;
mod within;

use std::process::ExitCode;

use salver_platforms_conformance::cases;
use salver_plugins_host::Inspection;
use salver_server_config::{CheckArgs, SourceEntry};

use crate::check::report::{Ending, Report, Verdict};
use crate::check::within::Of;

/// Checks a plugin, and prints a report. Fails where a case fails, or the plugin cannot be used.
pub(crate) fn check(args: &CheckArgs) -> ExitCode {
    if let Some(case) = &args.case {
        return within::run(args, case);
    }
    let report = match salver_plugins_host::inspect(&args.file) {
        Ok(inspection) => verdicts(args, &inspection),
        Err(error) => Report::of_unusable(&args.file, error.to_string()),
    };
    let is_printed = if args.json { report.print_json() } else { report.print() };
    if is_printed.is_ok() && report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs every case for every platform and every source that is to be checked: those that were named, or else all.
fn verdicts(args: &CheckArgs, inspection: &Inspection) -> Report {
    let mut report = Report::new(inspection);
    let of_one_kind = args.platform.is_some() != args.source.is_some();
    let platforms = match &args.platform {
        Some(wanted) => std::slice::from_ref(wanted),
        None if of_one_kind => &[],
        None => inspection.platforms.as_slice(),
    };
    let sources = match &args.source {
        Some(wanted) => vec![wanted.clone()],
        None if of_one_kind => Vec::new(),
        None => inspection.sources.iter().map(|name| SourceEntry::named(name)).collect(),
    };
    let not_there = |kind: &str, wanted: &str, there: &[String]| {
        let there = there.join("`, `");
        Report::of_unusable(&args.file, format!("there is no {kind} `{wanted}`; there are: `{there}`"))
    };
    if let Some(wanted) = platforms.iter().find(|wanted| !inspection.platforms.contains(wanted)) {
        return not_there("platform", wanted, &inspection.platforms);
    }
    if let Some(wanted) = sources.iter().find(|wanted| !inspection.sources.contains(&wanted.name)) {
        return not_there("source", &wanted.name, &inspection.sources);
    }
    for platform in platforms {
        let of = Of::Platform(platform);
        let opens = within::start(args, &of, within::OPENS);
        let is_open = opens == Ending::Passed;
        report.add(Verdict::new(&of, within::OPENS, "the plugin opens, and has the platform", opens));
        for case in cases().iter().filter(|_| is_open) {
            let ending = within::start(args, &of, case.name);
            report.add(Verdict::new(&of, case.name, case.promise, ending));
        }
    }
    for entry in &sources {
        let of = Of::Source(entry);
        for (case, promise) in source::CASES {
            let ending = within::start(args, &of, case);
            let is_good = !matches!(ending, Ending::Failed(_) | Ending::Crashed { .. });
            report.add(Verdict::new(&of, case, promise, ending));
            if !is_good {
                break;
            }
        }
    }
    report
}
