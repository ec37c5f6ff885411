//! `salver plugin check`: what every platform must do, of a plugin.
//!
//! Each case runs in a process of its own, this program started again: a plugin that crashes takes the case with it and
//! not the report, and no case finds the threads and memory of another. This process reads the plugin's note and runs
//! none of its code.

mod report;
mod within;

use std::process::ExitCode;

use salver_platforms_conformance::cases;
use salver_plugins_host::Inspection;
use salver_server_config::CheckArgs;

use crate::check::report::{Ending, Report, Verdict};

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

/// Runs every case for every platform that is to be checked.
fn verdicts(args: &CheckArgs, inspection: &Inspection) -> Report {
    let mut report = Report::new(inspection);
    let is_wanted = |name: &&String| args.platform.as_ref().is_none_or(|wanted| wanted == *name);
    let mut platforms = inspection.platforms.iter().filter(is_wanted).peekable();
    if platforms.peek().is_none() {
        let wanted = args.platform.as_deref().unwrap_or_default();
        let there = inspection.platforms.join("`, `");
        return Report::of_unusable(
            &args.file,
            format!("there is no platform `{wanted}`; there are: `{there}`"),
        );
    }
    for platform in platforms {
        let opens = within::start(args, platform, within::OPENS);
        let is_open = opens == Ending::Passed;
        report.add(Verdict::new(platform, within::OPENS, "the plugin opens, and has the platform", opens));
        for case in cases().iter().filter(|_| is_open) {
            let ending = within::start(args, platform, case.name);
            report.add(Verdict::new(platform, case.name, case.promise, ending));
        }
    }
    report
}
