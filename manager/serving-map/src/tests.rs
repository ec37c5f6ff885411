//! Threads that read while versions are swapped.

mod labels;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use crate::ServingMap;
use salver_core_servable::{Lookup, LookupError, ServableId, Version, VersionChoice};

fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

fn id(number: i64) -> ServableId {
    ServableId::new("m", version(number))
}

/// Knows whether it was unloaded, and on which thread it is dropped.
struct Value {
    number: i64,
    is_live: AtomicBool,
    dropped_on: Arc<Mutex<Vec<ThreadId>>>,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.dropped_on.lock().unwrap().push(thread::current().id());
    }
}

#[test]
fn readers_find_a_live_version_at_every_swap_never_go_back_and_never_free_one() {
    const SWAPS: i64 = 2000;
    let map = Arc::new(ServingMap::<Value>::with_shards(2));
    let dropped_on = Arc::new(Mutex::new(Vec::new()));
    let (sender, vacant) = mpsc::channel::<i64>();
    let mut owned = BTreeMap::new();
    let mut publish = |number| {
        let value = Arc::new(Value { number, is_live: true.into(), dropped_on: Arc::clone(&dropped_on) });
        owned.insert(number, Arc::clone(&value));
        let sender = sender.clone();
        map.publish(id(number), value, move || sender.send(number).unwrap());
    };
    publish(0);

    let is_done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (map, is_done) = (Arc::clone(&map), Arc::clone(&is_done));
            thread::spawn(move || {
                let mut newest = 0;
                while !is_done.load(Ordering::Relaxed) {
                    let handle = map.get("m", VersionChoice::Latest).expect("a version at every moment");
                    assert!(handle.is_live.load(Ordering::SeqCst));
                    assert_eq!(handle.id(), &id(handle.number));
                    assert!(handle.number >= newest, "{} after {newest}", handle.number);
                    newest = handle.number;
                }
            })
        })
        .collect();

    for number in 1..=SWAPS {
        publish(number);
        assert!(map.withdraw(&id(number - 1)));
    }
    // Each word of vacancy comes once, and whoever owns the value is then the last to refer to it.
    for _ in 0..SWAPS {
        let value = owned.remove(&vacant.recv().unwrap()).unwrap();
        value.is_live.store(false, Ordering::SeqCst);
        assert!(Arc::into_inner(value).is_some());
    }
    is_done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
    assert!(vacant.try_recv().is_err());
    assert_eq!(owned.into_keys().collect::<Vec<_>>(), [SWAPS]);
    let dropped_on = dropped_on.lock().unwrap().clone();
    drop(map);
    assert_eq!(vacant.recv(), Ok(SWAPS), "dropping the map ends what is left");
    assert_eq!(dropped_on, vec![thread::current().id(); SWAPS as usize]);
}

#[test]
fn readers_of_one_stream_see_it_at_every_moment_while_other_streams_come_and_go() {
    let map = Arc::new(ServingMap::<i64>::with_shards(2));
    map.publish(id(7), Arc::new(7), || {});
    let is_done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (map, is_done) = (Arc::clone(&map), Arc::clone(&is_done));
        thread::spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                assert_eq!(*map.get("m", VersionChoice::Specific(version(7))).unwrap(), 7);
            }
        })
    };
    for number in 0..1000 {
        let other = ServableId::new(format!("other-{number}"), version(0));
        map.publish(other.clone(), Arc::new(0), || {});
        assert!(map.get(other.name.as_str(), VersionChoice::Latest).is_ok());
        assert!(map.withdraw(&other));
    }
    is_done.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    assert_eq!(map.available(), [id(7)]);
}

#[test]
fn a_withdrawn_version_is_vacant_only_after_its_last_handle() {
    let map = ServingMap::<i64>::new();
    let (sender, vacant) = mpsc::channel();
    map.publish(id(1), Arc::new(1), move || sender.send(()).unwrap());
    let handle = map.get("m", VersionChoice::Latest).unwrap();
    assert!(map.withdraw(&id(1)));
    assert!(!map.withdraw(&id(1)));
    assert_eq!(map.get("m", VersionChoice::Latest).unwrap_err(), LookupError::Name("m".into()));
    assert!(vacant.try_recv().is_err());
    assert_eq!(*handle, 1);
    drop(handle);
    assert!(vacant.try_recv().is_ok());
}

#[test]
fn the_word_of_vacancy_may_itself_call_the_map() {
    let map = Arc::new(ServingMap::<i64>::new());
    let called = Arc::clone(&map);
    map.publish(id(1), Arc::new(1), move || called.publish(id(2), Arc::new(2), || {}));
    map.withdraw(&id(1));
    assert_eq!(map.available(), [id(2)]);
    map.withdraw(&id(2));
}

#[test]
fn a_miss_says_what_was_asked_for() {
    let map = ServingMap::<i64>::new();
    let missing = LookupError::Version("m".into(), version(3));
    assert_eq!(map.get("m", VersionChoice::Specific(version(3))).unwrap_err(), missing);
    map.publish(id(1), Arc::new(1), || {});
    assert_eq!(map.get("m", VersionChoice::Specific(version(3))).unwrap_err(), missing);
    assert_eq!(map.get("n", VersionChoice::Latest).unwrap_err(), LookupError::Name("n".into()));
}
