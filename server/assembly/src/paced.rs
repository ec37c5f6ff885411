//! Work that may be asked for often, and is done as often as it is worth it.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How many times as long as the work took nothing is done after it: it takes a tenth of a processor at most.
const PAUSE: u32 = 9;

/// Does something when it is asked to: at once where it has not been done lately, else in a while, once for all who asked.
/// After the last request it is always done once more.
pub(crate) struct Paced {
    shared: Arc<Shared>,
    later: SyncSender<Instant>,
}

struct Shared {
    body: Box<dyn Fn() + Send + Sync>,
    pace: Mutex<Pace>,
}

struct Pace {
    /// When it may be done again.
    next: Instant,
    /// Whether it will be.
    is_put_off: bool,
}

impl Paced {
    pub(crate) fn new(name: &str, body: impl Fn() + Send + Sync + 'static) -> Self {
        let pace = Mutex::new(Pace { next: Instant::now(), is_put_off: false });
        let shared = Arc::new(Shared { body: Box::new(body), pace });
        // Never more than one is put off.
        let (later, put_off) = sync_channel::<Instant>(1);
        let work = {
            let shared = Arc::clone(&shared);
            move || {
                for at in put_off {
                    thread::sleep(at.saturating_duration_since(Instant::now()));
                    let mut pace = shared.pace.lock();
                    pace.is_put_off = false;
                    shared.work(&mut pace);
                }
            }
        };
        if let Err(error) = thread::Builder::new().name(name.to_owned()).spawn(work) {
            // Without it every request is met at once.
            tracing::warn!(name, %error, "no thread");
        }
        Self { shared, later }
    }

    /// Asks for it. Does it on the calling thread, or returns at once.
    pub(crate) fn ask(&self) {
        let mut pace = self.shared.pace.lock();
        if pace.is_put_off {
            return;
        }
        if Instant::now() < pace.next && self.later.try_send(pace.next).is_ok() {
            pace.is_put_off = true;
        } else {
            self.shared.work(&mut pace);
        }
    }
}

impl Shared {
    fn work(&self, pace: &mut Pace) {
        let start = Instant::now();
        (self.body)();
        let took: Duration = start.elapsed();
        pace.next = Instant::now() + PAUSE * took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn what_is_asked_for_all_the_time_is_done_now_and_then_and_once_after_the_last_request() {
        let (done, times) = channel();
        let paced = Paced::new("test", move || {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(1) {}
            done.send(start).unwrap();
        });
        paced.ask();
        times.try_recv().expect("the first is done at once, by who asks");
        let start = Instant::now();
        let (mut asked, mut last) = (0, start);
        while start.elapsed() < Duration::from_millis(50) {
            last = Instant::now();
            paced.ask();
            asked += 1;
        }
        let mut count = 0;
        loop {
            count += 1;
            if times.recv().unwrap() >= last {
                break;
            }
        }
        // Each takes a tenth of the time.
        let room = start.elapsed().as_millis() / 10 + 2;
        assert!(count <= room && asked > count, "{count} of {asked}");
    }
}
