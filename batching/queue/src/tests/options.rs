//! Options that make no sense.

use salver_batching_tune::LatencyTargetOptions;
use salver_core_status::Code;

use super::fixture::{level, ms};
use crate::{Level, QueueOptions, QueuePolicy, Tuning};

fn check(change: impl Fn(&mut QueueOptions), wanted: &str) {
    let mut options = QueueOptions { levels: vec![level(4), level(8)], ..QueueOptions::default() };
    assert_eq!(options.check(), Ok(()));
    change(&mut options);
    let status = options.check().unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, wanted));
}

fn check_level(change: Level, wanted: &str) {
    let level = |options: &mut QueueOptions| options.levels[1] = change.clone();
    check(level, &format!("levels[1].{wanted}"));
}

fn policy(policy: QueuePolicy) -> Level {
    Level { policy, ..level(8) }
}

#[test]
fn options_that_make_no_sense_together_are_named() {
    check(|options| options.levels.clear(), "levels is empty, at least one was wanted");
    check(
        |options| options.default_level = 2,
        "default_level is 2, less than 2, how many levels there are, was wanted",
    );
    check_level(level(0), "max_batch_size is 0, 1 or more was wanted");
    check_level(
        Level { max_execution_batch_size: 0, ..level(8) },
        "max_execution_batch_size is 0, 1 or more was wanted",
    );
    check_level(
        Level { max_execution_batch_size: 4, ..level(8) },
        "max_execution_batch_size is 4, max_batch_size, 8, was wanted where enable_large_batch_splitting is off",
    );
    check(
        |options| {
            options.enable_large_batch_splitting = true;
            options.levels[0].max_execution_batch_size = 5;
        },
        "levels[0].max_batch_size is 4, max_execution_batch_size, 5, or more was wanted",
    );
    let sizes = |allowed_batch_sizes| Level { allowed_batch_sizes, ..level(8) };
    check_level(sizes(vec![0, 8]), "allowed_batch_sizes is [0, 8], sizes of 1 or more were wanted");
    check_level(sizes(vec![4, 2, 8]), "allowed_batch_sizes is [4, 2, 8], ascending sizes were wanted");
    check_level(sizes(vec![4, 4, 8]), "allowed_batch_sizes is [4, 4, 8], ascending sizes were wanted");
    check_level(
        sizes(vec![2, 4]),
        "allowed_batch_sizes is [2, 4], max_execution_batch_size, 8, was wanted as the last",
    );
    let sizes = |preferred_batch_sizes| Level { preferred_batch_sizes, ..level(8) };
    check_level(sizes(vec![0]), "preferred_batch_sizes is [0], sizes of 1 or more were wanted");
    check_level(sizes(vec![3, 2]), "preferred_batch_sizes is [3, 2], ascending sizes were wanted");
    check_level(
        sizes(vec![3, 9]),
        "preferred_batch_sizes is [3, 9], at most max_execution_batch_size, 8, was wanted",
    );
    check_level(
        policy(QueuePolicy { max_queue_size: Some(0), ..QueuePolicy::default() }),
        "policy.max_queue_size is 0, none, or 1 or more, was wanted",
    );
    check_level(
        policy(QueuePolicy { default_timeout: Some(ms(0)), ..QueuePolicy::default() }),
        "policy.default_timeout is 0ns, none, or more than that, was wanted",
    );
    let target = LatencyTargetOptions { target: ms(0), max_batch_size: 8, allowed_batch_sizes: Vec::new() };
    check(
        |options| options.tuning = Tuning::LatencyTarget(target.clone()),
        "tuning: latency target is 0, more was wanted",
    );
}

#[test]
fn the_defaults_make_sense() {
    assert_eq!(QueueOptions::default().check(), Ok(()));
}
