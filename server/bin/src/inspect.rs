//! `salver plugin inspect`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use salver_plugins_host::Inspection;

/// Prints what each library says of itself, without running any of its code. Fails where one cannot be used.
pub(crate) fn inspect(files: &[PathBuf]) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let mut code = ExitCode::SUCCESS;
    for file in files {
        let shown = file.display();
        let line = match salver_plugins_host::inspect(file) {
            Ok(inspection) => format!("{shown}\n{}\n", lines(&inspection)),
            Err(error) => {
                code = ExitCode::FAILURE;
                format!("{shown}\n  cannot be used: {error}\n")
            }
        };
        if out.write_all(line.as_bytes()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    code
}

fn lines(inspection: &Inspection) -> String {
    let Inspection { name, version, abi, door, target, sdk, platforms, sources, .. } = inspection;
    let mut lines = format!(
        "  name       {name}\n  version    {version}\n  abi        {abi} ({door} door)\n  target     {target}\n  \
         sdk        {sdk}"
    );
    for (heading, names) in [("platforms", platforms), ("sources  ", sources)] {
        if !names.is_empty() {
            lines.extend(["\n  ", heading, "  ", &names.join(", ")]);
        }
    }
    lines
}
