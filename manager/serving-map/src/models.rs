//! Models of the map's protocol, which loom runs through the orders in which two or three threads can take turns.
//!
//! Every order in which no more than four turns are taken from a thread that could go on: enough for what is known of
//! real errors, and the difference between seconds and hours.
//!
//! The stream is `m`; its versions hold their numbers.

use loom::thread::{self, ThreadId};
use salver_core_servable::{Handle, Lookup, LookupError, ServableId, StreamName, Version, VersionChoice};

use crate::ServingMap;
use crate::retired::Retired;
use crate::sync::{Arc, ArcSwap, AtomicUsize, Ordering};

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(4));
    builder.check(model);
}

fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

fn id(number: i64) -> ServableId {
    ServableId::new("m", version(number))
}

/// A map, the values in it as their owner holds them, and how often each was told to be vacant.
struct Fixture {
    map: ServingMap<i64>,
    told: [Arc<AtomicUsize>; 3],
}

impl Fixture {
    fn new(shards: usize) -> Self {
        let told = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        Self { map: ServingMap::with_shards(shards), told }
    }

    /// Publishes version 0, 1 or 2.
    fn publish(&self, number: i64) {
        let value = Arc::new(number);
        let (owned, told) = (Arc::clone(&value), Arc::clone(&self.told[number as usize]));
        self.map.publish(id(number), value, move || {
            assert_eq!(Arc::strong_count(&owned), 1, "nobody but the owner refers to what is vacant");
            told.fetch_add(1, Ordering::Relaxed);
        });
    }

    fn want(&self, labels: &[&str], number: i64) {
        let wanted = labels.iter().map(|label| ((*label).to_owned(), version(number)));
        self.map.set_labels(&StreamName::from("m"), wanted.collect());
    }

    fn get(&self, choice: VersionChoice<'_>) -> Result<Handle<i64>, LookupError> {
        self.map.get("m", choice)
    }

    /// Finds a version, looks at it and lets go of it.
    fn find(&self, choice: VersionChoice<'_>) -> i64 {
        let handle = self.get(choice).expect("a version at every moment");
        assert_eq!(handle.id(), &id(*handle));
        *handle
    }

    /// How often each version was told to be vacant, by a thread that knows the others to be over.
    fn told(&self) -> [usize; 3] {
        [0, 1, 2].map(|number: usize| self.told[number].load(Ordering::Relaxed))
    }
}

#[test]
fn a_reader_finds_the_old_version_or_the_new_and_never_goes_back() {
    check(|| {
        let fixture = Arc::new(Fixture::new(1));
        fixture.publish(1);
        let reader = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let first = fixture.find(VersionChoice::Latest);
                let second = fixture.find(VersionChoice::Latest);
                assert!(first <= second, "{second} after {first}");
            })
        };
        fixture.publish(2);
        assert!(fixture.map.withdraw(&id(1)));
        assert_eq!(fixture.find(VersionChoice::Latest), 2);
        reader.join().unwrap();
        assert_eq!(fixture.told(), [0, 1, 0]);
    });
}

#[test]
fn a_version_is_vacant_once_and_only_when_it_is_withdrawn_and_no_handle_is_left() {
    check(|| {
        let fixture = Arc::new(Fixture::new(2));
        fixture.publish(1);
        let readers = [(); 2].map(|()| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || match fixture.get(VersionChoice::Specific(version(1))) {
                Ok(handle) => {
                    assert_eq!(*handle, 1);
                    assert_eq!(fixture.told[1].load(Ordering::Relaxed), 0);
                }
                Err(miss) => assert_eq!(miss, LookupError::Version("m".into(), version(1))),
            })
        });
        assert!(fixture.map.withdraw(&id(1)));
        assert!(fixture.get(VersionChoice::Latest).is_err());
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!(fixture.told(), [0, 1, 0]);
    });
}

#[test]
fn of_two_that_withdraw_one_version_one_did_and_its_owner_is_told_once() {
    check(|| {
        let fixture = Arc::new(Fixture::new(1));
        fixture.publish(1);
        let other = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.map.withdraw(&id(1)))
        };
        let mine = fixture.map.withdraw(&id(1));
        assert_ne!(mine, other.join().unwrap());
        assert_eq!(fixture.told(), [0, 1, 0]);
    });
}

#[test]
fn a_label_is_never_missed_and_never_goes_back_whether_it_is_moved_before_or_after_its_version_comes() {
    check(|| {
        let fixture = Arc::new(Fixture::new(1));
        fixture.publish(1);
        fixture.want(&["stable"], 1);
        let stable = VersionChoice::Label("stable");
        let mover = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.want(&["stable"], 2))
        };
        let reader = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let first = fixture.find(stable);
                let second = fixture.find(stable);
                assert!(first <= second, "{second} after {first}");
            })
        };
        fixture.publish(2);
        mover.join().unwrap();
        assert_eq!(fixture.find(stable), 2);
        reader.join().unwrap();
    });
}

#[test]
fn labels_of_a_stream_move_together() {
    check(|| {
        let fixture = Arc::new(Fixture::new(1));
        fixture.publish(1);
        fixture.want(&["canary", "stable"], 1);
        fixture.want(&["canary", "stable"], 2);
        let reader = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let canary = fixture.find(VersionChoice::Label("canary"));
                let stable = fixture.find(VersionChoice::Label("stable"));
                assert!(canary <= stable, "one label at {stable} after another at {canary}");
            })
        };
        fixture.publish(2);
        assert_eq!(["canary", "stable"].map(|label| fixture.find(VersionChoice::Label(label))), [2, 2]);
        reader.join().unwrap();
    });
}

#[test]
fn a_stream_is_found_at_every_moment_while_another_comes_and_goes() {
    check(|| {
        let fixture = Arc::new(Fixture::new(1));
        fixture.publish(1);
        let reader = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || assert_eq!(fixture.find(VersionChoice::Latest), 1))
        };
        let other = ServableId::new("other", version(0));
        fixture.map.publish(other.clone(), Arc::new(0), || {});
        assert!(fixture.map.withdraw(&other));
        reader.join().unwrap();
        assert_eq!(fixture.map.available(), [id(1)]);
    });
}

#[test]
fn a_stream_that_goes_and_comes_back_is_not_found_or_found_in_a_state_it_had() {
    check(|| {
        let fixture = Arc::new(Fixture::new(1));
        fixture.publish(1);
        let reader = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let mut newest = 0;
                for _ in 0..2 {
                    if let Ok(handle) = fixture.get(VersionChoice::Latest) {
                        assert!(*handle >= newest, "{} after {newest}", *handle);
                        newest = *handle;
                    }
                }
            })
        };
        assert!(fixture.map.withdraw(&id(1)));
        fixture.publish(2);
        assert_eq!(fixture.find(VersionChoice::Latest), 2);
        reader.join().unwrap();
        assert_eq!(fixture.told(), [0, 1, 0]);
    });
}

/// A value that no thread but its writer may free.
struct Guarded(ThreadId);

impl Drop for Guarded {
    fn drop(&mut self) {
        assert_eq!(thread::current().id(), self.0, "freed by a reader");
    }
}

#[test]
fn what_is_replaced_is_freed_by_a_writer_once_nobody_reads_it() {
    check(|| {
        let writer = thread::current().id();
        let pointer = Arc::new(ArcSwap::from_pointee(Guarded(writer)));
        let mut retired = Retired::new();
        let reader = {
            let pointer = Arc::clone(&pointer);
            thread::spawn(move || {
                for _ in 0..2 {
                    assert_eq!(pointer.load().0, writer);
                }
            })
        };
        for _ in 0..2 {
            retired.push(pointer.swap(Arc::new(Guarded(writer))));
        }
        reader.join().unwrap();
        retired.push(pointer.swap(Arc::new(Guarded(writer))));
        assert!(retired.is_empty(), "nothing is kept that nobody reads");
    });
}
