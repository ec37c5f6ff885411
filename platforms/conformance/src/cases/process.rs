//! What models leave behind in the process.

use std::fs;

use crate::Subject;
use crate::case::{Fault, fail};
use crate::inputs::{self, Values};
use crate::process::{self, resident_bytes};
use crate::subject::answer;

use super::models::files;

/// Runs every signature once, whatever comes of it.
fn run_once(subject: &Subject<'_>, model: &dyn salver_core_platform::Model) {
    for (position, signature) in model.signatures().iter().enumerate() {
        if let Ok(inputs) = inputs::of_signature(subject, signature, 1, Values::Plain) {
            let _ = answer(model, position, signature, &inputs);
        }
    }
}

/// What a process may grow by for reasons of its own, such as an allocator that keeps what is freed.
const SLACK_BYTES: u64 = 16 << 20;

pub(super) fn memory(subject: &Subject<'_>) -> Result<(), Fault> {
    const WARM_UP: usize = 5;
    const CYCLES: usize = 30;
    let folder = subject.some_model()?;
    let cycle = || {
        let model = subject.load(&folder)?;
        run_once(subject, &*model);
        drop(model);
        subject.platform.trim();
        Ok::<_, Fault>(())
    };
    (0..WARM_UP).try_for_each(|_| cycle())?;
    let before = resident_bytes()?;
    (0..CYCLES).try_for_each(|_| cycle())?;
    let growth = resident_bytes()?.saturating_sub(before);
    // The model's files once more: half of a model that is kept each time is well above.
    let of_files: u64 =
        files(folder.path())?.iter().filter_map(|file| Some(fs::metadata(file).ok()?.len())).sum();
    let most = SLACK_BYTES.saturating_add(of_files);
    if growth > most {
        fail!(
            "after {CYCLES} loads and unloads the process has {growth} bytes more, at most {most} are well"
        );
    }
    Ok(())
}

pub(super) fn threads(subject: &Subject<'_>) -> Result<(), Fault> {
    /// So many that a pool for each, even one of a single thread, shows on two processors.
    const MODELS: usize = 8;
    /// Frameworks have one pool that computes and one that hands it work.
    const POOLS: usize = 2;
    /// Threads that do neither: a watcher, a logger.
    const HELPERS: usize = 2;
    let folder = subject.some_model()?;
    let before = process::threads()?;
    let models = (0..MODELS).map(|_| subject.load(&folder)).collect::<Result<Vec<_>, _>>()?;
    models.iter().for_each(|model| run_once(subject, &**model));
    let during = process::threads()?.saturating_sub(before);
    drop(models);
    let after = process::threads()?.saturating_sub(before);
    let most = subject.cpu_threads.saturating_mul(POOLS).saturating_add(HELPERS);
    if during.max(after) > most {
        fail!(
            "{MODELS} models start {during} threads, {after} are there when they are unloaded; at most {most} are well \
             where the server allows {}",
            subject.cpu_threads
        );
    }
    Ok(())
}
