//! The look-up on one thread, in criterion's form: `cargo bench -p salver-benches --bench lookup`.
//!
//! Budget: a handle in 100 ns, quiet or with a swap each millisecond. `cargo xtask bench lookup` has the same shapes on
//! more threads, and the promises.

#[path = "../src/lookup/contenders.rs"]
mod contenders;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use salver_core_servable::VersionChoice;

use contenders::{
    Contender, Locked, Request, STREAMS, Salver, Sharded, Swapped, VERSIONS, draw, label, name_of, work,
};

const SWAP_EVERY: Duration = Duration::from_millis(1);

fn handles(criterion: &mut Criterion) {
    handle_of::<Salver>(criterion);
    handle_of::<Swapped>(criterion);
    handle_of::<Locked>(criterion);
    handle_of::<Sharded>(criterion);
    handle_by_label(criterion);
}

/// `BM_GetServableHandle` of TensorFlow Serving: 1,024 requests drawn beforehand, one after another.
fn handle_of<C: Contender>(criterion: &mut Criterion) {
    let (contender, requests) = (C::holding(STREAMS, &VERSIONS), draw());
    let mut requests = requests.iter().cycle();
    let mut group = criterion.benchmark_group("handle");
    group.throughput(Throughput::Elements(1)).bench_function(C::NAME, |bencher| {
        bencher.iter(|| {
            requests
                .next()
                .is_some_and(|Request { name, choice }| contender.look_up(name, black_box(*choice)))
        });
    });
}

fn handle_by_label(criterion: &mut Criterion) {
    let map = Salver::holding(STREAMS, &VERSIONS);
    let [older, _] = VERSIONS;
    label(&map, STREAMS, older);
    let name = name_of(0);
    let mut group = criterion.benchmark_group("handle");
    group.throughput(Throughput::Elements(1)).bench_function("serving map, by label", |bencher| {
        bencher.iter(|| map.look_up(black_box(&name), black_box(VersionChoice::Label("stable"))));
    });
}

fn reads(criterion: &mut Criterion) {
    for (shape, with_work, is_swapping) in [
        ("NoWork_NoUpdates", false, false),
        ("NoWork_FrequentUpdates", false, true),
        ("Work_NoUpdates", true, false),
        ("Work_FrequentUpdates", true, true),
    ] {
        let shape = Shape { name: shape, with_work, is_swapping };
        read_of::<Salver>(criterion, &shape);
        read_of::<Swapped>(criterion, &shape);
        read_of::<Locked>(criterion, &shape);
        read_of::<Sharded>(criterion, &shape);
    }
}

struct Shape {
    name: &'static str,
    with_work: bool,
    is_swapping: bool,
}

/// `BM_{NoWork,Work}_{NoUpdates,FrequentUpdates}_Reads` of TensorFlow Serving, on one thread.
fn read_of<C: Contender>(criterion: &mut Criterion, shape: &Shape) {
    let (contender, name, is_done) = (C::holding(1, &[0]), name_of(0), AtomicBool::new(false));
    thread::scope(|scope| {
        if shape.is_swapping {
            scope.spawn(|| {
                let mut version = 0;
                while !is_done.load(Ordering::Relaxed) {
                    thread::sleep(SWAP_EVERY);
                    contender.publish(&name, version + 1);
                    contender.withdraw(&name, version);
                    version += 1;
                }
            });
        }
        let mut group = criterion.benchmark_group(shape.name);
        group.throughput(Throughput::Elements(1)).bench_function(C::NAME, |bencher| {
            bencher.iter(|| {
                let is_found = contender.look_up(black_box(&name), black_box(VersionChoice::Latest));
                if shape.with_work {
                    work();
                }
                is_found
            });
        });
        group.finish();
        is_done.store(true, Ordering::Relaxed);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = handles, reads
}
criterion_main!(benches);
