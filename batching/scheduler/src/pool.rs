//! The threads of a pool: they ask the core what to do, and do it outside its lock.
//!
//! A thread that rests is known to the core as resting before the lock is released; whoever changes something finds it
//! there, takes it off the list, releases the lock and calls it. However a thread came to be awake, it asks the core.

use std::any::Any;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use salver_batching_queue::{Dropped, Task};
use salver_core_clock::Clock;

use crate::Consumer;
use crate::core::Core;
use crate::sync::{Bed, Builder, JoinHandle, Mutex};
use crate::work::{Ended, Gone, Next, Ran, Wake, Work};

/// What the threads of a pool share with whoever schedules.
pub(crate) struct Pool<T: Task> {
    /// Held for decisions, never while one is carried out.
    pub(crate) core: Mutex<Core<T>>,
    pub(crate) clock: Arc<dyn Clock>,
    beds: Vec<Bed>,
    /// Of the thread that rejects, where there is one.
    rejecters_bed: Bed,
}

impl<T: Task> Pool<T> {
    pub(crate) fn new(core: Core<T>, clock: Arc<dyn Clock>, threads: usize) -> Self {
        let beds = (0..threads).map(|_| Bed::default()).collect();
        Self { core: Mutex::new(core), clock, beds, rejecters_bed: Bed::default() }
    }

    /// Starts one of the threads.
    pub(crate) fn start_worker(self: &Arc<Self>, name: &str, worker: usize) -> io::Result<JoinHandle<()>> {
        let pool = Arc::clone(self);
        Builder::new().name(format!("{name}-{worker}")).spawn(move || pool.work(worker))
    }

    /// Starts the thread that answers tasks which waited too long, whatever the others do.
    pub(crate) fn start_rejecter(self: &Arc<Self>, name: &str) -> io::Result<JoinHandle<()>> {
        let pool = Arc::clone(self);
        Builder::new().name(format!("{name}-timeout")).spawn(move || pool.reject())
    }

    fn work(&self, worker: usize) {
        let Some(bed) = self.beds.get(worker) else { return };
        bed.claim();
        let mut ended = None;
        loop {
            let now = self.clock.now();
            let (next, gone, wake) = self.core.lock().next(worker, ended.as_ref(), now);
            self.wake(wake);
            farewell(gone);
            ended = None;
            match next {
                Next::Run(work) => ended = Some(run(work)),
                Next::Rest(until) => {
                    bed.sleep(until.map(|until| until.saturating_duration_since(self.clock.now())));
                }
                Next::End => return,
            }
        }
    }

    fn reject(&self) {
        self.rejecters_bed.claim();
        loop {
            let (works, until, is_over) = {
                let now = self.clock.now();
                let mut core = self.core.lock();
                let (works, until) = core.reject(now);
                (works, until, core.is_over())
            };
            if is_over {
                return;
            }
            let is_idle = works.is_empty();
            works.into_iter().for_each(|work| self.run_here(work));
            if is_idle {
                let limit = until.map(|until| until.saturating_duration_since(self.clock.now()));
                self.rejecters_bed.sleep(limit);
            }
        }
    }

    /// Does work on the calling thread, which is not one of the pool's.
    pub(crate) fn run_here(&self, work: Work<T>) {
        let ended = run(work);
        let now = self.clock.now();
        let (gone, wake) = self.core.lock().ended(&ended, now);
        self.wake(wake);
        farewell(gone);
    }

    /// Lets a queue take no more.
    pub(crate) fn close(&self, slot: usize) {
        let now = self.clock.now();
        let (gone, wake) = self.core.lock().close(slot, now);
        self.wake(wake);
        farewell(gone);
    }

    /// Looks at the clock.
    pub(crate) fn look(&self) {
        let now = self.clock.now();
        let wake = self.core.lock().look(now);
        self.wake(wake);
    }

    /// Lets the threads end once nothing is ready.
    pub(crate) fn end(&self) {
        let workers = self.core.lock().end();
        workers.into_iter().for_each(|worker| self.call(worker));
        self.rejecters_bed.call();
    }

    pub(crate) fn wake(&self, wake: Wake) {
        if let Some(worker) = wake.worker {
            self.call(worker);
        }
        if wake.rejecter {
            self.rejecters_bed.call();
        }
    }

    fn call(&self, worker: usize) {
        if let Some(bed) = self.beds.get(worker) {
            bed.call();
        }
    }
}

/// Tells of tasks that are not run.
pub(crate) fn tell<T: 'static>(consumer: &Arc<dyn Consumer<T>>, dropped: Vec<Dropped<T>>) {
    for dropped in dropped {
        guarded("consumer told of a dropped task", || consumer.dropped(dropped));
    }
}

fn run<T: Task>(work: Work<T>) -> Ended {
    let Work { slot, consumer, dropped, batch, since, is_run } = work;
    tell(&consumer, dropped);
    let ran = batch.map(|batch| {
        let count = u32::try_from(batch.tasks.len()).unwrap_or(u32::MAX).max(1);
        let ran = Ran {
            padded_rows: batch.padded_rows,
            waited: since.saturating_duration_since(batch.opened),
            mean_wait: batch.waited / count,
        };
        guarded("consumer of a batch", || consumer.run(batch));
        ran
    });
    guarded("drop of a consumer", || drop(consumer));
    Ended { slot, since, is_run, ran }
}

fn farewell<T: Task>(gone: Option<Gone<T>>) {
    if let Some(Gone { event, queue, consumer }) = gone {
        guarded("drop of a consumer", || drop((queue, consumer)));
        event.set();
    }
}

/// Calls code that is not ours, whose panic is logged and otherwise of no consequence.
pub(crate) fn guarded(what: &str, call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        tracing::error!(what, error = text_of(&*panic), "went on after a panic");
        // Not ours either: let it not panic a second time.
        mem::forget(panic);
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
