//! Which models there are, and how each is watched.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use salver_core_servable::StreamName;
use salver_core_status::{Code, Status};

use super::fixture::{Fixture, numbers, version};
use crate::{ModelDir, ModelPolicy, PolicyFor, VersionPolicy};

fn all() -> ModelPolicy {
    ModelPolicy { versions: VersionPolicy::All, ..ModelPolicy::default() }
}

#[test]
fn models_appear_in_a_repository_and_disappear_with_one_last_word() {
    let mut fixture = Fixture::repository(|_| {});
    fixture.add("r/a/1").add("r/.git/1");
    fs::write(fixture.path("r/README"), "").unwrap();
    assert_eq!(fixture.scan().into_keys().collect::<Vec<_>>(), ["a"]);
    fixture.add("r/b/3");
    assert_eq!(fixture.settled("b"), [3]);
    fixture.remove("r/a");
    assert_eq!(fixture.scan()["a"], Ok(Vec::new()));
    assert_eq!(fixture.scan().into_keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_model_that_disappears_is_never_an_error_whichever_is_looked_at_first() {
    let mut fixture = Fixture::repository(|_| {});
    fixture.add("r/a/1").add("r/b/1").scan();
    // Only the model is due, and finds nothing: its repository is asked, and knows.
    fixture.remove("r/a");
    let place = fixture.agenda.place("a");
    fixture.agenda.changed(place, fixture.now());
    let told = fixture.pass(1000);
    assert_eq!(told["a"], Ok(Vec::new()));
    assert_eq!(numbers(&told["b"]), [1]);
}

#[test]
fn a_folder_without_versions_in_a_repository_is_a_model_without_versions_until_it_has_some() {
    let mut fixture = Fixture::repository(|_| {});
    fixture.add("r/a");
    assert_eq!(fixture.scan()["a"], Ok(Vec::new()));
    assert!(fixture.agenda.notices("a")[0].starts_with("no version in"));
    fixture.add("r/a/1");
    assert_eq!(fixture.settled("a"), [1]);
}

#[test]
fn a_repository_that_is_missing_is_an_error_of_each_model_known_in_it() {
    let mut fixture = Fixture::repository(|_| {});
    fixture.add("r/a/1").add("r/b/1").scan();
    fs::rename(fixture.path("r"), fixture.path("away")).unwrap();
    for _ in 0..2 {
        let scanned = fixture.scan();
        assert_eq!(scanned.len(), 2);
        for versions in scanned.values() {
            assert_eq!(versions.as_ref().unwrap_err().code(), Code::NotFound);
        }
        assert_eq!(fixture.agenda.repository_notices().len(), 1);
    }
    fs::rename(fixture.path("away"), fixture.path("r")).unwrap();
    assert_eq!(fixture.numbers("a"), [1], "what was known before is taken again at once");
    assert!(fixture.agenda.repository_notices().is_empty());
}

#[test]
fn a_repository_that_is_missing_at_the_start_is_found_when_it_is_there() {
    let mut fixture = Fixture::new(|folder, config| config.repositories = vec![folder.join("r")]);
    assert!(fixture.scan().is_empty());
    assert_eq!(fixture.agenda.repository_notices().len(), 1);
    assert!(!fixture.is_awaited());
    fixture.add("r/a/1");
    assert_eq!(fixture.settled("a"), [1]);
}

#[test]
fn a_repository_that_is_empty_all_at_once_is_not_believed_where_the_last_versions_are_to_stay() {
    for (keep_last, left) in [(true, vec![1]), (false, Vec::new())] {
        let mut fixture = Fixture::repository(|config| config.default_policy.keep_last = keep_last);
        fixture.add("r/a/1");
        assert_eq!(fixture.numbers("a"), [1]);
        fs::rename(fixture.path("r/a"), fixture.path("away")).unwrap();
        let told = fixture.scan().remove("a").unwrap();
        if keep_last {
            assert_eq!(told.unwrap_err().code(), Code::Unavailable);
        } else {
            assert_eq!(numbers(&told), left);
        }
    }
}

#[test]
fn a_model_named_in_the_configuration_counts_before_one_of_its_name_in_a_repository() {
    let mut fixture = Fixture::new(|folder, config| {
        config.models = vec![ModelDir::new("m", folder.join("named"))];
        config.repositories = vec![folder.join("r")];
    });
    fixture.add("named/1").add("r/m/2");
    assert_eq!(fixture.numbers("m"), [1]);
    assert_eq!(fixture.agenda.repository_notices().len(), 1);
    // No longer named: the other is uncovered, and what is loaded stays until it is known.
    assert_eq!(numbers(&fixture.update(Vec::new())["m"]), [1]);
    assert_eq!(fixture.settled("m"), [2]);
    assert!(fixture.agenda.repository_notices().is_empty());
}

#[test]
fn a_model_may_have_a_policy_of_its_own_or_an_error_of_its_own() {
    let mut fixture = Fixture::repository(|config| {
        config.policy_for = Some(Arc::new(|name: &StreamName, _path| match name.as_str() {
            "all" => Ok(all()),
            "broken" => Err(Status::invalid_argument("unknown key `polcy`")),
            _ => Ok(ModelPolicy::default()),
        }));
    });
    for model in ["all", "broken", "plain"] {
        fixture.add(&format!("r/{model}/1")).add(&format!("r/{model}/2"));
    }
    let scanned = fixture.scan();
    assert_eq!(numbers(&scanned["all"]), [1, 2]);
    assert_eq!(numbers(&scanned["plain"]), [2]);
    assert_eq!(scanned["broken"], Err(Status::invalid_argument("unknown key `polcy`")));
}

#[test]
fn a_policy_may_change_while_its_model_is_watched_and_what_is_said_by_name_counts_before_it() {
    let serves_all = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&serves_all);
    let policy_for: PolicyFor = Arc::new(move |_name, _path| {
        let revision = u64::from(asked.load(Ordering::Relaxed));
        Ok(if revision == 1 { ModelPolicy { revision, ..all() } } else { ModelPolicy::default() })
    });
    let mut fixture = Fixture::new(|folder, config| {
        let named = ModelDir::new("n", folder.join("m"));
        let latest = Some(VersionPolicy::default());
        config.models = vec![ModelDir::new("m", folder.join("m")), ModelDir { versions: latest, ..named }];
        config.policy_for = Some(policy_for);
    });
    let before = fixture.add("m/1").add("m/2").scan();
    assert_eq!((numbers(&before["m"]), numbers(&before["n"])), (vec![2], vec![2]));
    serves_all.store(true, Ordering::Relaxed);
    let after = fixture.scan();
    assert_eq!((numbers(&after["m"]), numbers(&after["n"])), (vec![1, 2], vec![2]));
    let revision = |versions: &super::fixture::Versions| versions.as_ref().unwrap()[0].revision;
    assert_ne!(revision(&before["n"]), revision(&after["n"]), "what failed may load with other settings");
}

#[test]
fn each_model_is_looked_at_as_often_as_it_asks() {
    let mut fixture = Fixture::new(|folder, config| {
        let every = |name: &str, interval| ModelDir {
            poll_interval: Some(interval),
            ..ModelDir::new(name, folder.join(name))
        };
        config.models = vec![
            every("often", Duration::from_millis(100)),
            every("never", Duration::MAX),
            every("once", Duration::ZERO),
            ModelDir::new("default", folder.join("default")),
        ];
    });
    let looked_at = |told: std::collections::BTreeMap<_, _>| told.into_keys().collect::<Vec<_>>();
    assert_eq!(looked_at(fixture.work()), ["default", "never", "often", "once"]);
    assert_eq!(fixture.next(), Some(100));
    assert_eq!(looked_at(fixture.pass(100)), ["often"]);
    assert_eq!(looked_at(fixture.pass(900)), ["default", "often"]);
    assert_eq!(looked_at(fixture.scan()), ["default", "never", "often", "once"], "when somebody asks");
}

#[test]
fn a_look_that_hangs_is_an_error_of_its_model_and_is_waited_for_no_longer_than_five_seconds() {
    let mut fixture = Fixture::new(|folder, config| {
        config.models = ["a", "b"].map(|name| ModelDir::new(name, folder.join(name))).to_vec();
    });
    fixture.add("a/1").add("b/1");
    let hanging = fixture.start();
    assert_eq!(numbers(&fixture.work()["b"]), [1]);
    assert!(fixture.is_awaited());
    assert!(!fixture.pass(4999).contains_key("a"));
    let error = fixture.pass(1).remove("a").unwrap().unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().ends_with("/a` has taken longer than 5 s"), "{error}");
    assert!(!fixture.is_awaited());
    assert!(!fixture.pass(1000).contains_key("a"), "that was said once");
    assert_eq!(numbers(&fixture.finish(hanging)["a"]), [1]);
}

#[test]
fn what_hangs_and_is_not_wanted_any_more_is_not_told_of_when_it_comes_back() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    fixture.add("m/1");
    let hanging = fixture.start();
    assert_eq!(fixture.update(Vec::new())["m"], Ok(Vec::new()));
    assert!(fixture.finish(hanging).is_empty());
    // Wanted again, with another policy, while the look by the old one still hangs.
    let m = ModelDir::new("m", fixture.path("m"));
    fixture.add("m/2").update(vec![m.clone()]);
    fixture.agenda.rescan(fixture.now());
    let hanging = fixture.start();
    let versions = Some(VersionPolicy::All);
    assert!(fixture.update(vec![ModelDir { versions, ..m }]).is_empty());
    assert!(fixture.finish(hanging).is_empty() && fixture.is_awaited());
    assert_eq!(numbers(&fixture.work()["m"]), [1, 2]);
}

#[test]
fn the_models_known_by_name_are_replaced_at_once_however_often_they_are_looked_at() {
    let mut fixture = Fixture::new(|folder, config| {
        config.models = ["kept", "gone"].map(|name| ModelDir::new(name, folder.join(name))).to_vec();
        config.default_policy.poll_interval = Duration::ZERO;
    });
    for path in ["kept/1", "kept/2", "gone/1", "new/1"] {
        fixture.add(path);
    }
    assert_eq!(fixture.work().len(), 2);
    assert_eq!(fixture.next(), None);
    let kept = ModelDir::new("kept", fixture.path("kept"));
    let (versions, new) = (Some(VersionPolicy::All), ModelDir::new("new", fixture.path("new")));
    let told = fixture.update(vec![ModelDir { versions, ..kept }, new]);
    assert_eq!(numbers(&told["kept"]), [1, 2], "its policy changed");
    assert_eq!(numbers(&told["gone"]), [0; 0]);
    assert_eq!(numbers(&told["new"]), [1], "what is there is old");
    assert!(!fixture.is_awaited());
    assert!(!fixture.scan().contains_key("gone"), "that was said once");
}

#[test]
fn a_model_that_moves_elsewhere_keeps_what_it_has_until_it_is_known_what_is_there() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    fixture.add("m/1").scan();
    fixture.add("elsewhere/2");
    fixture.files.say_age(Duration::ZERO);
    let told = fixture.update(vec![ModelDir::new("m", fixture.path("elsewhere"))]);
    assert_eq!(numbers(&told["m"]), [1]);
    let told = fixture.pass(1000).remove("m").unwrap();
    assert_eq!(told.as_ref().unwrap()[0].version, version(2));
    assert!(told.unwrap()[0].data.as_ref().unwrap().path.starts_with(fixture.path("elsewhere")));
}

#[test]
fn a_repository_folder_whose_name_is_not_utf_8_is_skipped_with_a_warning() {
    let mut fixture = Fixture::repository(|_| {});
    fixture.add("r/a/1");
    fs::create_dir(fixture.path("r").join(std::ffi::OsStr::from_bytes(b"\xff"))).unwrap();
    assert_eq!(fixture.scan().len(), 1);
    assert!(fixture.agenda.repository_notices()[0].ends_with("is ignored: its name is not UTF-8"));
}

#[test]
fn however_many_models_go_while_they_are_looked_at_others_are_found() {
    let mut fixture = Fixture::new(|_, _| {});
    fixture.add("last/1");
    for number in 0..100 {
        let name = format!("m{number}");
        fixture.agenda.update(vec![ModelDir::new(name.as_str(), fixture.path(&name))], fixture.now());
        let look = fixture.start();
        fixture.agenda.update(Vec::new(), fixture.now());
        assert_eq!(fixture.finish(look)[&name], Ok(Vec::new()));
    }
    let told = fixture.update(vec![ModelDir::new("last", fixture.path("last"))]);
    assert_eq!(numbers(&told["last"]), [1]);
}

#[test]
fn a_link_that_cannot_be_followed_is_the_trouble_of_its_own_model() {
    let mut fixture = Fixture::repository(|_| {});
    fixture.add("r/a/1");
    std::os::unix::fs::symlink("x".repeat(300), fixture.path("r/link")).unwrap();
    let told = fixture.scan();
    assert_eq!(numbers(&told["a"]), [1]);
    assert!(told["link"].is_err());
    assert!(fixture.agenda.repository_notices().is_empty());
}

#[test]
fn a_repository_counts_as_seen_when_all_that_was_found_in_it_first_was_told() {
    let mut fixture = Fixture::new(|folder, config| config.repositories = vec![folder.join("r")]);
    fixture.files.say_age(Duration::ZERO);
    assert!(!fixture.is_seen());
    fixture.scan();
    fixture.pass(60_000);
    assert!(!fixture.is_seen(), "it is not there");
    fixture.add("r/a/1");
    assert_eq!(numbers(&fixture.scan()["a"]), [0; 0], "it may still be being copied");
    assert!(!fixture.is_seen());
    assert_eq!(numbers(&fixture.pass(1000)["a"]), [1]);
    assert!(fixture.is_seen());
    fs::rename(fixture.path("r"), fixture.path("away")).unwrap();
    fixture.scan();
    assert!(fixture.is_seen(), "what was in it was told");
}

#[test]
fn a_missing_repository_that_is_looked_at_once_is_not_waited_for() {
    let mut fixture = Fixture::new(|folder, config| {
        config.repositories = vec![folder.join("r")];
        config.default_policy.poll_interval = Duration::ZERO;
    });
    assert!(!fixture.is_seen());
    fixture.work();
    assert!(fixture.is_seen());
}

#[test]
fn whoever_replaces_the_models_while_a_look_hangs_hears_that_it_does() {
    let mut fixture = Fixture::model(VersionPolicy::All);
    let models = vec![ModelDir::new("m", fixture.path("m"))];
    let hanging = fixture.start();
    for _ in 0..2 {
        let told = fixture.update(models.clone());
        let told = if told.is_empty() { fixture.pass(5000) } else { told };
        assert_eq!(told["m"].as_ref().unwrap_err().code(), Code::Unavailable);
    }
    fixture.finish(hanging);
    assert!(fixture.update(models)["m"].is_ok());
}

#[test]
fn a_look_that_began_before_the_models_were_replaced_is_not_the_one_waited_for() {
    let mut fixture = Fixture::model(VersionPolicy::All);
    let models = vec![ModelDir::new("m", fixture.path("m"))];
    let before = fixture.start();
    fixture.agenda.update(models.clone(), fixture.now());
    fixture.finish(before);
    assert!(fixture.is_awaited());
    fixture.work();
    assert!(!fixture.is_awaited());
    // Nor is one that looked for something else.
    let before = {
        fixture.agenda.rescan(fixture.now());
        fixture.start()
    };
    let others = models.into_iter().map(|dir| ModelDir { versions: Some(VersionPolicy::Latest(1)), ..dir });
    fixture.agenda.update(others.collect(), fixture.now());
    fixture.finish(before);
    assert!(fixture.is_awaited());
    fixture.work();
    assert!(!fixture.is_awaited());
}
