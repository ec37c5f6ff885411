//! How much memory the process may have.

use std::fs;
use std::path::{Path, PathBuf};

/// How much memory there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In bytes.
    pub bytes: u64,
    /// The file that says so, such as `/sys/fs/cgroup/memory.max`, or `/proc/meminfo` for all that the machine has.
    pub source: PathBuf,
}

/// How much memory the process may have: the least that any of its control groups allows, and no more than the machine
/// has; `None` where neither is told.
///
/// Reads a few small files.
pub fn memory_limit() -> Option<Limit> {
    limit_under(Path::new("/"))
}

/// The same with another folder in the place of `/`.
fn limit_under(root: &Path) -> Option<Limit> {
    let read = |path: &Path| fs::read_to_string(root.join(path.strip_prefix("/").unwrap_or(path))).ok();
    let proc = |name: &str| read(Path::new(name)).unwrap_or_default();
    let groups = proc("/proc/self/cgroup");
    let mounts = proc("/proc/self/mountinfo");
    let group_limit = |path: PathBuf| {
        let bytes = parse_limit(&read(&path)?)?;
        Some(Limit { bytes, source: path })
    };
    let machine = parse_total(&proc("/proc/meminfo"))
        .map(|bytes| Limit { bytes, source: PathBuf::from("/proc/meminfo") });
    let files = mounts.lines().filter_map(Hierarchy::read).flat_map(|hierarchy| hierarchy.files(&groups));
    // Of equals the first counts: where a group allows all that the machine has, the machine is the limit.
    machine.into_iter().chain(files.filter_map(group_limit)).min_by_key(|limit| limit.bytes)
}

/// A tree of control groups that limits memory, as it is mounted.
struct Hierarchy<'a> {
    version: Version,
    /// The group that is at the mount point: not the topmost one where only a part of the tree is mounted.
    root: &'a str,
    mount_point: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl<'a> Hierarchy<'a> {
    /// Reads a line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)); `None` for any other kind of mount.
    fn read(line: &'a str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut file_system = file_system.split(' ');
        let version = match (file_system.next()?, file_system.nth(1)) {
            ("cgroup2", _) => Version::Two,
            ("cgroup", Some(options)) if options.split(',').any(|option| option == "memory") => Version::One,
            _ => return None,
        };
        let mut mount = mount.split(' ').skip(3);
        Some(Self { version, root: mount.next()?, mount_point: mount.next()? })
    }

    /// The files that limit the process, by the lines of `/proc/self/cgroup`: its own group's and of those above.
    fn files(self, groups: &str) -> Vec<PathBuf> {
        let own = groups.lines().find_map(|line| self.group(line)).unwrap_or("/");
        // The process's group is not below the mounted one where the line tells of another namespace's tree.
        let below = Path::new(own).strip_prefix(self.root).unwrap_or(Path::new(""));
        let file = match self.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        below.ancestors().map(|group| Path::new(self.mount_point).join(group).join(file)).collect()
    }

    /// The group in a line of `/proc/self/cgroup`, such as `4:memory:/docker/1f`, if it is of this tree.
    fn group<'l>(&self, line: &'l str) -> Option<&'l str> {
        let (_number, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        let is_of_this = match self.version {
            Version::One => controllers.split(',').any(|controller| controller == "memory"),
            Version::Two => controllers.is_empty(),
        };
        is_of_this.then_some(group)
    }
}

/// A number of bytes in a control group's file; `None` for no limit: `max`, or in version 1 a number that no machine has.
fn parse_limit(text: &str) -> Option<u64> {
    /// Version 1 says "none" as the largest multiple of a page below 2^63.
    const NONE_FROM: u64 = 1 << 62;
    text.trim().parse().ok().filter(|bytes| *bytes < NONE_FROM)
}

/// The machine's memory in bytes, by `/proc/meminfo`.
fn parse_total(meminfo: &str) -> Option<u64> {
    let kilobytes = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    kilobytes.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests;
