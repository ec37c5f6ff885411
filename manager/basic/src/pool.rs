//! A pool of threads whose size can change while they work.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::Hook;

/// Threads that do the jobs of one channel, each the next when it is done with one.
pub(crate) struct Pool<J> {
    plan: Plan<J>,
    sender: Sender<Option<J>>,
    receiver: Receiver<Option<J>>,
    size: usize,
    n_started: usize,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads of a pool do.
pub(crate) struct Plan<J> {
    pub(crate) name: &'static str,
    /// Called on each thread before its first job.
    pub(crate) on_start: Option<Hook>,
    /// Outlives panics of whatever it calls.
    pub(crate) work: Arc<dyn Fn(J) + Send + Sync>,
}

impl<J: Send + 'static> Pool<J> {
    /// A pool without threads.
    pub(crate) fn new(plan: Plan<J>) -> Self {
        let (sender, receiver) = unbounded();
        Self { plan, sender, receiver, size: 0, n_started: 0, threads: Vec::new() }
    }

    /// Starts threads, or lets some end: idle ones at once, busy ones after their job.
    pub(crate) fn resize(&mut self, size: usize) -> io::Result<()> {
        self.threads.retain(|thread| !thread.is_finished());
        while self.size < size {
            let thread = self.start()?;
            self.threads.push(thread);
            self.size += 1;
        }
        while self.size > size {
            // Whoever takes it ends. There is somebody to receive: this.
            let _ = self.sender.send(None);
            self.size -= 1;
        }
        Ok(())
    }

    /// Whether no thread would take a job.
    pub(crate) fn is_empty(&self) -> bool {
        self.size == 0
    }

    pub(crate) fn send(&self, job: J) {
        let _ = self.sender.send(Some(job));
    }

    pub(crate) fn has_thread(&self, id: ThreadId) -> bool {
        self.threads.iter().any(|thread| thread.thread().id() == id)
    }

    /// Lets every thread end once all jobs are done, and gives the threads out, to be joined.
    pub(crate) fn close(self) -> Vec<JoinHandle<()>> {
        self.threads
    }

    fn start(&mut self) -> io::Result<JoinHandle<()>> {
        let name = format!("{}-{}", self.plan.name, self.n_started);
        let (receiver, work) = (self.receiver.clone(), Arc::clone(&self.plan.work));
        let on_start = self.plan.on_start.clone();
        let thread = thread::Builder::new().name(name).spawn(move || {
            if let Some(on_start) = on_start {
                crate::workers::guarded("hook of a new load thread", || on_start());
            }
            while let Ok(Some(job)) = receiver.recv() {
                work(job);
            }
        })?;
        self.n_started += 1;
        Ok(thread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;
    use std::collections::BTreeSet;

    /// Jobs that tell on which thread they run, and end when told.
    fn pool(size: usize) -> (Pool<Receiver<()>>, Receiver<String>) {
        let (sender, ran) = unbounded();
        let work = Arc::new(move |job: Receiver<()>| {
            sender.send(thread::current().name().unwrap().to_owned()).unwrap();
            let _ = job.recv();
        });
        let mut pool = Pool::new(Plan { name: "test", on_start: None, work });
        pool.resize(size).unwrap();
        (pool, ran)
    }

    #[test]
    fn a_pool_that_grows_takes_more_jobs_at_once() {
        let (mut pool, ran) = pool(1);
        let (end, job) = bounded(0);
        pool.send(job.clone());
        ran.recv().unwrap();
        pool.send(job);
        pool.resize(2).unwrap();
        assert_eq!(ran.recv().unwrap(), "test-1");
        drop(end);
    }

    #[test]
    fn a_pool_that_shrinks_interrupts_nothing_and_then_has_fewer_threads() {
        let (mut pool, ran) = pool(3);
        let (end, job) = bounded::<()>(0);
        for _ in 0..3 {
            pool.send(job.clone());
        }
        let names: BTreeSet<_> = (0..3).map(|_| ran.recv().unwrap()).collect();
        assert_eq!(names.len(), 3);
        pool.resize(1).unwrap();
        drop(end);
        let (end, job) = bounded::<()>(0);
        pool.send(job.clone());
        pool.send(job);
        ran.recv().unwrap();
        // The other two threads end; who is left is at the first job.
        while pool.threads.iter().filter(|thread| !thread.is_finished()).count() > 1 {
            thread::yield_now();
        }
        assert!(ran.try_recv().is_err());
        drop(end);
        ran.recv().unwrap();
        pool.close().into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn a_pool_that_is_closed_does_its_jobs_first() {
        let (pool, ran) = pool(1);
        for _ in 0..9 {
            let (_, job) = bounded(0);
            pool.send(job);
        }
        pool.close().into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(ran.iter().count(), 9);
    }
}
