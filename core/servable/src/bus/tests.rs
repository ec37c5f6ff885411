use std::sync::{Condvar, OnceLock, mpsc};
use std::thread;

use super::*;

/// A bus, and what was heard of it: who said it, then the name of the event.
#[derive(Clone, Default)]
struct Fixture {
    bus: Arc<EventBus>,
    heard: Arc<Mutex<Vec<String>>>,
}

struct Ear<F>(F);

impl<F: Fn(&str) + Send + Sync + 'static> StateObserver for Ear<F> {
    fn observe(&self, event: StateEvent) {
        match event {
            StateEvent::Stream { name, .. } => (self.0)(name.as_str()),
            other => panic!("{other:?}"),
        }
    }
}

impl Fixture {
    fn publish(&self, name: &str) {
        self.bus.observe(StateEvent::Stream { name: name.into(), error: None });
    }

    fn listen(&self, who: &'static str) -> Subscription {
        self.listen_and(who, |_, _| {})
    }

    /// Subscribes somebody who notes down what it hears, and then does something.
    fn listen_and(
        &self,
        who: &'static str,
        then: impl Fn(&Fixture, &str) + Send + Sync + 'static,
    ) -> Subscription {
        let fixture = self.clone();
        self.bus.subscribe(Arc::new(Ear(move |name: &str| {
            fixture.heard.lock().unwrap().push(format!("{who} {name}"));
            then(&fixture, name);
        })))
    }

    fn heard(&self) -> Vec<String> {
        mem::take(&mut self.heard.lock().unwrap())
    }
}

#[test]
fn every_subscriber_hears_every_event_in_order_before_publish_returns() {
    let fixture = Fixture::default();
    fixture.publish("unheard");
    let _subscriptions = [fixture.listen("a"), fixture.listen("b")];
    fixture.publish("1");
    assert_eq!(fixture.heard(), ["a 1", "b 1"]);
    fixture.publish("2");
    assert_eq!(fixture.heard(), ["a 2", "b 2"]);
}

#[test]
fn an_event_comes_as_it_was_published() {
    let (sender, told) = mpsc::channel();
    struct Forward(mpsc::Sender<StateEvent>);
    impl StateObserver for Forward {
        fn observe(&self, event: StateEvent) {
            self.0.send(event).unwrap();
        }
    }
    let bus = EventBus::default();
    let _subscription = bus.subscribe(Arc::new(Forward(sender)));
    let id = crate::ServableId::new("m", crate::Version::new(1).unwrap());
    let event = StateEvent::Version {
        id,
        state: crate::ServableState::Available,
        error: None,
        at: std::time::SystemTime::UNIX_EPOCH,
    };
    bus.observe(event.clone());
    assert_eq!(format!("{:?}", told.try_recv().unwrap()), format!("{event:?}"));
}

#[test]
fn who_subscribes_late_hears_nothing_of_the_past() {
    let fixture = Fixture::default();
    fixture.publish("1");
    let _subscription = fixture.listen("a");
    fixture.publish("2");
    assert_eq!(fixture.heard(), ["a 2"]);
}

#[test]
fn a_subscriber_whose_subscription_is_dropped_hears_nothing_more_and_is_freed() {
    let fixture = Fixture::default();
    let ear = Arc::new(Ear(|_: &str| {}));
    let (a, b) = (fixture.listen("a"), fixture.bus.subscribe(Arc::clone(&ear) as _));
    fixture.publish("1");
    drop((a, b));
    fixture.publish("2");
    assert_eq!(fixture.heard(), ["a 1"]);
    assert_eq!(Arc::strong_count(&ear), 1);
}

#[test]
fn a_subscription_may_outlive_the_bus() {
    let fixture = Fixture::default();
    let subscription = fixture.listen("a");
    let heard = Arc::clone(&fixture.heard);
    drop(fixture);
    drop(subscription);
    assert_eq!(Arc::strong_count(&heard), 1);
}

#[test]
fn seats_of_subscriptions_that_are_over_are_not_kept() {
    let fixture = Fixture::default();
    let _kept = fixture.listen("a");
    for _ in 0..9 {
        drop(fixture.listen("b"));
    }
    let _last = fixture.listen("c");
    assert_eq!(fixture.bus.lock().audience.len(), 2);
}

#[test]
fn what_a_subscriber_publishes_is_heard_after_the_event_at_hand_by_all_in_the_same_order() {
    let fixture = Fixture::default();
    let publishes = |fixture: &Fixture, name: &str| {
        if name == "1" {
            fixture.publish("2");
            fixture.publish("3");
        }
    };
    let _subscriptions = [fixture.listen_and("a", publishes), fixture.listen("b")];
    fixture.publish("1");
    assert_eq!(fixture.heard(), ["a 1", "b 1", "a 2", "b 2", "a 3", "b 3"]);
}

#[test]
fn who_is_subscribed_by_a_subscriber_hears_only_what_is_published_afterwards() {
    let fixture = Fixture::default();
    let added = OnceLock::new();
    let _subscription = fixture.listen_and("a", move |fixture, name| {
        if name == "1" {
            fixture.publish("2");
            added.get_or_init(|| fixture.listen("late"));
            fixture.publish("3");
        }
    });
    fixture.publish("1");
    assert_eq!(fixture.heard(), ["a 1", "a 2", "a 3", "late 3"]);
}

#[test]
fn a_subscriber_may_end_its_own_subscription_and_that_of_another_who_then_hears_not_even_the_event_at_hand() {
    let fixture = Fixture::default();
    let to_end = Arc::new(Mutex::new(Vec::new()));
    let ends = Arc::clone(&to_end);
    let first = fixture.listen_and("a", move |_, _| ends.lock().unwrap().clear());
    let second = fixture.listen("b");
    let _third = fixture.listen("c");
    to_end.lock().unwrap().extend([first, second]);
    fixture.publish("1");
    fixture.publish("2");
    assert_eq!(fixture.heard(), ["a 1", "c 1", "c 2"]);
}

#[test]
fn a_subscriber_that_panics_keeps_nobody_from_hearing_this_event_and_the_next() {
    let fixture = Fixture::default();
    let _subscriptions = [fixture.listen_and("a", |_, _| panic!("on purpose")), fixture.listen("b")];
    fixture.publish("1");
    fixture.publish("2");
    assert_eq!(fixture.heard(), ["a 1", "b 1", "a 2", "b 2"]);
}

#[test]
fn what_another_thread_publishes_during_a_delivery_is_left_to_the_one_who_delivers() {
    let fixture = Fixture::default();
    let _subscription = fixture.listen_and("a", |fixture, name| {
        if name == "1" {
            let elsewhere = fixture.clone();
            // Would never return if it waited for the delivery that this is a part of.
            thread::spawn(move || elsewhere.publish("2")).join().unwrap();
            fixture.heard.lock().unwrap().push("published".to_owned());
        }
    });
    fixture.publish("1");
    assert_eq!(fixture.heard(), ["a 1", "published", "a 2"]);
}

#[test]
fn a_subscription_can_be_dropped_while_its_subscriber_runs_elsewhere() {
    let fixture = Fixture::default();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (entered, is_in) = mpsc::channel();
    let waits = Arc::clone(&gate);
    let subscription = fixture.listen_and("a", move |_, _| {
        entered.send(()).unwrap();
        let (is_open, opened) = &*waits;
        drop(opened.wait_while(is_open.lock().unwrap(), |is_open| !*is_open).unwrap());
    });
    let elsewhere = fixture.clone();
    let publisher = thread::spawn(move || elsewhere.publish("1"));
    is_in.recv().unwrap();
    drop(subscription);
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    publisher.join().unwrap();
    fixture.publish("2");
    assert_eq!(fixture.heard(), ["a 1"]);
}

#[test]
fn events_of_many_threads_are_heard_once_each_one_at_a_time_in_one_order_and_each_threads_in_its_own() {
    let fixture = Fixture::default();
    let _subscriptions = [fixture.listen("a"), fixture.listen("b")];
    thread::scope(|scope| {
        for thread in 0..4 {
            let fixture = &fixture;
            scope.spawn(move || (0..50).for_each(|event| fixture.publish(&format!("{thread}:{event:02}"))));
        }
    });
    let heard = fixture.heard();
    let of = |who: &str| heard.iter().filter_map(|said| said.strip_prefix(who)).collect::<Vec<_>>();
    assert_eq!(of("a "), of("b "));
    let paired = heard.chunks(2).all(|pair| pair[0][2..] == pair[1][2..]);
    assert!(paired, "two events were delivered at a time");
    for thread in 0..4 {
        let own = of(&format!("a {thread}:"));
        assert_eq!(own, (0..50).map(|event| format!("{event:02}")).collect::<Vec<_>>());
    }
}
