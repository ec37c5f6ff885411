use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};

use salver_plugins_sdk::{AspiredVersions, Code, OptionValue, Options, Source, Target};

use crate::Symlinks;
use crate::look::Links;

/// What was said: each stream, with the numbers of its versions, or with the code of its trouble.
type Told = Vec<(String, Result<Vec<i64>, Code>)>;

#[derive(Default)]
struct Record(Mutex<Told>);

impl Target<PathBuf> for Record {
    fn set_aspired(&self, aspired: AspiredVersions<PathBuf>) {
        let versions = aspired.versions.map_err(|status| status.code());
        let numbers = versions.map(|list| list.iter().map(|one| one.version.number()).collect());
        self.0.lock().unwrap().push((aspired.stream.as_str().to_owned(), numbers));
    }
}

impl Record {
    fn look(&self, links: &mut Links) -> Told {
        links.look(self);
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A folder with models `a`, of versions 1 and 2, and a folder of links.
fn folders() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a/1", "a/2", "a/beta", "links"] {
        fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    let links = folder.path().join("links");
    (folder, links)
}

/// Makes a link, in one step where there is one already.
fn link(to: &Path, at: &Path) {
    let hidden = at.with_file_name(".new");
    symlink(to, &hidden).unwrap();
    fs::rename(hidden, at).unwrap();
}

#[test]
fn a_link_is_a_version_and_is_gone_when_it_is_missing_twice() {
    let (folder, directory) = folders();
    let (record, mut links) = (Record::default(), Links::new(directory.clone()));
    let said = |versions| vec![("m".to_owned(), versions)];
    fs::write(directory.join("no-link"), "").unwrap();
    assert_eq!(record.look(&mut links), []);
    for number in [1, 2] {
        link(&folder.path().join("a").join(number.to_string()), &directory.join("m"));
        assert_eq!(record.look(&mut links), said(Ok(vec![number])));
        assert_eq!(record.look(&mut links), said(Ok(vec![number])));
    }
    fs::remove_file(directory.join("m")).unwrap();
    assert_eq!(record.look(&mut links), []);
    assert_eq!(record.look(&mut links), said(Ok(vec![])));
    assert_eq!(record.look(&mut links), []);
}

#[test]
fn what_cannot_be_told_is_trouble_and_no_empty_set() {
    let (folder, directory) = folders();
    let (record, mut links) = (Record::default(), Links::new(directory.clone()));
    let said = |code| vec![("m".to_owned(), Err(code))];
    link(&folder.path().join("a/3"), &directory.join("m"));
    assert_eq!(record.look(&mut links), said(Code::NotFound));
    link(&folder.path().join("a/beta"), &directory.join("m"));
    assert_eq!(record.look(&mut links), said(Code::InvalidArgument));
    fs::rename(&directory, folder.path().join("away")).unwrap();
    assert_eq!(record.look(&mut links), said(Code::Unavailable));
    assert_eq!(record.look(&mut links), said(Code::Unavailable));
}

#[test]
fn the_folder_is_looked_at_until_the_source_is_dropped() {
    struct Channel(Mutex<mpsc::Sender<PathBuf>>);
    impl Target<PathBuf> for Channel {
        fn set_aspired(&self, aspired: AspiredVersions<PathBuf>) {
            let version = aspired.versions.unwrap().remove(0);
            let _ = self.0.lock().unwrap().send(version.data.unwrap());
        }
    }
    let (folder, directory) = folders();
    let mut options = Options::new();
    assert_eq!(Symlinks::of(&options).err().unwrap().code(), Code::InvalidArgument);
    options.set("directory", OptionValue::Text(directory.to_str().unwrap().to_owned()));
    options.set("interval_ms", OptionValue::Int(1));
    let mut source = Symlinks::of(&options).unwrap();
    let versions = ["a/1", "a/2"].map(|version| folder.path().canonicalize().unwrap().join(version));
    link(&versions[0], &directory.join("m"));
    let (sender, told) = mpsc::channel();
    source.connect(Arc::new(Channel(Mutex::new(sender))));
    assert_eq!(told.try_recv(), Ok(versions[0].clone()), "what is there is told at once");
    link(&versions[1], &directory.join("m"));
    assert!(told.iter().any(|path| path == versions[1]));
    drop(source);
    assert_eq!(told.iter().find(|path| *path != versions[1]), None, "it ends, and says nothing else");
}
