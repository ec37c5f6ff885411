//! Limits as machines and containers of every kind tell them.

use super::*;

const UNIFIED: (&str, &str) =
    ("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
const GIGABYTE: u64 = 1 << 30;
const MACHINE: (&str, &str) = ("/proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n");

/// That a machine with these files has this limit.
#[track_caller]
fn check(files: &[(&str, &str)], wanted: Option<(u64, &str)>) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(&path[1..]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let found = limit_under(root.path());
    assert_eq!(found, wanted.map(|(bytes, source)| Limit { bytes, source: source.into() }));
}

#[test]
fn without_a_control_group_the_limit_is_what_the_machine_has() {
    check(&[MACHINE], Some((8 * GIGABYTE, "/proc/meminfo")));
    let unlimited = ("/sys/fs/cgroup/memory.max", "max\n");
    check(
        &[MACHINE, UNIFIED, ("/proc/self/cgroup", "0::/\n"), unlimited],
        Some((8 * GIGABYTE, "/proc/meminfo")),
    );
}

#[test]
fn where_nothing_is_told_there_is_no_limit() {
    check(&[], None);
    check(&[("/proc/meminfo", "MemTotal: many kB\n"), ("/proc/self/mountinfo", "garbage\n - \n")], None);
}

#[test]
fn the_smallest_limit_up_the_hierarchy_counts() {
    let files = |own: &'static str, above: &'static str| {
        [
            MACHINE,
            UNIFIED,
            ("/proc/self/cgroup", "0::/a.slice/b.scope\n"),
            ("/sys/fs/cgroup/a.slice/b.scope/memory.max", own),
            ("/sys/fs/cgroup/a.slice/memory.max", above),
        ]
    };
    let own = "/sys/fs/cgroup/a.slice/b.scope/memory.max";
    check(&files("1073741824\n", "2147483648\n"), Some((GIGABYTE, own)));
    check(&files("max\n", "2147483648\n"), Some((2 * GIGABYTE, "/sys/fs/cgroup/a.slice/memory.max")));
    check(&files("99999999999999\n", "max\n"), Some((8 * GIGABYTE, "/proc/meminfo")));
}

#[test]
fn in_a_container_that_sees_the_host_s_paths_the_mount_s_root_is_its_group() {
    let mount = "30 23 0:26 /docker/1f /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
    let limit = ("/sys/fs/cgroup/memory.max", "1073741824\n");
    for group in ["0::/docker/1f\n", "0::/../elsewhere\n", ""] {
        check(
            &[MACHINE, ("/proc/self/mountinfo", mount), ("/proc/self/cgroup", group), limit],
            Some((GIGABYTE, limit.0)),
        );
    }
    let below = ("/sys/fs/cgroup/child/memory.max", "1048576\n");
    check(
        &[MACHINE, ("/proc/self/mountinfo", mount), ("/proc/self/cgroup", "0::/docker/1f/child\n"), below],
        Some((1 << 20, below.0)),
    );
}

#[test]
fn version_one_limits_through_its_memory_controller_and_says_none_with_a_number() {
    let mounts = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        33 23 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let files = |own: &'static str, above: &'static str| {
        [
            MACHINE,
            ("/proc/self/mountinfo", mounts),
            ("/proc/self/cgroup", "5:cpu:/c\n4:memory:/job/1\n0::/\n"),
            ("/sys/fs/cgroup/memory/job/1/memory.limit_in_bytes", own),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", above),
            ("/sys/fs/cgroup/cpu/c/memory.limit_in_bytes", "1\n"),
        ]
    };
    let own = "/sys/fs/cgroup/memory/job/1/memory.limit_in_bytes";
    check(&files("1073741824\n", "9223372036854771712\n"), Some((GIGABYTE, own)));
    let none = "9223372036854771712\n";
    check(&files(none, none), Some((8 * GIGABYTE, "/proc/meminfo")));
}

#[test]
#[cfg(target_os = "linux")]
fn this_machine_has_a_limit() {
    let limit = memory_limit().unwrap();
    assert!(limit.bytes > 1 << 20 && limit.source.is_file(), "{limit:?}");
}
