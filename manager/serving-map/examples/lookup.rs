//! Prints how many look-ups a core does in a second, with a version swapped every millisecond.
//!
//! The promise is 10 million. Run it with `cargo run --release -p salver-manager-serving-map --example lookup`.
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use salver_core_servable::{Lookup, ServableId, Version, VersionChoice};
use salver_manager_serving_map::ServingMap;

const LOOKUPS: u32 = 20_000_000;

fn main() {
    let map = Arc::new(ServingMap::<i64>::new());
    for stream in 0..100 {
        map.publish(id(&format!("model-{stream}"), 0), Arc::new(0), || {});
    }
    let is_done = Arc::new(AtomicBool::new(false));
    let swapper = {
        let (map, is_done) = (Arc::clone(&map), Arc::clone(&is_done));
        thread::spawn(move || {
            let mut number = 0;
            while !is_done.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
                map.publish(id("model-7", number + 1), Arc::new(number), || {});
                map.withdraw(&id("model-7", number));
                number += 1;
            }
            number
        })
    };
    let start = Instant::now();
    let misses =
        (0..LOOKUPS).filter(|_| map.get(black_box("model-7"), VersionChoice::Latest).is_err()).count();
    let elapsed = start.elapsed();
    is_done.store(true, Ordering::Relaxed);
    let swaps = swapper.join().unwrap_or_default();
    let per_second = f64::from(LOOKUPS) / elapsed.as_secs_f64() / 1e6;
    println!(
        "{per_second:.1} million look-ups a second on one core, {swaps} swaps meanwhile, {misses} misses"
    );
}

fn id(name: &str, number: i64) -> ServableId {
    ServableId::new(
        name,
        Version::new(number).unwrap_or_else(|| unreachable!("numbers here are not negative")),
    )
}
