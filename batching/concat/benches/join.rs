//! Joining the inputs of 32 requests: `cargo bench -p salver-batching-concat`.
//!
//! Budget: 32 x [1, 1024] FP32 joined at the speed of one `memcpy` of as much from 32 places into new memory, which is
//! measured beside it. Criterion prints both in GiB per second.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use salver_batching_concat::{PadValue, join, split};
use salver_core_tensor::{DType, Shape, Tensor};

const REQUESTS: usize = 32;
const ROW: usize = 1024;

fn requests(row: impl Fn(usize) -> usize) -> Vec<Tensor> {
    (0..REQUESTS)
        .filter_map(|at| {
            let shape = Shape::new(&[1, i64::try_from(row(at)).ok()?]).ok()?;
            Tensor::from_vec(shape, vec![1.0f32; row(at)]).ok()
        })
        .collect()
}

fn joining(criterion: &mut Criterion) {
    let parts = requests(|_| ROW);
    let parts: Vec<&Tensor> = parts.iter().collect();
    let bytes = REQUESTS * ROW * DType::F32.size().unwrap_or(1);
    let mut group = criterion.benchmark_group("32 x [1, 1024] FP32");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| {
            let mut out: Vec<u8> = Vec::with_capacity(bytes);
            for part in black_box(&parts) {
                out.extend_from_slice(part.view().bytes().unwrap_or_default());
            }
            out
        });
    });
    group.bench_function("join", |bencher| bencher.iter(|| join("x", black_box(&parts), REQUESTS, None)));
    let ragged = requests(|at| ROW - at);
    let ragged: Vec<&Tensor> = ragged.iter().collect();
    group.bench_function("join, ragged", |bencher| {
        bencher.iter(|| join("x", black_box(&ragged), REQUESTS, Some(PadValue::Zero)));
    });
    let whole = join("x", &parts, REQUESTS, None).unwrap_or_else(|error| panic!("{error}"));
    group.bench_function("split", |bencher| {
        bencher.iter(|| split("x", black_box(&whole), REQUESTS, &[1; REQUESTS]));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = joining
}
criterion_main!(benches);
