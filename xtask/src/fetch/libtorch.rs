//! What libtorch needs beside the files of its wheel, to be linked with and to run without CUDA.
//!
//! The wheel's `libtorch_cpu.so` is linked with CUDA's runtime and profiling libraries, of which it calls a few dozen
//! functions when a profiler asks for a GPU. Stand-ins in which each of these fails, as on a machine without a GPU, save
//! two packages of NVIDIA's, and their licences. The wheel's `libtorch.so` holds nothing but the names of others, among
//! them those for CUDA; one that names only what is there takes its place.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::workspace::{output, run as run_command};

/// What CUDA's functions answer where there is no device: `cudaErrorNoDevice` of its `driver_types.h`.
const NO_DEVICE: u32 = 100;

/// Makes the rest of the library in `folder`.
///
/// # Errors
/// Where there is no C compiler or no `nm`, or the wheel is not as expected.
pub(super) fn make(folder: &Path, version: &str) -> anyhow::Result<()> {
    let lib = folder.join("lib");
    let symbols =
        output(Command::new("nm").args(["-D", "--undefined-only"]).arg(lib.join("libtorch_cpu.so")))
            .context("asking `nm` what libtorch needs; it comes with the C compiler")?;
    for name in ["libcudart.so.13", "libcupti.so.13"] {
        stand_in(&lib, name, &functions(&symbols, name))?;
    }
    make_umbrella(&lib, &["-ltorch_cpu", "-lc10"])?;
    // The crate that links with it looks here whether it is the version that it was made for.
    fs::write(folder.join("build-version"), version)?;
    Ok(())
}

/// The same with CUDA: whatever is linked with `libtorch.so` then has it, as it was built.
///
/// # Errors
/// Where there is no C compiler.
pub(super) fn make_with_cuda(folder: &Path) -> anyhow::Result<()> {
    make_umbrella(&folder.join("lib"), &["-ltorch_cpu", "-ltorch_cuda", "-lc10_cuda", "-lc10"])
}

/// Makes a `libtorch.so` that is linked with these.
fn make_umbrella(lib: &Path, libraries: &[&str]) -> anyhow::Result<()> {
    let mut umbrella = Command::new("cc");
    umbrella.args(["-shared", "-nostdlib", "-Wl,-soname,libtorch.so", "-Wl,--no-as-needed"]);
    umbrella.args(["-Wl,--allow-shlib-undefined", "-Wl,-rpath,$ORIGIN", "-o"]).arg(lib.join("libtorch.so"));
    run_command(umbrella.arg("-L").arg(lib).args(libraries))
}

/// The functions of a library among the symbols, as `nm` lists them: `U name@library`.
fn functions<'a>(symbols: &'a str, library: &str) -> Vec<&'a str> {
    let of_library = |line: &'a str| {
        let (name, version) = line.trim().strip_prefix("U ")?.split_once('@')?;
        (version.trim_start_matches('@') == library).then_some(name)
    };
    symbols.lines().filter_map(of_library).collect()
}

/// Makes a library in which every function fails.
fn stand_in(lib: &Path, name: &str, functions: &[&str]) -> anyhow::Result<()> {
    if functions.is_empty() {
        bail!("libtorch needs nothing of {name}: the wheel is not as expected");
    }
    let mut source = String::new();
    for function in functions {
        // Which of them answer with a text shows in their names.
        let is_text = ["ErrorString", "ErrorName", "CallbackName", "ResultString"];
        source += &match function {
            _ if is_text.iter().any(|end| function.ends_with(end)) => {
                format!("const char *{function}(void) {{ return \"no CUDA\"; }}\n")
            }
            &"cudaGetDeviceCount" => {
                format!("int {function}(int *count) {{ if (count) *count = 0; return {NO_DEVICE}; }}\n")
            }
            _ => format!("int {function}(void) {{ return {NO_DEVICE}; }}\n"),
        };
    }
    let (code, map) = (lib.join("stand-in.c"), lib.join("stand-in.map"));
    fs::write(&code, source)?;
    fs::write(&map, format!("{name} {{ global: *; }};\n"))?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1"]).arg(format!("-Wl,-soname,{name}"));
    cc.arg(format!("-Wl,--version-script={}", map.display())).arg("-o").arg(lib.join(name)).arg(&code);
    run_command(&mut cc)?;
    fs::remove_file(code)?;
    fs::remove_file(map)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_of_a_library_are_told_from_those_of_others() {
        let symbols = "         U cudaFree@libcudart.so.13\n   U cuptiSubscribe@libcupti.so.13\n   U malloc@GLIBC_2.2.5\n   w x\n";
        assert_eq!(functions(symbols, "libcudart.so.13"), ["cudaFree"]);
        assert_eq!(functions(symbols, "libcupti.so.13"), ["cuptiSubscribe"]);
        assert_eq!(functions(symbols, "libcublas.so.13"), [""; 0]);
    }
}
