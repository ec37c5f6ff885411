//! The source as it runs: threads, and word from the system.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use salver_core_clock::SystemClock;
use salver_core_loader::{AspiredVersions, Source as _, Target};
use salver_core_servable::StreamName;
use salver_core_status::Code;
use tempfile::TempDir;

use super::fixture::{FakeFiles, Forward, LONG, version};
use crate::{Config, FileSystemSource, ModelDir, ModelPolicy, VersionPath};

/// A source that does not poll and takes all it finds.
struct Running {
    folder: TempDir,
    files: Arc<FakeFiles>,
    source: FileSystemSource,
    told: Receiver<AspiredVersions<VersionPath>>,
}

impl Running {
    /// Starts in a folder with these versions, configured by `configure`.
    fn start(paths: &[&str], configure: impl FnOnce(&Path, &FakeFiles, &mut Config)) -> Self {
        let (folder, files) = (tempfile::tempdir().unwrap(), Arc::new(FakeFiles::default()));
        paths.iter().for_each(|path| add(&folder, path));
        let default_policy = ModelPolicy { poll_interval: Duration::MAX, ..ModelPolicy::default() };
        let mut config = Config { default_policy, settle: Duration::ZERO, ..Config::default() };
        configure(folder.path(), &files, &mut config);
        let mut source = FileSystemSource::with(config, Arc::clone(&files) as _, Arc::new(SystemClock));
        let (sender, told) = unbounded();
        source.connect(Arc::new(Forward(sender)));
        Self { folder, files, source, told }
    }

    /// Waits until a version of a model is asked for.
    fn wait_for(&self, name: &str, number: i64) {
        let is_there = |aspired: AspiredVersions<VersionPath>| {
            aspired.stream.as_str() == name
                && aspired.versions.is_ok_and(|all| all.iter().any(|one| one.version == version(number)))
        };
        assert!(self.told.iter().any(is_there), "it ended");
    }
}

fn add(folder: &TempDir, path: &str) {
    let path = folder.path().join(path);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("model"), "model").unwrap();
}

fn dir(folder: &Path, name: &str) -> ModelDir {
    ModelDir::new(name, folder.join(name))
}

#[test]
fn all_that_is_there_has_been_told_of_when_the_source_is_connected() {
    let paths: Vec<_> = (0..50).map(|number| format!("r/m{number}/1")).collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let running = Running::start(&paths, |folder, _, config| config.repositories = vec![folder.join("r")]);
    let mut told: Vec<_> = running.told.try_iter().map(|aspired| aspired.stream).collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 50);
}

#[test]
fn what_was_modified_just_before_has_settled_when_the_source_is_connected() {
    let running = Running::start(&["m/1"], |folder, _, config| {
        config.models = vec![dir(folder, "m")];
        config.settle = Duration::from_millis(50);
    });
    let last = running.told.try_iter().last().unwrap();
    assert_eq!(last.versions.unwrap()[0].version, version(1));
}

#[test]
fn changes_are_noticed_without_looking_again_and_again() {
    let running = Running::start(&["r/a/1", "n/1"], |folder, _, config| {
        config.repositories = vec![folder.join("r")];
        config.models = vec![dir(folder, "n")];
    });
    add(&running.folder, "r/a/2");
    running.wait_for("a", 2);
    add(&running.folder, "n/2");
    running.wait_for("n", 2);
    add(&running.folder, "r/b/3");
    running.wait_for("b", 3);
    add(&running.folder, "r/b/4");
    running.wait_for("b", 4);
    fs::rename(running.folder.path().join("r/b/4"), running.folder.path().join("r/b/5")).unwrap();
    running.wait_for("b", 5);
}

#[test]
fn changes_deep_in_a_version_are_noticed_as_another_revision() {
    let running = Running::start(&["m/1/variables/0"], |folder, _, config| {
        config.models = vec![dir(folder, "m")];
    });
    let revision = |aspired: AspiredVersions<VersionPath>| aspired.versions.unwrap()[0].revision;
    let first = revision(running.told.recv().unwrap());
    fs::write(running.folder.path().join("m/1/variables/0/model"), "another").unwrap();
    assert!(running.told.iter().map(revision).any(|now| now != first));
}

#[test]
fn a_base_path_that_appears_is_noticed_by_the_folder_above_it() {
    let running = Running::start(&[], |folder, _, config| config.models = vec![dir(folder, "m")]);
    let first = running.told.recv().unwrap();
    assert_eq!(first.versions.unwrap_err().code(), Code::NotFound);
    add(&running.folder, "m/1");
    running.wait_for("m", 1);
}

#[test]
fn where_nothing_is_watched_new_versions_are_found_by_looking() {
    let running = Running::start(&["m/1"], |folder, _, config| {
        config.models = vec![dir(folder, "m")];
        config.default_policy.poll_interval = Duration::from_millis(1);
        config.watch = false;
    });
    add(&running.folder, "m/2");
    running.wait_for("m", 2);
}

#[test]
fn a_model_that_is_to_be_looked_at_once_is_looked_at_again_only_when_somebody_asks() {
    let running = Running::start(&["m/1", "w/1"], |folder, _, config| {
        let once = |dir: ModelDir| ModelDir { poll_interval: Some(Duration::ZERO), ..dir };
        config.models = vec![once(dir(folder, "m")), dir(folder, "w")];
    });
    add(&running.folder, "m/2");
    add(&running.folder, "w/2");
    running.wait_for("w", 2);
    running.source.rescan();
    running.wait_for("m", 2);
}

#[test]
fn a_path_that_hangs_holds_up_no_other_model_and_not_the_end() {
    let running = Running::start(&["stuck/1", "m/1"], |folder, _, config| {
        config.models = vec![dir(folder, "m"), dir(folder, "stuck")];
    });
    running.wait_for("stuck", 1);
    running.files.hang_at(&running.folder.path().join("stuck"));
    running.source.rescan();
    add(&running.folder, "m/2");
    running.wait_for("m", 2);
    // It comes back.
    add(&running.folder, "stuck/2");
    running.files.release();
    running.wait_for("stuck", 2);
    // And hangs again, and the source ends all the same.
    running.files.hang_at(&running.folder.path().join("stuck"));
    running.source.rescan();
    let Running { files, source, told, .. } = running;
    drop(source);
    // This ends because nobody is left to tell.
    assert!(told.iter().all(|aspired| aspired.versions.is_ok()));
    files.release();
}

#[test]
fn the_models_known_by_name_can_be_replaced_while_the_source_runs() {
    let running = Running::start(&["a/1", "b/1"], |folder, _, config| {
        config.models = vec![ModelDir { poll_interval: Some(LONG), ..dir(folder, "a") }];
    });
    running.wait_for("a", 1);
    running.source.update(vec![dir(running.folder.path(), "b")]);
    let told: Vec<_> = running.told.try_iter().collect();
    let of = |name: &str| told.iter().rfind(|aspired| aspired.stream.as_str() == name).unwrap();
    assert_eq!(of("a").versions, Ok(Vec::new()));
    assert_eq!(of("b").versions.as_ref().unwrap()[0].version, version(1));
}

#[test]
fn a_source_that_is_not_connected_yet_is_connected_to_the_models_it_was_given_last() {
    let folder = tempfile::tempdir().unwrap();
    add(&folder, "m/1");
    let mut source = FileSystemSource::new(Config { settle: Duration::ZERO, ..Config::default() });
    source.update(vec![dir(folder.path(), "m")]);
    source.rescan();
    let (sender, told) = unbounded();
    source.connect(Arc::new(Forward(sender)));
    assert_eq!(told.try_recv().unwrap().versions.unwrap()[0].version, version(1));
}

#[test]
fn what_a_look_found_is_told_before_the_next_look_at_the_model_begins() {
    /// Tells whether the next look begins while it is told of one.
    struct Slow(Receiver<()>, Sender<bool>);
    impl Target<VersionPath> for Slow {
        fn set_aspired(&self, _: AspiredVersions<VersionPath>) {
            self.0.recv().unwrap();
            let has_begun = self.0.recv_timeout(Duration::from_millis(100)).is_ok();
            let _ = self.1.send(has_begun);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    add(&folder, "m/1");
    let ((asks, asked), (tells, told)) = (unbounded(), unbounded());
    let always_due = ModelPolicy { poll_interval: Duration::from_nanos(1), ..ModelPolicy::default() };
    let policy_for = move |_: &StreamName, _: &Path| {
        let _ = asks.send(());
        Ok(always_due.clone())
    };
    let mut source = FileSystemSource::new(Config {
        models: vec![dir(folder.path(), "m")],
        policy_for: Some(Arc::new(policy_for)),
        settle: Duration::ZERO,
        watch: false,
        ..Config::default()
    });
    source.connect(Arc::new(Slow(asked, tells)));
    drop(source);
    assert_eq!(told.iter().next(), Some(false));
}

#[test]
fn the_target_is_let_go_when_the_source_is_dropped() {
    let running = Running::start(&["m/1"], |folder, _, config| config.models = vec![dir(folder, "m")]);
    let Running { source, told, .. } = running;
    drop(source);
    // This ends because nobody is left to tell.
    assert!(told.iter().all(|aspired| aspired.stream.as_str() == "m"));
}
