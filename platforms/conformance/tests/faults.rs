//! Each case fails for a platform that does not do what the case is about, and says so.
#![cfg(test)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Instant;

use salver_core_platform::{LoadRequest, Model, Options, Platform, Probe, RunRequest};
use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
use salver_core_status::Status;
use salver_core_tensor::{DType, Shape, Tensor};
use salver_platforms_conformance::{Outcome, Subject, cases, exceptions};

/// What the platform does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    TakesAnyDirectory,
    LoadsNothing,
    LoadsGarbage,
    ChangesItsMind,
    ForgetsElements,
    ReturnsAnotherType,
    PanicsOnNone,
    NeedsItsThread,
    MisnamesCancellation,
    IsSpoiltByDeadlines,
    Leaks,
    StartsThreads,
}

/// Returns its one input, FP32 of any shape, but for the fault.
struct Faulty(Fault);

struct FaultyModel {
    fault: Fault,
    signatures: SignatureSet,
    thread: ThreadId,
    had_a_deadline: AtomicBool,
}

/// Memory that is never given back.
static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

const FILE: &str = "model.txt";

impl Platform for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }

    fn probe(&self, directory: &Path) -> Probe {
        match self.0 {
            Fault::TakesAnyDirectory => Probe::Match { file: FILE.to_owned() },
            _ => Probe::by_file(directory, FILE),
        }
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        static LOADS: AtomicUsize = AtomicUsize::new(0);
        let fault = self.0;
        let text = std::fs::read(request.directory.join(FILE)).unwrap_or_default();
        let is_good = match fault {
            Fault::LoadsNothing => true,
            Fault::LoadsGarbage => !text.is_empty(),
            _ => text == b"model",
        };
        if !is_good {
            return Err(Status::invalid_argument("no model"));
        }
        if fault == Fault::Leaks {
            KEPT.lock().unwrap().push(vec![1; 4 << 20]);
        }
        if fault == Fault::StartsThreads {
            let wait = || loop {
                std::thread::park();
            };
            (0..8).for_each(|_| drop(std::thread::spawn(wait)));
        }
        let output = match fault {
            Fault::ChangesItsMind => format!("y{}", LOADS.fetch_add(1, Ordering::Relaxed)),
            _ => "y".to_owned(),
        };
        let tensor = |name: &str| TensorSpec::new(name, DType::F32, ShapeSpec::any());
        let signatures =
            SignatureSet::new(vec![Signature::predict(vec![tensor("x")], vec![tensor(&output)])])?;
        Ok(Box::new(FaultyModel {
            fault,
            signatures,
            thread: std::thread::current().id(),
            had_a_deadline: AtomicBool::new(false),
        }))
    }
}

impl Model for FaultyModel {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let x = request.input(0)?;
        let mut y = x.as_slice::<f32>()?.to_vec();
        let mut shape = x.shape().clone();
        match self.fault {
            Fault::ForgetsElements if !y.is_empty() => {
                y.truncate(1);
                shape = Shape::new(&[1])?;
            }
            Fault::ReturnsAnotherType => return Ok(vec![Tensor::from_vec(shape, vec![0u8; y.len()])?]),
            Fault::PanicsOnNone => assert!(!y.is_empty(), "no elements"),
            Fault::NeedsItsThread if std::thread::current().id() != self.thread => y.fill(7.0),
            Fault::IsSpoiltByDeadlines => {
                let has_deadline = request.context.deadline.is_some();
                if self.had_a_deadline.fetch_or(has_deadline, Ordering::Relaxed) && !has_deadline {
                    y.fill(7.0);
                }
            }
            Fault::MisnamesCancellation => {
                request
                    .context
                    .check(Instant::now())
                    .map_err(|status| Status::unavailable(status.message()))?;
            }
            _ => {}
        }
        Ok(vec![Tensor::from_vec(shape, y)?])
    }
}

fn identity(dtype: DType, _dims: &[i64], directory: &Path) -> std::io::Result<Option<Options>> {
    std::fs::write(directory.join(FILE), "model")?;
    Ok((dtype == DType::F32).then(Options::new))
}

fn subject(fault: Fault) -> Subject<'static> {
    Subject { identity: Some(&identity), ..Subject::new(Arc::new(Faulty(fault)), 2) }
}

fn outcome(fault: Fault, case: &str) -> Outcome {
    cases().iter().find(|each| each.name == case).unwrap().run(&subject(fault))
}

/// In one test: threads and memory of the process are looked at.
#[test]
fn each_fault_is_found_by_the_case_that_is_about_it() {
    let without = exceptions(&subject(Fault::None));
    assert_eq!(without, ["skipped strings: the framework has no strings"]);
    let ignored = Subject { ignored: &[("no-model", "needs none")], ..subject(Fault::LoadsNothing) };
    assert!(exceptions(&ignored).contains(&"skipped no-model: needs none".to_owned()));
    for (fault, case, message) in [
        (Fault::TakesAnyDirectory, "foreign-directory", "a directory that is not there is recognised"),
        (Fault::LoadsNothing, "no-model", "a directory without a model loads"),
        (Fault::LoadsGarbage, "garbage-model", "a model of garbage loads"),
        (Fault::ChangesItsMind, "stable-signatures", "first "),
        (Fault::ForgetsElements, "element-types", "FP32 "),
        (Fault::ForgetsElements, "ranks", "FP32 "),
        (Fault::ForgetsElements, "dynamic-shapes", "FP32 "),
        (
            Fault::ReturnsAnotherType,
            "declared-outputs",
            "signature `serving_default`: output is not as declared",
        ),
        (Fault::PanicsOnNone, "empty-dimensions", "the platform panicked: no elements"),
        (
            Fault::NeedsItsThread,
            "concurrent-runs",
            "signature `serving_default` on 8 threads: another answer",
        ),
        (
            Fault::MisnamesCancellation,
            "unwanted-requests",
            "signature `serving_default` answers a request that is cancelled with UNAVAILABLE: ",
        ),
        (
            Fault::IsSpoiltByDeadlines,
            "given-up-midway",
            "signature `serving_default`, cancelled 0ns after it was asked: another answer",
        ),
        (Fault::Leaks, "memory", "after 30 loads and unloads the process has 1"),
        (Fault::StartsThreads, "threads", "8 models start 64 threads, 64 are there when they are unloaded"),
    ] {
        let found = outcome(fault, case);
        assert!(matches!(&found, Outcome::Failed(why) if why.starts_with(message)), "{fault:?}: {found:?}");
    }
}
