//! What a model will take, by what its file declares.
//!
//! Measured with ONNX Runtime 1.31 on x86-64, models of 200 MB, resident bytes in multiples of the file's size:
//!
//! | model | at most while loading | once loaded |
//! |---|---|---|
//! | matrix products (`MatMul`, `Gemm`), 12 weights | 1.08 | 1.00 |
//! | the same with weights in a file of their own | 1.08 | 1.00 |
//! | the same, laid out as the file is (`prepacking` off) | 0 | 1.00 once they were used |
//! | the same with weights that are transposed while they are loaded | 2.08 | 1.00 |
//! | convolutions (`Conv`), 21 weights | 2.15 | 1.00 |
//! | 16-bit floats, computed as 32-bit floats, 24 weights | 3.04 | 2.00 |
//! | 25,000 weights of 8 KB, as many operators | 2.57 | 2.55; 1.56 after the allocator was trimmed |
//! | any of these but the last, with `graph_optimization` off | 1.08 | 1.00 |
//!
//! A small model takes 70 to 150 KB, and 40 KB for each thread of its own. With `memory_arena` nothing differs but for
//! what runs take, which is counted nowhere: it depends on what is asked. On a GPU nothing was measured.

use std::num::NonZeroUsize;

use salver_core_platform::LoadRequest;
use salver_core_resource::{Allocation, Estimate, GPU, RAM_BYTES, Resource};

use crate::settings::{Device, Settings};
use crate::weights::{Weights, weights};
use crate::{Error, load};

/// A session without weights.
const SESSION_BYTES: u64 = 256 << 10;

/// A weight or an operator, whatever its size.
const PIECE_BYTES: u64 = 4 << 10;

/// A thread of a model's own.
const THREAD_BYTES: u64 = 64 << 10;

/// What loading a model takes; `None` where its file is not one that can be read here.
pub(crate) fn estimate(threads: NonZeroUsize, request: &LoadRequest<'_>) -> Result<Option<Estimate>, Error> {
    let settings = Settings::read(request.options)?;
    let file = load::model_file(request.directory, &settings)?;
    // A file that is not there, or no model, is told better by the load.
    let weights = weights(&file).ok();
    Ok(weights.map(|weights| bound(&weights, &settings, threads)))
}

/// Upper bounds of what was measured.
fn bound(weights: &Weights, settings: &Settings, threads: NonZeroUsize) -> Estimate {
    let as_stored = weights.other.saturating_add(weights.half);
    let (kept, copied) = if settings.optimizes() {
        // Halves become whole, and what is laid out anew is there twice for a while.
        (as_stored.saturating_add(weights.half), as_stored.saturating_add(as_stored / 4))
    } else {
        (as_stored, 0)
    };
    let own_threads = if settings.wants_own_pool() { threads_of(settings, threads) } else { 0 };
    let rest = SESSION_BYTES
        .saturating_add(weights.pieces.saturating_mul(PIECE_BYTES))
        .saturating_add(own_threads.saturating_mul(THREAD_BYTES))
        // What was read of small weights is freed to the allocator, and stays there until it is trimmed.
        .saturating_add(weights.small);
    // One after the other, each is there twice: as it was read, and where it stays.
    let largest = weights.largest.saturating_add(weights.largest / 2);
    let loading = kept.saturating_add(copied).saturating_add(largest).saturating_add(rest);
    match settings.device {
        Device::Cpu => Estimate {
            loading: Allocation::ram_bytes(loading),
            loaded: Allocation::ram_bytes(kept.saturating_add(rest)),
        },
        Device::Cuda(number) => {
            let on = |ram: u64, gpu: u64| {
                let gpu = (Resource::bound(GPU, number.unsigned_abs(), RAM_BYTES), gpu);
                [(Resource::ram(), ram), gpu].into_iter().collect()
            };
            // The weights are read into the machine's memory, and leave it.
            let loaded = kept.saturating_add(largest);
            Estimate { loading: on(loading, loaded), loaded: on(rest, loaded) }
        }
    }
}

fn threads_of(settings: &Settings, threads: NonZeroUsize) -> u64 {
    let within = settings.intra_op_threads.unwrap_or(threads.get());
    let over = settings.inter_op_threads.unwrap_or(if settings.parallel { threads.get() } else { 1 });
    (within as u64).saturating_add(over as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_platform::{OptionValue, Options};

    const MB: u64 = 1 << 20;

    #[track_caller]
    fn check(weights: Weights, options: &[(&str, &str)], loading: u64, loaded: u64) {
        let mut all = Options::new();
        for (name, value) in options {
            all.set(*name, OptionValue::Text((*value).to_owned()));
        }
        let settings = Settings::read(&all).unwrap();
        let estimate = bound(&weights, &settings, NonZeroUsize::MIN);
        let of = |allocation: &Allocation| allocation.get(&Resource::ram()) / MB;
        assert_eq!((of(&estimate.loading), of(&estimate.loaded)), (loading, loaded));
    }

    #[test]
    fn every_model_that_was_measured_is_within_its_estimate() {
        let whole = Weights { other: 200 * MB, largest: 16 * MB, ..Weights::default() };
        // 216 MB and 430 MB, and 200 MB.
        check(whole, &[], 474, 200);
        check(whole, &[("graph_optimization", "disable")], 224, 200);
        // 608 MB and 400 MB.
        let half = Weights { half: 200 * MB, largest: 8 * MB, ..Weights::default() };
        check(half, &[], 662, 400);
        // 514 MB and 510 MB.
        let many = Weights { other: 200 * MB, small: 200 * MB, pieces: 50_000, ..Weights::default() };
        check(many, &[], 845, 595);
    }

    #[test]
    fn weights_for_a_gpu_count_there_and_pass_through_the_machine_s_memory() {
        let weights = Weights { other: 200 * MB, ..Weights::default() };
        check(weights, &[("device", "cuda:3")], 450, 0);
        let mut options = Options::new();
        options.set("device", OptionValue::Text("cuda:3".to_owned()));
        let estimate = bound(&weights, &Settings::read(&options).unwrap(), NonZeroUsize::MIN);
        let gpu = Resource::bound(GPU, 3, RAM_BYTES);
        assert_eq!((estimate.loading.get(&gpu), estimate.loaded.get(&gpu)), (200 * MB, 200 * MB));
    }

    #[test]
    fn no_declaration_is_too_large_to_add_up() {
        let most = u64::MAX;
        let weights = Weights { half: most, other: most, largest: most, small: most, pieces: most };
        check(weights, &[("execution_mode", "parallel")], most / MB, most / MB);
    }
}
