//! Labels: which version they stand for while versions come and go and labels are moved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;
use salver_core_servable::{Lookup, LookupError, StreamName, Version, VersionChoice};

use super::{id, version};
use crate::{LabelStatus, ServingMap};

/// A map of one stream, `m`, whose versions hold their numbers.
struct Fixture(ServingMap<i64>);

impl Fixture {
    fn new(available: &[i64]) -> Self {
        let fixture = Self(ServingMap::with_shards(1));
        available.iter().for_each(|number| fixture.publish(*number));
        fixture
    }

    fn publish(&self, number: i64) {
        self.0.publish(id(number), Arc::new(number), || {});
    }

    fn set(&self, labels: &[(&str, i64)]) {
        let labels = labels.iter().map(|(label, number)| ((*label).to_owned(), version(*number)));
        self.0.set_labels(&StreamName::from("m"), labels.collect());
    }

    fn get(&self, label: &str) -> Result<i64, LookupError> {
        self.0.get("m", VersionChoice::Label(label)).map(|handle| *handle)
    }

    fn status(&self, label: &str) -> Option<LabelStatus> {
        self.0.labels("m").get(label).copied()
    }
}

fn unknown(label: &str) -> Result<i64, LookupError> {
    Err(LookupError::Label(label.into()))
}

fn waiting(label: &str, number: i64) -> Result<i64, LookupError> {
    Err(LookupError::Waiting { name: "m".into(), label: label.into(), version: version(number) })
}

fn gone(number: i64) -> Result<i64, LookupError> {
    Err(LookupError::Version("m".into(), version(number)))
}

#[test]
fn a_label_that_nobody_set_is_unknown_whether_or_not_the_stream_is() {
    let fixture = Fixture::new(&[]);
    assert_eq!(fixture.get("stable"), unknown("stable"));
    fixture.publish(1);
    assert_eq!(fixture.get("stable"), unknown("stable"));
    assert_eq!(fixture.0.labels("m"), BTreeMap::new());
}

#[test]
fn a_label_may_be_set_before_the_stream_is_there_and_attaches_when_its_version_comes() {
    let fixture = Fixture::new(&[]);
    fixture.set(&[("stable", 1)]);
    assert_eq!(fixture.get("stable"), waiting("stable", 1));
    assert_eq!(fixture.status("stable"), Some(LabelStatus { wanted: version(1), attached: None }));
    assert_eq!(fixture.0.get("m", VersionChoice::Latest).unwrap_err(), LookupError::Name("m".into()));
    fixture.publish(2);
    assert_eq!(fixture.get("stable"), waiting("stable", 1));
    fixture.publish(1);
    assert_eq!(fixture.get("stable"), Ok(1));
    assert_eq!(
        fixture.status("stable"),
        Some(LabelStatus { wanted: version(1), attached: Some(version(1)) })
    );
}

#[test]
fn a_label_goes_on_meaning_the_former_version_until_the_wanted_one_is_there() {
    let fixture = Fixture::new(&[1]);
    fixture.set(&[("stable", 1)]);
    fixture.set(&[("stable", 2)]);
    assert_eq!(fixture.get("stable"), Ok(1));
    assert_eq!(
        fixture.status("stable"),
        Some(LabelStatus { wanted: version(2), attached: Some(version(1)) })
    );
    fixture.publish(2);
    assert_eq!(fixture.get("stable"), Ok(2));
    fixture.0.withdraw(&id(1));
    assert_eq!(fixture.get("stable"), Ok(2));
}

#[test]
fn a_label_whose_version_is_there_moves_at_once_up_or_down() {
    let fixture = Fixture::new(&[1, 2]);
    for number in [1, 2, 1] {
        fixture.set(&[("stable", number)]);
        assert_eq!(fixture.get("stable"), Ok(number));
    }
}

#[test]
fn a_label_waits_where_its_former_version_went_first_and_has_it_again_when_that_comes_back() {
    let fixture = Fixture::new(&[1]);
    fixture.set(&[("stable", 1)]);
    fixture.set(&[("stable", 2)]);
    fixture.0.withdraw(&id(1));
    assert_eq!(fixture.get("stable"), waiting("stable", 2));
    assert_eq!(fixture.status("stable"), Some(LabelStatus { wanted: version(2), attached: None }));
    fixture.publish(1);
    assert_eq!(fixture.get("stable"), Ok(1));
    fixture.publish(2);
    assert_eq!(fixture.get("stable"), Ok(2));
}

#[test]
fn a_version_that_goes_away_under_its_label_is_missed_by_version_and_keeps_the_label() {
    let fixture = Fixture::new(&[1, 2]);
    fixture.set(&[("stable", 1)]);
    fixture.0.withdraw(&id(1));
    assert_eq!(fixture.get("stable"), gone(1));
    fixture.0.withdraw(&id(2));
    assert_eq!(fixture.get("stable"), gone(1));
    fixture.publish(1);
    assert_eq!(fixture.get("stable"), Ok(1));
}

#[test]
fn a_label_is_gone_as_soon_as_it_is_removed_and_remembers_nothing() {
    let fixture = Fixture::new(&[1]);
    fixture.set(&[("stable", 1), ("canary", 1)]);
    assert_eq!((fixture.get("stable"), fixture.get("canary")), (Ok(1), Ok(1)));
    fixture.set(&[("canary", 1)]);
    assert_eq!((fixture.get("stable"), fixture.get("canary")), (unknown("stable"), Ok(1)));
    fixture.set(&[("stable", 2)]);
    assert_eq!((fixture.get("stable"), fixture.get("canary")), (waiting("stable", 2), unknown("canary")));
}

#[test]
fn a_stream_without_versions_and_labels_is_forgotten() {
    let fixture = Fixture::new(&[1]);
    fixture.set(&[("stable", 1)]);
    fixture.0.withdraw(&id(1));
    fixture.set(&[]);
    assert_eq!(fixture.get("stable"), unknown("stable"));
    fixture.set(&[("stable", 1)]);
    assert_eq!(fixture.get("stable"), waiting("stable", 1));
}

#[test]
fn labels_of_one_stream_are_not_those_of_another() {
    let fixture = Fixture::new(&[1]);
    fixture.0.set_labels(&StreamName::from("n"), BTreeMap::from([("stable".to_owned(), version(1))]));
    assert_eq!(fixture.get("stable"), unknown("stable"));
}

#[derive(Clone, Debug)]
enum Step {
    Publish(i64),
    Withdraw(i64),
    SetLabels(BTreeMap<&'static str, i64>),
}

fn step() -> impl Strategy<Value = Step> {
    let label = prop::sample::select(vec!["canary", "previous", "stable"]);
    prop_oneof![
        (0..4i64).prop_map(Step::Publish),
        (0..4i64).prop_map(Step::Withdraw),
        prop::collection::btree_map(label, 0..4i64, 0..3).prop_map(Step::SetLabels),
    ]
}

/// What is to be seen, told in the plainest way.
#[derive(Default)]
struct Model {
    available: BTreeSet<i64>,
    wanted: BTreeMap<&'static str, i64>,
    meant: BTreeMap<&'static str, i64>,
}

impl Model {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Publish(number) => drop(self.available.insert(*number)),
            Step::Withdraw(number) => drop(self.available.remove(number)),
            Step::SetLabels(wanted) => self.wanted = wanted.clone(),
        }
        self.meant.retain(|label, _| self.wanted.contains_key(label));
        for (label, wanted) in &self.wanted {
            if self.available.contains(wanted) {
                self.meant.insert(label, *wanted);
            }
        }
    }

    fn get(&self, label: &str) -> Result<i64, LookupError> {
        let Some(wanted) = self.wanted.get(label) else {
            return unknown(label);
        };
        match self.meant.get(label) {
            Some(meant) if self.available.contains(meant) => Ok(*meant),
            Some(meant) if meant == wanted => gone(*wanted),
            _ => waiting(label, *wanted),
        }
    }
}

proptest! {
    #[test]
    fn labels_do_as_the_model_and_none_that_is_attached_is_lost_while_its_version_stays(
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let (fixture, mut model) = (Fixture::new(&[]), Model::default());
        for step in steps {
            let before = ["canary", "previous", "stable"].map(|label| (label, fixture.get(label)));
            match &step {
                Step::Publish(number) => fixture.publish(*number),
                Step::Withdraw(number) => drop(fixture.0.withdraw(&id(*number))),
                Step::SetLabels(wanted) => {
                    fixture.set(&wanted.iter().map(|(label, number)| (*label, *number)).collect::<Vec<_>>());
                }
            }
            model.take(&step);
            for (label, before) in before {
                let now = fixture.get(label);
                prop_assert_eq!(&now, &model.get(label));
                let attached = fixture.status(label).and_then(|status| status.attached);
                prop_assert_eq!(attached.map(Version::number), now.clone().ok());
                let wanted = fixture.status(label).map(|status| status.wanted.number());
                prop_assert_eq!(wanted, model.wanted.get(label).copied());
                if let (Ok(was), true) = (before, model.wanted.contains_key(label)) {
                    prop_assert!(now.is_ok() || !model.available.contains(&was), "{label} lost {was}");
                }
            }
            let latest = fixture.0.get("m", VersionChoice::Latest).ok().map(|handle| *handle);
            prop_assert_eq!(latest, model.available.last().copied());
            let available: Vec<_> = model.available.iter().map(|number| id(*number)).collect();
            prop_assert_eq!(fixture.0.available(), available);
        }
    }
}

#[test]
fn readers_by_label_never_miss_and_never_go_back_while_labels_move_with_their_versions() {
    const MOVES: i64 = 1000;
    let fixture = Arc::new(Fixture::new(&[0]));
    fixture.set(&[("stable", 0), ("canary", 0)]);
    let is_done = Arc::new(AtomicBool::new(false));
    let reader = |label: &'static str| {
        let (fixture, is_done) = (Arc::clone(&fixture), Arc::clone(&is_done));
        thread::spawn(move || {
            let mut newest = 0;
            while !is_done.load(Ordering::Relaxed) {
                let found = fixture.get(label).expect("a version at every moment");
                assert!(found >= newest, "{found} after {newest}");
                newest = found;
            }
        })
    };
    let readers = ["stable", "canary", "stable"].map(reader);
    for number in 1..=MOVES {
        let labels = [("stable", number), ("canary", number)];
        // As an availability-preserving manager does; wanted before or after it is there, by turns.
        if number % 2 == 0 {
            fixture.set(&labels);
            fixture.publish(number);
        } else {
            fixture.publish(number);
            fixture.set(&labels);
        }
        assert_eq!((fixture.get("stable"), fixture.get("canary")), (Ok(number), Ok(number)));
        assert!(fixture.0.withdraw(&id(number - 1)));
    }
    is_done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
}
