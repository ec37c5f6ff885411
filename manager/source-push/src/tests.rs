use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use salver_core_loader::{Aspired, AspiredVersions, SharedTarget, Source, Target};
use salver_core_servable::Version;
use salver_core_status::Status;

use crate::{Desired, PushSource};

/// Writes down streams and the numbers of their versions.
#[derive(Default)]
struct Record(Mutex<Vec<(String, Vec<i64>)>>);

impl Target<u32> for Record {
    fn set_aspired(&self, aspired: AspiredVersions<u32>) {
        let numbers = aspired.versions.unwrap().iter().map(|one| one.version.number()).collect();
        self.0.lock().unwrap().push((aspired.stream.as_str().to_owned(), numbers));
    }
}

impl Record {
    /// What was said since this was last asked.
    fn said(&self) -> Vec<(String, Vec<i64>)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn versions(numbers: &[i64]) -> Vec<Aspired<u32>> {
    let one = |number: &i64| Aspired { version: Version::new(*number).unwrap(), revision: 0, data: Ok(7) };
    numbers.iter().map(one).collect()
}

fn desired(sets: &[(&str, &[i64])]) -> Desired<u32> {
    sets.iter().map(|(stream, numbers)| ((*stream).into(), versions(numbers))).collect()
}

fn said(stream: &str, numbers: &[i64]) -> (String, Vec<i64>) {
    (stream.to_owned(), numbers.to_vec())
}

fn connected() -> (PushSource<u32>, Arc<Record>) {
    let record = Arc::new(Record::default());
    let mut source = PushSource::new();
    source.connect(Arc::clone(&record) as SharedTarget<u32>);
    (source, record)
}

#[test]
fn what_was_set_before_connecting_is_said_to_the_target_then_and_what_was_removed_is_not() {
    let mut source = PushSource::new();
    source.set("a".into(), versions(&[1])).unwrap();
    source.set("b".into(), versions(&[1])).unwrap();
    source.set("b".into(), versions(&[2, 3])).unwrap();
    source.set("c".into(), versions(&[4])).unwrap();
    assert!(source.remove("c"));
    for _ in 0..2 {
        let record = Arc::new(Record::default());
        source.connect(Arc::clone(&record) as SharedTarget<u32>);
        assert_eq!(record.said(), [said("a", &[1]), said("b", &[2, 3])]);
    }
}

#[test]
fn a_removed_stream_gets_one_empty_set_and_a_stream_never_named_none() {
    let (source, record) = connected();
    source.set("a".into(), versions(&[1])).unwrap();
    assert!(source.remove("a"));
    assert!(!source.remove("a"));
    assert!(!source.remove("b"));
    assert_eq!(record.said(), [said("a", &[1]), said("a", &[])]);
    assert_eq!(source.desired(), BTreeMap::new());
}

#[test]
fn a_stream_set_to_nothing_is_named_all_the_same() {
    let (source, record) = connected();
    source.set("a".into(), versions(&[])).unwrap();
    assert_eq!(record.said(), [said("a", &[])]);
    assert_eq!(source.desired(), desired(&[("a", &[])]));
}

#[test]
fn replacing_all_says_removals_first_then_every_set() {
    let (source, record) = connected();
    source.set("a".into(), versions(&[1])).unwrap();
    source.set("z".into(), versions(&[1])).unwrap();
    record.said();
    let next = desired(&[("a", &[2]), ("b", &[1])]);
    source.replace_all(next.clone()).unwrap();
    assert_eq!(record.said(), [said("z", &[]), said("a", &[2]), said("b", &[1])]);
    assert_eq!(source.desired(), next);
    source.replace_all(next).unwrap();
    assert_eq!(record.said(), [said("a", &[2]), said("b", &[1])], "one empty set is enough");
}

#[test]
fn one_bad_set_among_many_changes_nothing() {
    let (source, record) = connected();
    source.set("a".into(), versions(&[1])).unwrap();
    record.said();
    let status = source.replace_all(desired(&[("b", &[1]), ("c", &[5, 6, 5])])).unwrap_err();
    assert_eq!(status, Status::invalid_argument("version 5 of `c` is given more than once"));
    let status = source.set("a".into(), versions(&[3, 3])).unwrap_err();
    assert_eq!(status, Status::invalid_argument("version 3 of `a` is given more than once"));
    let status = source.replace_all(desired(&[("", &[])])).unwrap_err();
    assert_eq!(status, Status::invalid_argument("stream has an empty name"));
    assert_eq!(record.said(), []);
    assert_eq!(source.desired(), desired(&[("a", &[1])]));
}

#[test]
fn what_a_target_hears_last_of_a_stream_is_what_the_source_says_however_many_feed_it() {
    let (source, record) = connected();
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for feeder in 0..4_i64 {
            let (source, start) = (&source, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..200 {
                    match round % 4 {
                        0 => drop(source.remove("a")),
                        1 => source.replace_all(desired(&[("b", &[feeder, 100 + round])])).unwrap(),
                        _ => source.set("a".into(), versions(&[feeder, 1000 + round])).unwrap(),
                    }
                }
            });
        }
    });
    let mut heard: BTreeMap<_, _> = record.said().into_iter().collect();
    heard.retain(|_, numbers| !numbers.is_empty());
    let numbers = |(stream, versions): (salver_core_servable::StreamName, Vec<Aspired<u32>>)| {
        (stream.as_str().to_owned(), versions.iter().map(|one| one.version.number()).collect::<Vec<_>>())
    };
    assert_eq!(heard, source.desired().into_iter().map(numbers).collect());
}

#[test]
fn a_source_that_is_dropped_lets_go_of_its_target_and_unloads_nothing() {
    let (source, record) = connected();
    source.set("a".into(), versions(&[1])).unwrap();
    drop(source);
    assert_eq!(record.said(), [said("a", &[1])]);
    assert_eq!(Arc::strong_count(&record), 1);
}
