//! Threads of ONNX Runtime have the priority of the platform, not that of the thread that loads; and there are none but
//! those that compute.
//!
//! Alone in its process: it looks at every thread of it.
#![cfg(test)]
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{fixtures, library, load_by, options, run, tensor, text, with};
use rustix::process::{getpriority_process, setpriority_process};
use salver_core_platform::OptionValue;
use salver_platforms_onnxruntime::{LibrarySearch, OnnxRuntime};

/// A thread of this process.
#[derive(Debug)]
struct Thread {
    name: String,
    nice: i32,
}

fn threads() -> Vec<Thread> {
    let read = |task: fs::DirEntry| {
        // `17 (a name (of any kind)) S 1 ...`: the niceness is the 19th field (proc_pid_stat(5)).
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        let (before, after) = stat.rsplit_once(')')?;
        let (_id, name) = before.split_once(" (")?;
        let nice = after.split_ascii_whitespace().nth(16)?.parse().ok()?;
        Some(Thread { name: name.to_owned(), nice })
    };
    fs::read_dir("/proc/self/task").unwrap().filter_map(|task| read(task.unwrap())).collect()
}

#[test]
fn no_thread_of_a_pool_inherits_the_low_priority_of_the_thread_that_loads() {
    let Some(library) = library() else { return };
    let normal = getpriority_process(None).unwrap();
    let platform = OnnxRuntime::new(LibrarySearch::new()).with_threads(4);
    let shared = with(&options(&library), "file", text("two.onnx"));
    let own = with(&shared, "intra_op_threads", OptionValue::Int(3));
    let parallel = with(&shared, "execution_mode", text("parallel"));
    let load = || {
        setpriority_process(None, normal + 5).unwrap();
        // The first of them opens ONNX Runtime.
        [&shared, &own, &parallel].map(|options| load_by(&platform, &fixtures(), options).unwrap())
    };
    let models = std::thread::scope(|scope| scope.spawn(load).join().unwrap());
    let x = tensor(&[1, 2], vec![1f32, 2.0]);
    for model in &models {
        run(&**model, &[("a", &x), ("b", &x)], &[]).unwrap();
    }
    // Threads that are over, such as the one that loaded, are not gone at once. Those of pools stay.
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut threads = threads();
    while threads.iter().any(|thread| thread.nice != normal) && Instant::now() < deadline {
        std::thread::yield_now();
        threads = self::threads();
    }
    assert!(threads.iter().all(|thread| thread.nice == normal), "{threads:?}");
    // A pool counts the thread that runs: the shared one has three more, the first model's own two, the second's three.
    let ours = threads.iter().filter(|thread| thread.name.starts_with("onnx-")).count();
    assert!(ours >= 3 + 2 + 3, "{threads:?}");
    // Beside them, the test's own two: ONNX Runtime has no thread for its telemetry.
    assert_eq!(threads.len() - ours, 2, "{threads:?}");
}
