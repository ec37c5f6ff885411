//! The behaviours of TensorFlow Serving's `file_system_storage_path_source_test.cc` and of what goes beyond it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, unbounded};
use salver_core_loader::{Aspired, AspiredVersions, SharedTarget, Source, Target};
use salver_core_servable::{StreamName, Version};
use salver_core_status::{Code, Status};
use tempfile::TempDir;

use crate::{Config, FileSystemSource, ModelDir, PolicyFor, Scanner, VersionPath, VersionPolicy};

type Versions = Result<Vec<Aspired<VersionPath>>, Status>;

/// A folder to fill, and the scanner that looks at it.
struct Fixture {
    folder: TempDir,
    scanner: Scanner,
}

fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

impl Fixture {
    /// Watches model `m` in a folder `m` that exists.
    fn model(policy: VersionPolicy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base_path = folder.path().join("m");
        fs::create_dir(&base_path).unwrap();
        let models = vec![ModelDir { name: "m".into(), base_path, policy }];
        Self { folder, scanner: Scanner::new(Config { models, ..Config::default() }) }
    }

    /// Watches the folder as a repository.
    fn repository(adjust: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { repositories: vec![folder.path().join("r")], ..Config::default() };
        adjust(&mut config);
        fs::create_dir(folder.path().join("r")).unwrap();
        Self { folder, scanner: Scanner::new(config) }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn add(&mut self, path: &str) -> &mut Self {
        fs::create_dir_all(self.path(path)).unwrap();
        fs::write(self.path(path).join("model"), path).unwrap();
        self
    }

    fn remove(&mut self, path: &str) -> &mut Self {
        fs::remove_dir_all(self.path(path)).unwrap();
        self
    }

    fn scan(&mut self) -> BTreeMap<String, Versions> {
        let scanned = self.scanner.scan();
        scanned.into_iter().map(|aspired| (aspired.stream.to_string(), aspired.versions)).collect()
    }

    /// Scans, and returns the numbers asked for of one model.
    fn numbers(&mut self, name: &str) -> Vec<i64> {
        let versions = self.scan().remove(name).unwrap().unwrap();
        versions.iter().map(|one| one.version.number()).collect()
    }

    /// Scans until what was added counts as complete.
    fn settled(&mut self, name: &str) -> Vec<i64> {
        self.scan();
        self.numbers(name)
    }
}

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
    assert!(fixture.scanner.notices("m")[0].starts_with("version 3 is asked for and not in"));
    fixture.add("m/3");
    assert_eq!(fixture.settled("m"), [1, 3]);
    assert!(fixture.scanner.notices("m").is_empty());
}

#[test]
fn a_policy_that_names_no_specific_version_asks_for_none() {
    let mut fixture = Fixture::model(VersionPolicy::Specific(Vec::new()));
    assert_eq!(fixture.add("m/1").scan()["m"], Ok(Vec::new()));
    assert_eq!(fixture.scanner.notices("m").len(), 1);
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
        assert!(fixture.scanner.notices("m")[0].ends_with("of the same version, is not"));
    }
}

#[cfg(unix)]
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
    assert!(fixture.scanner.notices("m")[0].starts_with("no version in"));
    fixture.add("m/1");
    assert_eq!(fixture.settled("m"), [1]);
    fixture.remove("m/1");
    assert_eq!(fixture.scan()["m"], Ok(Vec::new()));
}

#[test]
fn a_base_path_that_is_missing_is_an_error_of_its_own_model_and_of_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let model = |name: &str| ModelDir {
        name: name.into(),
        base_path: folder.path().join(name),
        policy: VersionPolicy::default(),
    };
    let config = Config { models: vec![model("absent"), model("file"), model("m")], ..Config::default() };
    let mut fixture = Fixture { folder, scanner: Scanner::new(config) };
    fs::write(fixture.path("file"), "").unwrap();
    let scanned = fixture.add("m/1").scan();
    let error = scanned["absent"].as_ref().unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains(&*fixture.path("absent").to_string_lossy()), "{error}");
    assert_eq!(scanned["file"].as_ref().unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(scanned["m"].as_ref().unwrap().len(), 1);
    fixture.add("absent/7");
    assert_eq!(fixture.settled("absent"), [7]);
}

#[test]
fn a_version_that_appears_is_taken_when_two_scans_running_find_the_same_in_it() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    fixture.add("m/1");
    assert_eq!(fixture.numbers("m"), [1]);
    fixture.add("m/2");
    assert_eq!(fixture.numbers("m"), [1], "seen once");
    fs::write(fixture.path("m/2/more"), "half").unwrap();
    assert_eq!(fixture.numbers("m"), [1], "it grew");
    fs::write(fixture.path("m/2/more"), "whole").unwrap();
    assert_eq!(fixture.numbers("m"), [1], "it grew again");
    assert_eq!(fixture.numbers("m"), [2]);
}

#[test]
fn a_version_that_was_taken_stays_taken_and_its_revision_changes_once_its_files_are_still() {
    let mut fixture = Fixture::model(VersionPolicy::default());
    fixture.add("m/1");
    let revision = |fixture: &mut Fixture| {
        let versions = fixture.scan().remove("m").unwrap().unwrap();
        assert_eq!(versions.len(), 1);
        versions[0].revision
    };
    let first = revision(&mut fixture);
    assert_eq!(revision(&mut fixture), first);
    fs::write(fixture.path("m/1/model"), "something longer").unwrap();
    assert_eq!(revision(&mut fixture), first, "it may still be changing");
    let second = revision(&mut fixture);
    assert_ne!(second, first);
    assert_eq!(revision(&mut fixture), second);
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
    assert_eq!(fixture.numbers("m"), [2]);
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
fn a_folder_without_versions_in_a_repository_is_a_model_without_versions_until_it_has_some() {
    let mut fixture = Fixture::repository(|_| {});
    fixture.add("r/a");
    assert_eq!(fixture.scan()["a"], Ok(Vec::new()));
    assert!(fixture.scanner.notices("a")[0].starts_with("no version in"));
    fixture.add("r/a/1");
    assert_eq!(fixture.settled("a"), [1]);
}

#[test]
fn a_repository_that_cannot_be_read_is_an_error_of_each_model_known_in_it() {
    let mut fixture = Fixture::repository(|_| {});
    fixture.add("r/a/1").add("r/b/1").scan();
    fs::rename(fixture.path("r"), fixture.path("away")).unwrap();
    for _ in 0..2 {
        let scanned = fixture.scan();
        assert_eq!(scanned.len(), 2);
        for versions in scanned.values() {
            assert_eq!(versions.as_ref().unwrap_err().code(), Code::NotFound);
        }
        assert_eq!(fixture.scanner.repository_notices().len(), 1);
    }
    fs::rename(fixture.path("away"), fixture.path("r")).unwrap();
    assert_eq!(fixture.numbers("a"), [1], "what was known before is taken again at once");
    assert!(fixture.scanner.repository_notices().is_empty());
}

#[test]
fn a_model_named_in_the_configuration_counts_before_one_of_its_name_in_a_repository() {
    let folder = tempfile::tempdir().unwrap();
    let (base_path, repository) = (folder.path().join("named"), folder.path().join("r"));
    let models = vec![ModelDir { name: "m".into(), base_path, policy: VersionPolicy::default() }];
    let config = Config { models, repositories: vec![repository], ..Config::default() };
    let mut fixture = Fixture { folder, scanner: Scanner::new(config) };
    fixture.add("named/1").add("r/m/2");
    assert_eq!(fixture.numbers("m"), [1]);
    assert_eq!(fixture.scanner.repository_notices().len(), 1);
}

#[test]
fn a_repository_model_may_have_a_policy_of_its_own_or_an_error_of_its_own() {
    let mut fixture = Fixture::repository(|config| {
        config.policy_for = Some(Arc::new(|name: &StreamName, _path| match name.as_str() {
            "all" => Ok(VersionPolicy::All),
            "broken" => Err(Status::invalid_argument("unknown key `polcy`")),
            _ => Ok(VersionPolicy::default()),
        }));
    });
    for model in ["all", "broken", "plain"] {
        fixture.add(&format!("r/{model}/1")).add(&format!("r/{model}/2"));
    }
    let scanned = fixture.scan();
    assert_eq!(scanned["all"].as_ref().unwrap().len(), 2);
    assert_eq!(scanned["plain"].as_ref().unwrap().len(), 1);
    assert_eq!(scanned["broken"], Err(Status::invalid_argument("unknown key `polcy`")));
}

#[test]
fn a_named_model_s_policy_may_change_while_it_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let serves_all = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asked = Arc::clone(&serves_all);
    let policy_for: PolicyFor = Arc::new(move |_name, _path| {
        let serves_all = asked.load(std::sync::atomic::Ordering::Relaxed);
        Ok(if serves_all { VersionPolicy::All } else { VersionPolicy::default() })
    });
    let base_path = folder.path().join("named");
    let models = vec![ModelDir { name: "m".into(), base_path, policy: VersionPolicy::default() }];
    let config = Config { models, policy_for: Some(policy_for), ..Config::default() };
    let mut fixture = Fixture { folder, scanner: Scanner::new(config) };
    fixture.add("named/1").add("named/2");
    assert_eq!(fixture.numbers("m"), [2]);
    serves_all.store(true, std::sync::atomic::Ordering::Relaxed);
    fixture.scan();
    assert_eq!(fixture.numbers("m"), [1, 2]);
}

#[cfg(unix)]
#[test]
fn a_repository_folder_whose_name_is_not_utf_8_is_skipped_with_a_warning() {
    use std::os::unix::ffi::OsStrExt as _;

    let mut fixture = Fixture::repository(|_| {});
    fixture.add("r/a/1");
    fs::create_dir(fixture.path("r").join(std::ffi::OsStr::from_bytes(b"\xff"))).unwrap();
    assert_eq!(fixture.scan().len(), 1);
    assert!(fixture.scanner.repository_notices()[0].ends_with("is ignored: its name is not UTF-8"));
}

/// Passes on what it is told.
struct Forward(Sender<AspiredVersions<VersionPath>>);

impl Target<VersionPath> for Forward {
    fn set_aspired(&self, aspired: AspiredVersions<VersionPath>) {
        let _ = self.0.send(aspired);
    }
}

#[test]
fn the_source_has_told_of_every_model_when_it_is_connected_and_then_polls_until_it_is_dropped() {
    let mut fixture = Fixture::repository(|_| {});
    fixture.add("r/m/1");
    let repositories = vec![fixture.path("r")];
    let poll_interval = Duration::from_millis(1);
    let mut source = FileSystemSource::new(Config { repositories, poll_interval, ..Config::default() });
    let (sender, told) = unbounded();
    let target: SharedTarget<_> = Arc::new(Forward(sender));
    source.connect(target);
    let first = told.try_recv().unwrap();
    assert_eq!(first.versions.unwrap()[0].version, version(1));
    fixture.add("r/m/2");
    let is_second = |aspired: AspiredVersions<VersionPath>| {
        aspired.versions.is_ok_and(|versions| versions.iter().any(|one| one.version == version(2)))
    };
    assert!(told.iter().any(is_second));
    drop(source);
    // The target is dropped with the thread, so that this ends.
    assert!(told.iter().all(|aspired| aspired.stream.as_str() == "m"));
}

#[test]
fn with_an_interval_of_zero_the_source_looks_once() {
    let mut fixture = Fixture::repository(|_| {});
    fixture.add("r/m/1");
    let repositories = vec![fixture.path("r")];
    let config = Config { repositories, poll_interval: Duration::ZERO, ..Config::default() };
    let mut source = FileSystemSource::new(config);
    let (sender, told) = unbounded();
    source.connect(Arc::new(Forward(sender)));
    // The target is already dropped: there is nobody left to poll for.
    assert_eq!(told.iter().count(), 1);
}
