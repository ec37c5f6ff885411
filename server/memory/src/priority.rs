//! Threads that step back for others.

use rustix::process::{getpriority_process, setpriority_process};

/// The niceness of a thread that loads: where processors are short it gets a tenth of what a request's thread gets.
const NICE: i32 = 10;

/// What [`lower_priority`] could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// Processors go to other threads first.
    pub processor: bool,
    /// Disks, too: where the I/O scheduler knows priorities, as BFQ does, and mq-deadline in part.
    pub disk: bool,
}

/// Lets every thread of normal priority go before the calling thread, from now on, and before those it starts.
///
/// For threads that load and do nothing else: a process without privileges cannot undo it. A thread inherits its
/// priority from the one that starts it, so whatever is to answer requests must not be started by the calling thread.
pub fn lower_priority() -> Lowered {
    // For Linux, unlike POSIX, the niceness is the calling thread's own.
    let is_low = || getpriority_process(None).is_ok_and(|nice| nice >= NICE);
    let processor = is_low() || setpriority_process(None, NICE).is_ok();
    Lowered { processor, disk: lower_io_priority() }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no library has this system call")]
fn lower_io_priority() -> bool {
    /// `IOPRIO_WHO_PROCESS` of Linux's `include/uapi/linux/ioprio.h`; a thread is a process here, 0 the calling one.
    const WHO_THREAD: libc::c_int = 1;
    /// `IOPRIO_CLASS_BE`, best effort, at 7, the lowest of its levels. Not the idle class, which could wait for ever.
    const LOWEST: libc::c_int = (2 << 13) | 7;
    // SAFETY: the call takes three integers, and changes nothing but the calling thread's I/O priority.
    unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_THREAD, 0, LOWEST) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn lower_io_priority() -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn nice() -> Option<i32> {
        getpriority_process(None).ok()
    }

    #[test]
    fn a_thread_steps_back_and_what_it_starts_with_it_while_others_stay_as_they_were() {
        let normal = nice();
        let lowered = std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                let lowered = lower_priority();
                let inherited = scope.spawn(nice).join().unwrap();
                let low = normal.max(Some(NICE));
                assert_eq!((nice(), inherited), (low, low));
                assert_eq!(lower_priority(), lowered, "once more does nothing more");
                lowered
            });
            load.join().unwrap()
        });
        assert_eq!((lowered, nice()), (Lowered { processor: true, disk: true }, normal));
    }
}
