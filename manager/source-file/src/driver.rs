//! Carries out what the agenda says: threads that look, and one that tells.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use salver_core_loader::SharedTarget;

use crate::agenda::{Agenda, News};
use crate::inotify::{Changed, Listener};
use crate::scan::{Done, Job, Scanner};
use crate::timetable::MOST;
use crate::{ModelDir, VersionPath};

/// Word to the driver.
#[derive(Debug)]
pub(crate) enum Message {
    /// Something changed.
    Changed(Changed),
    /// A look is over.
    Done(Box<Done>),
    /// These models are to be watched by name, and somebody waits for it.
    Update(Vec<ModelDir>, Waiter),
    /// Look at everything.
    Rescan,
    /// End.
    Stop,
}

/// Dropped when what is waited for has come; nothing is ever sent.
pub(crate) type Waiter = Sender<()>;

/// How many messages may wait: one of each thread that looks, and then some.
pub(crate) const INBOX: usize = 2 * MOST;

/// The loop that tells the target. It never touches the file system itself, so that nothing there can hold it up.
pub(crate) struct Driver {
    pub(crate) agenda: Agenda,
    pub(crate) scanner: Arc<Scanner>,
    pub(crate) target: SharedTarget<VersionPath>,
    pub(crate) inbox: Receiver<Message>,
    pub(crate) lookers: Lookers,
    /// Set before [`Message::Stop`] is sent, which may wait behind others.
    pub(crate) is_stopped: Arc<AtomicBool>,
    pub(crate) waiters: Vec<Waiter>,
    /// Whether the target has heard of what is in every repository.
    pub(crate) is_seen: Arc<AtomicBool>,
    /// Behind the inbox, for it is dropped later: what it has to tell must not be waited for then.
    #[expect(dead_code, reason = "kept for as long as its thread is to live")]
    pub(crate) listener: Option<Listener>,
}

impl Driver {
    /// Works until it is stopped.
    pub(crate) fn run(mut self) {
        loop {
            let now = self.scanner.clock.now();
            self.agenda.notice_stuck(now);
            // Told before the next look begins: whoever is told a model is gone may forget what is said of it.
            if self.pass_on().is_break() {
                return;
            }
            while let Some(job) = self.agenda.start(now) {
                self.lookers.look(job);
            }
            self.is_seen.store(self.agenda.is_seen(now), Ordering::Release);
            if !self.agenda.is_awaited(now) {
                self.waiters.clear();
            }
            let message = match self.agenda.next(now) {
                Some(at) => self.inbox.recv_deadline(at),
                None => self.inbox.recv().map_err(RecvTimeoutError::from),
            };
            match message {
                Ok(message) => self.take_in(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take_in(&mut self, message: Message) {
        let now = self.scanner.clock.now();
        match message {
            Message::Changed(Changed::At(places)) => {
                places.into_iter().for_each(|place| self.agenda.changed(place, now));
            }
            Message::Changed(Changed::Anywhere) | Message::Rescan => self.agenda.rescan(now),
            Message::Done(done) => {
                self.lookers.busy -= 1;
                self.agenda.finish(*done, now);
            }
            Message::Update(named, waiter) => {
                self.agenda.update(named, now);
                self.waiters.push(waiter);
            }
            // The flag says so.
            Message::Stop => {}
        }
    }

    /// Tells what there is to tell.
    fn pass_on(&mut self) -> ControlFlow<()> {
        for news in self.agenda.take_news() {
            match news {
                _ if self.is_stopped.load(Ordering::Acquire) => return ControlFlow::Break(()),
                News::Aspired(aspired) => self.target.set_aspired(aspired),
                News::Gone(place) => {
                    if let Some(inotify) = &self.scanner.inotify {
                        inotify.forget(place);
                    }
                }
            }
        }
        if self.is_stopped.load(Ordering::Acquire) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Threads that look. There are as many as ever were needed at once, and nobody waits for one that is stuck.
pub(crate) struct Lookers {
    scanner: Arc<Scanner>,
    inbox: Sender<Message>,
    jobs: Sender<Job>,
    waiting_jobs: Receiver<Job>,
    threads: usize,
    busy: usize,
}

impl Lookers {
    /// No thread yet. What they find goes to `inbox`.
    pub(crate) fn new(scanner: Arc<Scanner>, inbox: Sender<Message>) -> Self {
        // Never full: the timetable has no more looks under way.
        let (jobs, waiting_jobs) = bounded(MOST);
        Self { scanner, inbox, jobs, waiting_jobs, threads: 0, busy: 0 }
    }

    fn look(&mut self, job: Job) {
        self.busy += 1;
        if self.busy > self.threads {
            let (scanner, jobs) = (Arc::clone(&self.scanner), self.waiting_jobs.clone());
            let inbox = self.inbox.clone();
            let work = move || {
                for job in jobs {
                    let done = Message::Done(Box::new(scanner.carry_out(job)));
                    if inbox.send(done).is_err() {
                        break;
                    }
                }
            };
            match thread::Builder::new().name("salver-look".to_owned()).spawn(work) {
                Ok(_) => self.threads += 1,
                Err(error) => tracing::error!(%error, "no further thread to look at model directories"),
            }
        }
        if self.jobs.send(job).is_err() {
            tracing::error!("no thread looks at model directories");
        }
    }
}
