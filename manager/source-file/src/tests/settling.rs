//! When a version counts as complete.

use std::fs;
use std::time::Duration;

use super::fixture::{Fixture, LONG, numbers};
use crate::{ModelDir, VersionPolicy};

#[test]
fn a_version_that_appears_is_taken_when_it_has_come_to_rest() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    fixture.add("m/1");
    assert_eq!(fixture.numbers("m"), [1]);
    fixture.add("m/2");
    assert_eq!(fixture.numbers("m"), [1], "seen once");
    fixture.pass(600);
    fs::write(fixture.path("m/2/more"), "half").unwrap();
    assert_eq!(numbers(&fixture.pass(400)["m"]), [1], "it grew");
    fs::write(fixture.path("m/2/more"), "whole").unwrap();
    assert_eq!(numbers(&fixture.pass(1000)["m"]), [1], "it grew again");
    assert_eq!(numbers(&fixture.pass(1000)["m"]), [2]);
}

#[test]
fn a_version_is_looked_at_when_it_may_have_settled_and_not_at_the_next_poll() {
    let mut fixture = Fixture::new(|folder, config| {
        config.models = vec![ModelDir::new("m", folder.join("m"))];
        config.default_policy.poll_interval = LONG;
    });
    fixture.add("m/1").work();
    assert_eq!(fixture.next(), Some(60_000));
    fixture.add("m/2").scan();
    assert_eq!(fixture.next(), Some(1000));
    assert!(fixture.pass(999).is_empty());
    assert_eq!(numbers(&fixture.pass(1)["m"]), [2]);
    assert_eq!(fixture.next(), Some(60_000));
}

#[test]
fn what_was_modified_just_before_the_first_look_must_settle_too() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    fixture.add("m/1");
    fixture.files.say_age(Duration::from_millis(999));
    assert!(fixture.is_awaited());
    assert_eq!(fixture.numbers("m"), [0; 0]);
    assert!(fixture.is_awaited(), "it is waited for");
    assert_eq!(numbers(&fixture.pass(1000)["m"]), [1]);
    assert!(!fixture.is_awaited());
}

#[test]
fn nobody_waits_for_what_still_changes_when_it_has_had_its_time() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    fixture.add("m/1");
    fixture.files.say_age(Duration::ZERO);
    fixture.scan();
    fs::write(fixture.path("m/1/more"), "half").unwrap();
    fixture.pass(500);
    assert!(fixture.is_awaited());
    fixture.pass(500);
    assert!(!fixture.is_awaited());
}

#[test]
fn the_version_before_is_asked_for_while_the_latest_is_too_new_at_the_first_look() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    fixture.add("m/1").scan();
    fixture.files.say_age(Duration::ZERO);
    fixture.add("m/2");
    assert_eq!(fixture.numbers("m"), [1]);
    assert_eq!(numbers(&fixture.pass(1000)["m"]), [2]);
}

#[test]
fn an_old_looking_version_that_appears_later_must_settle() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    fixture.scan();
    fixture.add("m/1");
    assert_eq!(fixture.numbers("m"), [0; 0]);
    assert_eq!(fixture.settled("m"), [1]);
}

#[test]
fn a_version_that_was_taken_stays_taken_and_its_revision_changes_once_its_files_are_still() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    fixture.add("m/1");
    let revision = |fixture: &mut Fixture, milliseconds| {
        fixture.pass(milliseconds);
        let versions = fixture.scan().remove("m").unwrap().unwrap();
        assert_eq!(versions.len(), 1);
        versions[0].revision
    };
    let first = revision(&mut fixture, 0);
    assert_eq!(revision(&mut fixture, 5000), first);
    fs::write(fixture.path("m/1/model"), "something longer").unwrap();
    assert_eq!(revision(&mut fixture, 500), first, "it may still be changing");
    let second = revision(&mut fixture, 1000);
    assert_ne!(second, first);
    assert_eq!(revision(&mut fixture, 5000), second);
}

#[test]
fn where_a_marker_is_asked_for_a_version_counts_only_with_it() {
    let mut fixture = Fixture::new(|folder, config| {
        config.models = vec![ModelDir::new("m", folder.join("m"))];
        config.default_policy.marker = Some("_SUCCESS".to_owned());
    });
    fixture.add("m/1").add("m/2");
    fs::write(fixture.path("m/1/_SUCCESS"), "").unwrap();
    assert_eq!(fixture.numbers("m"), [1]);
    fixture.pass(10_000);
    assert_eq!(fixture.numbers("m"), [1]);
    assert_eq!(fixture.agenda.notices("m"), ["version 2 has no `_SUCCESS` yet: it counts as incomplete"]);
    fs::write(fixture.path("m/2/_SUCCESS"), "").unwrap();
    assert_eq!(fixture.numbers("m"), [1], "it changed just now");
    assert_eq!(fixture.settled("m"), [2]);
    assert!(fixture.agenda.notices("m").is_empty());
    fs::remove_file(fixture.path("m/2/_SUCCESS")).unwrap();
    assert_eq!(fixture.settled("m"), [2], "what was taken stays taken");
}

#[test]
fn with_no_time_to_settle_a_version_is_taken_as_it_is_found() {
    let mut fixture = Fixture::new(|folder, config| {
        config.models = vec![ModelDir::new("m", folder.join("m"))];
        config.settle = Duration::ZERO;
    });
    fixture.add("m/1");
    fixture.files.say_age(Duration::ZERO);
    assert_eq!(fixture.numbers("m"), [1]);
    fixture.add("m/2");
    assert_eq!(fixture.numbers("m"), [2]);
}
