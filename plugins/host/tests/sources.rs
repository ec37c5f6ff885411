//! Sources of plugins: what they say arrives, what they must not say is refused, and ended they are heard no more.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails ends its test")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};

use salver_core_loader::{Aspired, AspiredVersions, SharedTarget, Source, Target};
use salver_core_platform::{OptionValue, Options};
use salver_core_servable::Version;
use salver_core_status::{Code, Status};
use salver_plugins_host::{Error, HostServices, Plugin, PluginMetrics, PluginSource, Plugins};
use support::*;

type Said = AspiredVersions<PathBuf>;

/// Notes what it is told; refuses it, where it is told to.
#[derive(Default)]
struct Record {
    told: Mutex<Vec<Said>>,
    refuses: bool,
}

impl Target<PathBuf> for Record {
    fn set_aspired(&self, aspired: Said) {
        self.told.lock().unwrap().push(aspired);
    }

    fn offer(&self, aspired: Said) -> Result<(), Status> {
        if self.refuses {
            return Err(Status::already_exists("it is another's"));
        }
        self.set_aspired(aspired);
        Ok(())
    }
}

/// Passes on what it is told.
struct Channel(Mutex<mpsc::Sender<Said>>);

impl Target<PathBuf> for Channel {
    fn set_aspired(&self, aspired: Said) {
        let _ = self.0.lock().unwrap().send(aspired);
    }
}

impl Record {
    fn told(&self) -> Vec<Said> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

/// A plugin of its own of this library, and what it recorded.
fn own(library: &Path) -> (Plugin, Arc<Figures>) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("own.so");
    std::fs::copy(library, &copy).unwrap();
    let figures = Arc::new(Figures::default());
    let metrics = Arc::clone(&figures) as Arc<dyn PluginMetrics>;
    let services = HostServices { metrics, ..HostServices::default() };
    (Plugins::new(services).open(&copy).unwrap(), figures)
}

fn wrong(flags: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let library = misbehaving("sources", flags, folder.path());
    (folder, library)
}

fn options(given: &[(&str, &str)]) -> Options {
    let mut options = Options::new();
    given.iter().for_each(|(name, value)| options.set(*name, OptionValue::Text((*value).to_owned())));
    options
}

fn create(plugin: &Plugin, given: &[(&str, &str)]) -> Result<PluginSource, Status> {
    plugin.sources()[0].create(&options(given))
}

/// What arrives from a source with these options, and the code it was answered with.
fn heard(plugin: &Plugin, figures: &Figures, given: &[(&str, &str)]) -> (Vec<Said>, f64) {
    let record = Arc::new(Record::default());
    let before = figures.get("code");
    let mut source = create(plugin, given).unwrap();
    source.connect(Arc::clone(&record) as SharedTarget<PathBuf>);
    (record.told(), figures.get("code") - before)
}

fn version(number: i64, revision: u64, data: Result<&str, Status>) -> Aspired<PathBuf> {
    Aspired { version: Version::new(number).unwrap(), revision, data: data.map(PathBuf::from) }
}

fn said(stream: &str, versions: Result<Vec<Aspired<PathBuf>>, Status>) -> Said {
    AspiredVersions { stream: stream.into(), versions }
}

#[test]
fn what_a_source_says_in_c_arrives_with_its_errors() {
    let (_folder, library) = wrong(&[]);
    let (plugin, figures) = own(&library);
    assert!(plugin.platforms().is_empty(), "a plugin may have sources alone");
    let kind = &plugin.sources()[0];
    assert_eq!((kind.name(), kind.description()), ("wrong", "Says what it must not."));
    let first = || version(1, 5, Ok("/m/1"));
    let fire = Status::data_loss("the disk is on fire");
    let unknown = Status::internal("the source gave the unknown code 57: the source gave no reason");
    let panicked = Status::internal("the source panicked: the source gave no reason");
    for (what, versions) in [
        ("both", Ok(vec![first(), version(2, 5, Ok("/m/2"))])),
        ("none", Ok(vec![])),
        ("error", Ok(vec![first(), version(2, 5, Err(fire))])),
        ("unknown_error", Ok(vec![first(), version(2, 5, Err(unknown))])),
        ("trouble", Err(Status::unavailable("no answer"))),
        ("panicked", Err(panicked)),
    ] {
        assert_eq!(heard(&plugin, &figures, &[("say", what)]), (vec![said("m", versions)], 0.0), "{what}");
    }
    assert_eq!(figures.get("live"), 0.0, "each was ended");
    assert_the_server_goes_on();
}

#[test]
fn what_a_source_must_not_say_is_refused_and_does_not_arrive() {
    let (_folder, library) = wrong(&[]);
    let (plugin, figures) = own(&library);
    for what in [
        "null_stream",
        "misaligned_stream",
        "null_name",
        "no_name",
        "not_utf8",
        "slash",
        "nul",
        "long_name",
        "null_versions",
        "misaligned_versions",
        "countless",
        "negative",
        "twice",
        "no_directory",
        "null_directory",
        "relative",
        "nul_directory",
        "null_sink",
    ] {
        let refused = (vec![], f64::from(Code::InvalidArgument as u32));
        assert_eq!(heard(&plugin, &figures, &[("say", what)]), refused, "{what}");
    }
    assert_the_server_goes_on();
}

#[test]
fn a_source_that_is_not_made_is_told_by_its_own_words() {
    let (_folder, library) = wrong(&[]);
    let (plugin, figures) = own(&library);
    let refused = create(&plugin, &[("say", "refuse")]).unwrap_err();
    assert_eq!(refused, Status::failed_precondition("there is nothing to watch"));
    assert_eq!(figures.get("live"), 0.0, "nothing is destroyed that was not made");
}

#[test]
fn a_source_that_speaks_while_it_is_ended_is_not_heard_and_told_so() {
    let (_folder, library) = wrong(&[]);
    let (plugin, figures) = own(&library);
    let record = Arc::new(Record::default());
    let mut source = create(&plugin, &[("late", "")]).unwrap();
    source.connect(Arc::clone(&record) as SharedTarget<PathBuf>);
    assert_eq!(record.told().len(), 1);
    drop(source);
    assert_eq!((record.told(), figures.get("code")), (vec![], f64::from(Code::Cancelled as u32)));
    assert_eq!(Arc::strong_count(&record), 1, "nothing is kept of who was told");
}

#[test]
fn a_source_hears_whether_it_counts_and_one_that_is_ended_that_it_does_not() {
    let (_folder, library) = wrong(&[]);
    let (plugin, figures) = own(&library);
    let record = Arc::new(Record { refuses: true, ..Record::default() });
    let mut first = create(&plugin, &[]).unwrap();
    first.connect(Arc::clone(&record) as SharedTarget<PathBuf>);
    // What was said before anybody listened is passed on as it is.
    assert_eq!((record.told().len(), figures.get("code")), (1, 0.0));
    drop(create(&plugin, &[("of_first", "")]).unwrap());
    assert_eq!(figures.get("code"), f64::from(Code::AlreadyExists as u32));
    drop(first);
    drop(create(&plugin, &[("of_first", "")]).unwrap());
    let both = Code::AlreadyExists as u32 + Code::Cancelled as u32;
    assert_eq!((record.told(), figures.get("code")), (vec![], f64::from(both)));
}

#[test]
fn tables_that_cannot_be_are_refused() {
    for (flag, wanted) in [
        ("-DNO_SOURCES", "it does not offer `salver.sources/1`, its note lists sources"),
        ("-DMISALIGNED", "`salver.sources/1` is misaligned"),
        ("-DNO_COUNT", "`salver.sources/1` lacks a function"),
        ("-DNULL_SOURCE", "source 0 is null or misaligned"),
        ("-DNO_DESTROY", "source `wrong` lacks a function"),
        (r#"-DSOURCES="wrong,other""#, "it has 1 sources, its note lists 2"),
        (r#"-DSOURCES="other""#, r#"source 0 is called "wrong", the note lists "other""#),
    ] {
        let (_folder, library) = wrong(&[flag]);
        let error = open(&library).unwrap_err();
        let Error::BadTable { what, .. } = &error else { panic!("{flag}: {error}") };
        assert_eq!(what, wanted);
    }
    let (_folder, library) = wrong(&[r#"-DSOURCES="wrong,wrong""#]);
    let error = open(&library).unwrap_err();
    assert!(matches!(&error, Error::SameSource { name, .. } if name == "wrong"), "{error}");
}

#[test]
fn two_plugins_cannot_have_a_source_of_one_name() {
    let (_folder, library) = wrong(&[]);
    let (_other_folder, other) = wrong(&[r#"-DNAME="other""#]);
    let plugins = Plugins::new(HostServices::default());
    plugins.open(&library).unwrap();
    let error = plugins.open(&other).unwrap_err();
    assert!(matches!(&error, Error::SameSource { name, .. } if name == "wrong"), "{error}");
    assert_eq!(plugins.sources().len(), 1);
}

#[test]
fn a_source_in_rust_is_heard_and_what_it_panics_with_is_told() {
    let (plugin, figures) = own(&cdylib("salver-plugins-misbehaving-panics"));
    assert_eq!((plugin.platforms().len(), plugin.sources().len()), (1, 1));
    let heard = heard(&plugin, &figures, &[]).0;
    let lost = Err(Status::data_loss("lost"));
    assert_eq!(heard, [said("m", Ok(vec![version(1, 9, Ok("/m/1"))])), said("n", lost)]);
    assert_eq!(figures.get("sources"), 0.0);
    for (option, doing) in [("create", "creating a source"), ("connect", "connecting a source")] {
        let panicked = create(&plugin, &[(option, "panic")]).unwrap_err();
        let text = format!("plugin `panics` panicked creating source `fragile`: {doing}");
        assert_eq!(panicked, Status::internal(text));
    }
    drop(create(&plugin, &[("drop", "panic")]).unwrap());
    assert_eq!(figures.get("sources"), 0.0, "what was made is gone, however it went");
    assert_the_server_goes_on();
}

#[test]
fn the_example_follows_links_in_its_own_time() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    for name in ["a/1", "links"] {
        std::fs::create_dir_all(base.join(name)).unwrap();
    }
    let plugin = open(&cdylib("salver-plugins-examples-symlinks")).unwrap();
    let mut options = options(&[("directory", base.join("links").to_str().unwrap())]);
    options.set("interval_ms", OptionValue::Int(1));
    let mut source = plugin.sources()[0].create(&options).unwrap();
    let (sender, told) = mpsc::channel();
    source.connect(Arc::new(Channel(Mutex::new(sender))));
    symlink(base.join("a/1"), base.join("links/m")).unwrap();
    let first = told.recv().unwrap();
    assert_eq!(first.stream.as_str(), "m");
    assert_eq!(first.versions.unwrap()[0].data, Ok(base.join("a/1")));
    std::fs::remove_file(base.join("links/m")).unwrap();
    assert!(told.iter().any(|said| said.versions == Ok(vec![])));
    drop(source);
    assert_eq!(told.iter().count(), 0);
}

#[test]
fn a_source_in_cpp_says_what_a_file_lists_and_what_it_throws_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("models.txt");
    let list = |lines: &str| std::fs::write(&file, lines).unwrap();
    list("m 1 /m/1 n 7 /n/7 m 2 /m/2");
    let library = compile(
        &plugins_folder().join("c/example/listed.cpp"),
        &["-xc++", "-Wpedantic", "-fvisibility=hidden", "-Wl,--no-as-needed", "-lstdc++"],
        folder.path(),
    );
    let plugin = open(&library).unwrap();
    assert!(plugin.platforms().is_empty());
    assert_eq!(plugin.sources()[0].description(), "The versions that a file lists.");
    let missing = create(&plugin, &[]).unwrap_err();
    assert_eq!(missing, Status::invalid_argument("option `file` is missing, wanted a path"));
    list("m -1 /m");
    let file_option = [("file", file.to_str().unwrap())];
    assert_eq!(create(&plugin, &file_option).unwrap_err().code(), Code::InvalidArgument);

    list("m 1 /m/1 n 7 /n/7 m 2 /m/2");
    let mut options = options(&file_option);
    options.set("period_ms", OptionValue::Int(1));
    let mut source = plugin.sources()[0].create(&options).unwrap();
    let (sender, told) = mpsc::channel();
    source.connect(Arc::new(Channel(Mutex::new(sender))));
    let m = Ok(vec![version(1, 0, Ok("/m/1")), version(2, 0, Ok("/m/2"))]);
    assert_eq!(told.recv().unwrap(), said("m", m));
    assert_eq!(told.recv().unwrap(), said("n", Ok(vec![version(7, 0, Ok("/n/7"))])));
    list("n 7 /n/7");
    assert!(told.iter().any(|heard| heard == said("m", Ok(vec![]))), "it is not listed any more");
    std::fs::remove_file(&file).unwrap();
    let trouble = told.iter().find_map(|heard| heard.versions.err()).unwrap();
    assert_eq!(trouble, Status::not_found(format!("no file `{}`", file.display())));
    drop(source);
    told.iter().for_each(drop);
    assert_the_server_goes_on();
}
