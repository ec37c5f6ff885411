//! A platform in processes of its own: what it answers, and what becomes of it when they end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::allow_attributes, reason = "a test's own")]

#[path = "../../host/tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_core_platform::{
    CancelFlag, LoadRequest, Model, OptionValue, Options, Platform, Probe, RequestContext, unbatched,
};
use salver_core_servable::{ServableId, Version};
use salver_core_status::Code;
use salver_core_tensor::{DType, Shape, Tensor};
use salver_plugins_host::{HostServices, PluginMetrics};
use salver_plugins_isolated::{Isolation, Program};
use support::*;

fn isolation() -> Isolation {
    isolation_with(HostServices::default())
}

fn isolation_with(services: HostServices) -> Isolation {
    let program = Program { path: env!("CARGO_BIN_EXE_salver-worker").into(), arguments: Vec::new() };
    Isolation::new(program, services).unwrap()
}

/// The platform of `misbehaving/crashing.c`, and the folder in which it is.
fn crashing() -> (Arc<dyn Platform>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let library = misbehaving("crashing", &["-D_GNU_SOURCE"], folder.path());
    (isolation().platform("crashing", &library, None), folder)
}

fn option(name: &str, text: &str) -> Options {
    let mut options = Options::new();
    options.set(name, OptionValue::Text(text.to_owned()));
    options
}

/// The process that runs the model.
fn process(model: &dyn Model) -> i64 {
    run(model, "answers", &[]).unwrap()[0].view().as_slice::<i64>().unwrap()[0]
}

/// Asks until the model is there again.
fn process_again(model: &dyn Model) -> i64 {
    let start = Instant::now();
    loop {
        match run(model, "answers", &[]) {
            Ok(outputs) => return outputs[0].view().as_slice::<i64>().unwrap()[0],
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status}");
                assert!(start.elapsed() < Duration::from_secs(60), "{status}");
                std::thread::yield_now();
            }
        }
    }
}

fn is_there(process: i64) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

/// The echo platform, in processes of its own.
fn echo() -> Arc<dyn Platform> {
    isolation().platform("echo", &cdylib("salver-platforms-echo-plugin"), None)
}

/// A folder with a model that returns its only input.
fn mirror(dtype: DType) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let input = format!("{{ name = 'x', dtype = '{}' }}", dtype.name());
    let text = format!("[signatures.serving_default]\ninputs = [{input}]\noutputs = {{ y = 'x' }}\n");
    std::fs::write(folder.path().join("echo.toml"), text).unwrap();
    folder
}

#[test]
fn a_crash_costs_the_model_a_restart_and_its_callers_an_unavailable() {
    let (platform, folder) = crashing();
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    let neighbour = load(&*platform, folder.path(), &Options::new()).unwrap();
    let (first, other) = (process(&*model), process(&*neighbour));
    assert!(first != i64::from(std::process::id()) && other != first, "each has a process of its own");

    let status = run(&*model, "crashes", &[]).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("SIGSEGV"), "{status}");
    let second = process_again(&*model);
    assert_ne!(second, first);

    let status = run(&*model, "exits", &[]).unwrap_err();
    assert!(status.message().contains("exit status: 3"), "{status}");
    assert_ne!(process_again(&*model), second);
    assert_eq!(process(&*neighbour), other, "the neighbour has noticed nothing");
}

#[test]
fn a_process_that_is_killed_from_outside_is_started_again_and_those_who_wait_are_told() {
    let (platform, folder) = crashing();
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    let first = process(&*model);
    std::thread::scope(|scope| {
        let waits: Vec<_> = (0..4).map(|_| scope.spawn(|| run(&*model, "waits", &[]))).collect();
        // All of them are under way when there is a thread for each in the worker: its own three and theirs.
        let threads = || std::fs::read_dir(format!("/proc/{first}/task")).unwrap().count();
        while threads() < 3 + waits.len() {
            std::thread::yield_now();
        }
        let pid = rustix::process::Pid::from_raw(i32::try_from(first).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        for wait in waits {
            let status = wait.join().unwrap().unwrap_err();
            assert_eq!(status.code(), Code::Unavailable);
            assert!(status.message().contains("SIGKILL"), "{status}");
        }
    });
    assert_ne!(process_again(&*model), first);
}

#[test]
fn a_run_is_cancelled_across_the_processes() {
    let (platform, folder) = crashing();
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    let first = process(&*model);
    let context = RequestContext::default();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| run_in(&*model, "waits", &[], &context));
        context.cancel.cancel();
        assert_eq!(run.join().unwrap().unwrap_err().code(), Code::Cancelled);
    });
    assert_eq!(process(&*model), first, "nothing was lost by it");
}

#[test]
fn a_deadline_is_the_same_moment_in_the_other_process() {
    let platform = echo();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("echo.toml"), "[signatures.serving_default]\ndelay_ms = 60000\n")
        .unwrap();
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    let deadline = Instant::now() + Duration::from_millis(50);
    let context = RequestContext { deadline: Some(deadline), ..RequestContext::default() };
    assert_eq!(run_in(&*model, "", &[], &context).unwrap_err().code(), Code::DeadlineExceeded);
    assert!(Instant::now() >= deadline);
}

#[test]
fn a_model_that_does_not_load_says_why_and_a_crash_while_loading_is_told() {
    let (platform, folder) = crashing();
    let failed = |how: &str| load(&*platform, folder.path(), &option("how", how)).err().unwrap();
    let status = failed("fails");
    assert_eq!(status.code(), Code::DataLoss);
    assert!(status.message().contains("the disk is on fire"), "{status}");
    let status = failed("crashes");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("SIGABRT"), "{status}");
    assert!(process(&*load(&*platform, folder.path(), &Options::new()).unwrap()) > 0);
}

#[test]
fn a_load_that_is_no_longer_wanted_is_given_up_in_the_other_process() {
    let (platform, folder) = crashing();
    let (id, cancel) = (ServableId::new("m", Version::new(1).unwrap()), CancelFlag::new());
    let options = option("how", "waits");
    let (directory, batcher) = (folder.path(), unbatched());
    let request = LoadRequest { id: &id, directory, options: &options, cancel: cancel.watch(), batcher };
    cancel.cancel();
    assert_eq!(platform.load(&request).err().unwrap().code(), Code::Cancelled);
}

#[test]
fn nothing_is_left_of_a_model_that_is_dropped() {
    let (platform, folder) = crashing();
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    let process = process(&*model);
    assert!(is_there(process));
    drop(model);
    assert!(!is_there(process));
}

#[test]
fn outputs_outlive_the_process_that_made_them() {
    let folder = mirror(DType::F32);
    let model = load(&*echo(), folder.path(), &Options::new()).unwrap();
    let sent: Vec<_> = (0..5).map(|index| floats(&[index as f32; 7])).collect();
    let outputs: Vec<_> = sent.iter().map(|tensor| run(&*model, "", &[tensor]).unwrap()).collect();
    drop(model);
    for (output, sent) in outputs.iter().zip(&sent) {
        assert_eq!(output, std::slice::from_ref(sent));
    }
}

#[test]
fn many_run_at_once_and_each_gets_its_own_answer() {
    let folder = mirror(DType::I64);
    let model = load(&*echo(), folder.path(), &Options::new()).unwrap();
    std::thread::scope(|scope| {
        for client in 0..8i64 {
            let model = &model;
            scope.spawn(move || {
                // Sizes that grow and shrink, and answers that are kept while the next are made.
                let mut kept = Vec::new();
                for round in 0..50 {
                    let length = 1 + (client * 977 + round * 7919) % 40_000;
                    let values = vec![client * 1000 + round; usize::try_from(length).unwrap()];
                    let sent = Tensor::from_vec(Shape::new(&[length]).unwrap(), values).unwrap();
                    let got = run(&**model, "", &[&sent]).unwrap();
                    kept.push((sent, got));
                    if round % 3 == 0 {
                        kept.clear();
                    }
                    assert!(kept.iter().all(|(sent, got)| got.as_slice() == std::slice::from_ref(sent)));
                }
            });
        }
    });
}

#[test]
fn large_tensors_cross_and_leave_nothing_behind() {
    let folder = mirror(DType::U8);
    let model = load(&*echo(), folder.path(), &Options::new()).unwrap();
    let shared = || {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let of_tensors = maps.split("memfd:salver-tensors").skip(1);
        let sizes = of_tensors
            .filter_map(|map| map.split("Size:").nth(1)?.split_whitespace().next()?.parse::<u64>().ok());
        sizes.sum::<u64>()
    };
    for megabytes in [100i64, 1, 40] {
        let bytes: Vec<u8> = (0..megabytes << 20).map(|index| (index % 251) as u8).collect();
        let sent = Tensor::from_vec(Shape::new(&[megabytes << 20]).unwrap(), bytes).unwrap();
        assert_eq!(run(&*model, "", &[&sent]).unwrap(), [sent]);
        let kilobytes = shared();
        assert!(kilobytes <= 40 << 10, "{kilobytes} kB are shared yet");
    }
}

#[test]
fn a_plugin_that_cannot_be_used_and_a_platform_that_it_has_not_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("no.so");
    std::fs::write(&library, "no library").unwrap();
    let missing = isolation().platform("any", &library, None);
    let status = load(&*missing, folder.path(), &Options::new()).err().unwrap();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("no.so"), "{status}");
    let other = isolation().platform("other", &cdylib("salver-platforms-echo-plugin"), None);
    let status = load(&*other, folder.path(), &Options::new()).err().unwrap();
    assert!(status.message().contains("has no platform `other`"), "{status}");
}

#[test]
fn a_program_that_is_no_worker_is_told() {
    for (path, part) in [("/bin/true", "ended with"), ("/no/such/program", "No such file")] {
        let program = Program { path: PathBuf::from(path), arguments: Vec::new() };
        let platform = Isolation::new(program, HostServices::default()).unwrap();
        let platform = platform.platform("echo", Path::new("echo.so"), None);
        let status = load(&*platform, Path::new("/"), &Options::new()).err().unwrap();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains(part), "{status}");
    }
}

#[test]
fn models_are_recognised_and_estimated_by_a_process_of_the_platform_s() {
    let (platform, folder) = crashing();
    assert!(matches!(platform.probe(folder.path()), Probe::NoMatch { .. }));
    std::fs::write(folder.path().join("crash.txt"), "").unwrap();
    assert_eq!(platform.probe(folder.path()), Probe::Match { file: "crash.txt".to_owned() });
    let echo = echo();
    assert!(matches!(echo.probe(folder.path()), Probe::NoMatch { reason } if reason.contains("echo.toml")));
    let mirror = mirror(DType::Bool);
    assert_eq!(echo.probe(mirror.path()), Probe::Match { file: "echo.toml".to_owned() });
    let (id, options) = (ServableId::new("m", Version::new(1).unwrap()), Options::new());
    let request = LoadRequest {
        id: &id,
        directory: mirror.path(),
        options: &options,
        cancel: salver_core_platform::Cancellation::NEVER,
        batcher: unbatched(),
    };
    assert_eq!(echo.estimate(&request).unwrap(), None);
}

#[test]
fn what_a_plugin_counts_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let library = misbehaving("running", &[], folder.path());
    let figures = Arc::new(Figures::default());
    let metrics = Arc::clone(&figures) as Arc<dyn PluginMetrics>;
    let platform = isolation_with(HostServices { metrics, ..HostServices::default() });
    let platform = platform.platform("running", &library, None);
    let model = load(&*platform, folder.path(), &Options::new()).unwrap();
    figures.wait_for("loaded", 1.0);
    assert_eq!(run(&*model, "good", &[]).unwrap(), [floats(&[1.0, 2.0])]);
}
