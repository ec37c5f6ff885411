//! Which versions are asked for of what is there.

use std::fs;

use salver_core_status::Code;

use super::fixture::{Fixture, numbers, version};
use crate::{ModelDir, VersionPolicy};

#[test]
fn the_latest_versions_are_asked_for_as_many_as_the_policy_says() {
    for (policy, wanted) in [
        (VersionPolicy::default(), vec![10]),
        (VersionPolicy::Latest(0), vec![10]),
        (VersionPolicy::Latest(2), vec![9, 10]),
        (VersionPolicy::Latest(9), vec![1, 9, 10]),
        (VersionPolicy::All, vec![1, 9, 10]),
    ] {
        let mut fixture = Fixture::model(policy.clone());
        fixture.add("m/1").add("m/10").add("m/00000009");
        assert_eq!(fixture.numbers("m"), wanted, "{policy:?}");
    }
}

#[test]
fn specific_versions_are_asked_for_as_far_as_they_are_there() {
    let mut fixture = Fixture::model(VersionPolicy::Specific(vec![version(1), version(3)]));
    fixture.add("m/0001").add("m/2");
    assert_eq!(fixture.numbers("m"), [1]);
    assert!(fixture.agenda.notices("m")[0].starts_with("version 3 is asked for and not in"));
    fixture.add("m/3");
    assert_eq!(fixture.settled("m"), [1, 3]);
    assert!(fixture.agenda.notices("m").is_empty());
}

#[test]
fn a_policy_that_names_no_specific_version_asks_for_none() {
    let mut fixture = Fixture::model(VersionPolicy::Specific(Vec::new()));
    assert_eq!(fixture.add("m/1").scan()["m"], Ok(Vec::new()));
    assert_eq!(fixture.agenda.notices("m").len(), 1);
}

#[test]
fn files_hidden_folders_and_folders_not_named_by_a_number_are_no_versions() {
    let mut fixture = Fixture::model(VersionPolicy::All);
    fixture.add("m/.1").add("m/v2").add("m/tmp-3").add("m/4");
    fs::write(fixture.path("m/5"), "").unwrap();
    fs::write(fixture.path("m/model.toml"), "").unwrap();
    assert_eq!(fixture.numbers("m"), [4]);
}

#[test]
fn of_two_folders_of_one_version_the_lexicographically_later_is_used_with_a_warning() {
    for policy in [VersionPolicy::Latest(5), VersionPolicy::All, VersionPolicy::Specific(vec![version(1)])] {
        let mut fixture = Fixture::model(policy);
        let versions = fixture.add("m/1").add("m/001").scan().remove("m").unwrap().unwrap();
        assert_eq!(versions.len(), 1);
        assert_eq!(versions[0].data.as_ref().unwrap().path, fixture.path("m/1"));
        assert!(fixture.agenda.notices("m")[0].ends_with("of the same version, is not"));
    }
}

#[test]
fn links_to_folders_are_followed_and_links_to_nowhere_are_not() {
    let mut fixture = Fixture::model(VersionPolicy::All);
    fixture.add("stored");
    std::os::unix::fs::symlink(fixture.path("stored"), fixture.path("m/1")).unwrap();
    std::os::unix::fs::symlink(fixture.path("nowhere"), fixture.path("m/2")).unwrap();
    assert_eq!(fixture.numbers("m"), [1]);
}

#[test]
fn a_base_path_without_versions_asks_that_all_be_unloaded() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    assert_eq!(fixture.scan()["m"], Ok(Vec::new()));
    assert!(fixture.agenda.notices("m")[0].starts_with("no version in"));
    fixture.add("m/1");
    assert_eq!(fixture.settled("m"), [1]);
    fixture.remove("m/1");
    assert_eq!(fixture.scan()["m"], Ok(Vec::new()));
}

#[test]
fn the_last_versions_stay_where_that_is_asked_until_there_are_others() {
    let mut fixture = Fixture::new(|folder, config| {
        config.models = vec![ModelDir::new("m", folder.join("m"))];
        config.default_policy.keep_last = true;
    });
    fixture.add("m/1");
    assert_eq!(fixture.numbers("m"), [1]);
    fixture.remove("m/1");
    assert_eq!(fixture.numbers("m"), [1]);
    assert!(fixture.agenda.notices("m").iter().any(|notice| notice.contains("stay loaded")));
    fixture.add("m/2");
    assert_eq!(fixture.numbers("m"), [1], "still settling");
    assert_eq!(fixture.settled("m"), [2]);
}

#[test]
fn a_base_path_that_is_missing_is_an_error_of_its_own_model_and_of_no_other() {
    let mut fixture = Fixture::new(|folder, config| {
        config.models = ["absent", "file", "m"].map(|name| ModelDir::new(name, folder.join(name))).to_vec();
    });
    fs::write(fixture.path("file"), "").unwrap();
    let scanned = fixture.add("m/1").scan();
    let error = scanned["absent"].as_ref().unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains(&*fixture.path("absent").to_string_lossy()), "{error}");
    assert_eq!(fixture.agenda.notices("absent").len(), 1);
    assert_eq!(scanned["file"].as_ref().unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(numbers(&scanned["m"]), [1]);
    fixture.add("absent/7");
    assert_eq!(fixture.settled("absent"), [7]);
    assert!(fixture.agenda.notices("absent").is_empty());
}

#[test]
fn the_version_before_is_asked_for_at_once_when_the_latest_is_removed() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    fixture.add("m/1").add("m/2");
    assert_eq!(fixture.numbers("m"), [2]);
    fixture.remove("m/2");
    assert_eq!(fixture.numbers("m"), [1]);
}

#[test]
fn a_version_renamed_to_the_next_number_is_replaced_without_a_gap() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    fixture.add("m/1");
    assert_eq!(fixture.numbers("m"), [1]);
    fs::rename(fixture.path("m/1"), fixture.path("m/2")).unwrap();
    assert_eq!(fixture.numbers("m"), [1], "what is loaded stays until the new one is known to be complete");
    assert_eq!(fixture.settled("m"), [2]);
}
