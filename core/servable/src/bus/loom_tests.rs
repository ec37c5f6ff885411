//! Models of publishers and subscribers that meet.

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

use super::*;

/// Counts what it hears, and whether it was ever called twice at a time. A failed assertion in here would be caught by
/// the bus: the models look afterwards.
#[derive(Default)]
struct Ear {
    heard: AtomicUsize,
    is_in: AtomicBool,
    were_two: AtomicBool,
}

impl StateObserver for Ear {
    fn observe(&self, _: StateEvent) {
        if self.is_in.swap(true, Ordering::SeqCst) {
            self.were_two.store(true, Ordering::SeqCst);
        }
        self.heard.fetch_add(1, Ordering::SeqCst);
        self.is_in.store(false, Ordering::SeqCst);
    }
}

impl Ear {
    fn heard(&self) -> usize {
        assert!(!self.were_two.load(Ordering::SeqCst), "two events were delivered at a time");
        self.heard.load(Ordering::SeqCst)
    }
}

fn event() -> StateEvent {
    StateEvent::Stream { name: "m".into(), error: None }
}

#[test]
fn of_two_that_publish_at_once_both_are_heard_one_after_the_other() {
    loom::model(|| {
        let (bus, ear) = (Arc::new(EventBus::new()), Arc::new(Ear::default()));
        let _subscription = bus.subscribe(Arc::clone(&ear) as _);
        let other = {
            let bus = Arc::clone(&bus);
            thread::spawn(move || bus.observe(event()))
        };
        bus.observe(event());
        other.join().unwrap();
        assert_eq!(ear.heard(), 2);
    });
}

#[test]
fn a_subscription_dropped_during_a_publish_is_told_at_most_of_that_and_of_nothing_later() {
    loom::model(|| {
        let (bus, ear) = (Arc::new(EventBus::new()), Arc::new(Ear::default()));
        let subscription = bus.subscribe(Arc::clone(&ear) as _);
        let publisher = {
            let bus = Arc::clone(&bus);
            thread::spawn(move || bus.observe(event()))
        };
        drop(subscription);
        publisher.join().unwrap();
        let heard = ear.heard();
        assert!(heard <= 1);
        bus.observe(event());
        assert_eq!(ear.heard(), heard);
        assert_eq!(Arc::strong_count(&ear), 1, "nobody keeps it");
    });
}

#[test]
fn who_subscribes_during_a_publish_hears_what_is_published_afterwards() {
    loom::model(|| {
        let (bus, ear) = (Arc::new(EventBus::new()), Arc::new(Ear::default()));
        let publisher = {
            let bus = Arc::clone(&bus);
            thread::spawn(move || bus.observe(event()))
        };
        let _subscription = bus.subscribe(Arc::clone(&ear) as _);
        bus.observe(event());
        publisher.join().unwrap();
        assert!((1..=2).contains(&ear.heard()));
    });
}
