//! What a load takes is within what was estimated before.
//!
//! Alone in its process: it looks at how much memory that has.
#![cfg(test)]
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{library, load_by, options, run, tensor, with};
use salver_core_platform::{Cancellation, LoadRequest, OptionValue, Options, Platform};
use salver_core_resource::{Allocation, Estimate, Resource};
use salver_core_servable::{ServableId, Version};
use salver_platforms_onnxruntime::{LibrarySearch, OnnxRuntime};

const FLOAT: u64 = 1;
const FLOAT16: u64 = 10;

/// A number as protobuf writes it.
fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field of a message that is a number.
fn of(field: u64, value: u64) -> Vec<u8> {
    [number(field << 3), number(value)].concat()
}

/// A field of a message that is a message, a text or an array.
fn with_parts(field: u64, parts: &[Vec<u8>]) -> Vec<u8> {
    let inner = parts.concat();
    [number(field << 3 | 2), number(inner.len() as u64), inner].concat()
}

fn text(field: u64, text: &str) -> Vec<u8> {
    with_parts(field, &[text.as_bytes().to_vec()])
}

/// An input or output: floats of these sizes, 0 for any.
fn port(field: u64, name: &str, dims: &[u64]) -> Vec<u8> {
    let dim = |size: &u64| with_parts(1, &if *size == 0 { vec![] } else { vec![of(1, *size)] });
    let shape: Vec<_> = dims.iter().map(dim).collect();
    with_parts(
        field,
        &[text(1, name), with_parts(2, &[with_parts(1, &[of(1, FLOAT), with_parts(2, &shape)])])],
    )
}

/// So many small numbers of a type, others for each seed: ONNX Runtime keeps equal weights once.
fn numbers(count: u64, element: u64, seed: u64) -> Vec<u8> {
    let mixed = |index: u64| (index + seed * count).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    match element {
        // A sixteenth to an eighth, by the bits of the fraction.
        FLOAT16 => {
            (0..count).flat_map(|index| (0x2c00 | mixed(index) as u16 & 0x3ff).to_le_bytes()).collect()
        }
        _ => (0..count).flat_map(|index| (mixed(index) as f32 / 1e9).to_le_bytes()).collect(),
    }
}

/// `operator` as many times as there are weights, of this type and these sizes, one after the other.
fn chain(operator: &str, weights: usize, element: u64, dims: &[u64], port_dims: &[u64]) -> Vec<u8> {
    let mut graph = vec![text(2, "g")];
    let mut x = "x".to_owned();
    for index in 0..weights {
        let (mut weight, y) = (format!("w{index}"), format!("y{index}"));
        let mut tensor: Vec<_> = dims.iter().map(|dim| of(1, *dim)).collect();
        tensor.extend([
            of(2, element),
            text(8, &weight),
            with_parts(9, &[numbers(dims.iter().product(), element, index as u64)]),
        ]);
        graph.push(with_parts(5, &tensor));
        if element == FLOAT16 {
            let whole = format!("f{index}");
            let to = with_parts(5, &[text(1, "to"), of(3, FLOAT), of(20, 2)]);
            graph.push(with_parts(1, &[text(1, &weight), text(2, &whole), text(4, "Cast"), to]));
            weight = whole;
        }
        graph.push(with_parts(1, &[text(1, &x), text(1, &weight), text(2, &y), text(4, operator)]));
        x = y;
    }
    graph.extend([port(11, "x", port_dims), port(12, &x, &vec![0; port_dims.len()])]);
    [of(1, 10), with_parts(8, &[of(2, 21)]), with_parts(7, &graph)].concat()
}

/// A figure of `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn estimate(platform: &OnnxRuntime, directory: &Path, options: &Options) -> Option<Estimate> {
    let id = ServableId::new("m", Version::new(3).unwrap());
    let request = LoadRequest {
        id: &id,
        directory,
        options,
        cancel: Cancellation::NEVER,
        batcher: salver_core_platform::unbatched(),
    };
    platform.estimate(&request).unwrap()
}

fn ram(allocation: &Allocation) -> u64 {
    allocation.get(&Resource::ram())
}

/// Does the test called `name` once more, in a process whose allocator returns what is freed, as the server's does;
/// `false` where this is that process.
fn is_left_to_another_process(name: &str) -> bool {
    let settings = ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"].map(|setting| (setting, "1048576"));
    if settings.iter().all(|(setting, _)| std::env::var_os(setting).is_some()) {
        return false;
    }
    let mut test = Command::new(std::env::current_exe().unwrap());
    let output = test.args(["--exact", name, "--nocapture"]).envs(settings).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn a_load_takes_no_more_than_was_estimated_and_no_less_than_a_third() {
    let Some(library) = library() else { return };
    if is_left_to_another_process("a_load_takes_no_more_than_was_estimated_and_no_less_than_a_third") {
        return;
    }
    let platform = OnnxRuntime::new(LibrarySearch::new());
    let optimized = options(&library);
    let as_it_is = with(&optimized, "graph_optimization", OptionValue::Text("disable".into()));
    let products = chain("MatMul", 12, FLOAT, &[1024, 1024], &[0, 1024]);
    let halves = chain("MatMul", 24, FLOAT16, &[1024, 1024], &[0, 1024]);
    let convolutions = chain("Conv", 6, FLOAT, &[512, 512, 3, 3], &[1, 512, 16, 16]);
    // With the least that each takes once it is loaded, in multiples of the weights.
    for (model, options, x, least) in [
        (&products, &optimized, vec![1, 1024], 1),
        (&products, &as_it_is, vec![1, 1024], 1),
        (&halves, &optimized, vec![1, 1024], 2),
        (&convolutions, &optimized, vec![1, 512, 16, 16], 1),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("model.onnx"), model).unwrap();
        let size = model.len() as u64;
        let estimate = estimate(&platform, directory.path(), options).unwrap();
        let (loading, loaded) = (ram(&estimate.loading), ram(&estimate.loaded));
        let elements = x.iter().product::<i64>() as usize;
        let x = tensor(&x, vec![0f32; elements]);
        // Once before, so that what ONNX Runtime itself needs is there.
        run(&*load_by(&platform, directory.path(), options).unwrap(), &[("x", &x)], &[]).unwrap();
        let before = status("VmRSS");
        // Begins a new peak (proc_pid_clear_refs(5)).
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let model = load_by(&platform, directory.path(), options).unwrap();
        let [peak, steady] = ["VmHWM", "VmRSS"].map(|name| status(name).saturating_sub(before));
        drop(model);
        let figures = format!("{size}: {peak} of {loading}, then {steady} of {loaded}");
        assert!(peak <= loading && steady <= loaded, "{figures}");
        // And the load was seen, and the estimate is not beyond all measure.
        assert!(steady >= size * least * 9 / 10 && loading <= 3 * peak, "{figures}");
    }
}

#[test]
fn a_file_that_is_no_model_cannot_be_estimated_and_a_missing_one_is_told_as_the_load_does() {
    let platform = OnnxRuntime::new(LibrarySearch::new());
    let directory = tempfile::tempdir().unwrap();
    let id = ServableId::new("m", Version::new(3).unwrap());
    let none = Options::new();
    let request = LoadRequest {
        id: &id,
        directory: directory.path(),
        options: &none,
        cancel: Cancellation::NEVER,
        batcher: salver_core_platform::unbatched(),
    };
    let status = platform.estimate(&request).unwrap_err();
    assert!(status.message().contains("no `*.onnx` file"), "{status}");
    fs::write(directory.path().join("model.onnx"), b"\xffnot a model\n").unwrap();
    assert_eq!(platform.estimate(&request), Ok(None));
}
