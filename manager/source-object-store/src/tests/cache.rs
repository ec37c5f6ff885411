//! The cache.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::thread;

use object_store::chunked::ChunkedStore;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use salver_core_loader::{CancelFlag, Cancellation, LoadContext};
use salver_core_servable::{LoadProgress, Phase, ServableId, Version};
use salver_core_status::Code;
use tempfile::TempDir;

use super::*;
use crate::version::{self, Object, Remote};
use crate::{Cache, CacheConfig, Lease, Limits};

/// A cache, and a store whose folders are versions.
struct Shop {
    folder: TempDir,
    cache: Cache,
    bucket: Arc<Bucket>,
    store: Arc<dyn ObjectStore>,
}

impl Shop {
    fn new(max_bytes: Option<u64>) -> Self {
        Self::of(Arc::new(InMemory::new()), max_bytes)
    }

    fn of(store: Arc<dyn ObjectStore>, max_bytes: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = open(&folder, max_bytes).unwrap();
        Self { folder, cache, bucket: bucket(Arc::clone(&store)), store }
    }

    fn put(&self, path: &str, content: &str) -> &Self {
        let path = Path::parse(path).unwrap();
        self.bucket.runtime.wait(self.store.put(&path, content.to_owned().into())).unwrap();
        self
    }

    /// A version as it is stored now.
    fn version(&self, number: i64) -> RemoteVersion {
        let prefix = Path::parse(format!("m/{number}")).unwrap();
        let limits = Limits::default();
        let listed = self.bucket.runtime.wait(self.bucket.objects(&prefix, limits)).unwrap();
        let beside = Path::parse("m/model.toml").unwrap();
        let beside = self.bucket.runtime.wait(self.store.head(&beside)).ok();
        RemoteVersion::new(Remote {
            bucket: Arc::clone(&self.bucket),
            url: format!("s3://b/m/{number}"),
            objects: version::objects(&prefix, listed, limits).unwrap(),
            prefix,
            version: Version::new(number).unwrap(),
            beside: beside.map(|meta| Object::new("model.toml".to_owned(), meta)),
            limits,
        })
    }

    fn fetch(&self, version: &RemoteVersion) -> Result<Lease, Status> {
        fetch(&self.cache, version, Cancellation::NEVER)
    }

    fn count(&self, folder: &str) -> usize {
        fs::read_dir(self.folder.path().join(folder)).unwrap().count()
    }
}

fn open(folder: &TempDir, max_bytes: Option<u64>) -> Result<Cache, Status> {
    Cache::open(CacheConfig { folder: folder.path().to_owned(), max_bytes })
}

fn fetch(cache: &Cache, version: &RemoteVersion, cancel: Cancellation<'_>) -> Result<Lease, Status> {
    let id = ServableId::new("m", Version::new(1).unwrap());
    cache.fetch(version, &LoadContext::new(&id, cancel))
}

fn read(lease: &Lease, name: &str) -> String {
    fs::read_to_string(lease.path().join(name)).unwrap()
}

#[test]
fn a_version_is_a_folder_of_its_number_with_the_settings_above_it() {
    let shop = Shop::new(None);
    shop.put("m/3/model", "abc")
        .put("m/3/variables/data-0", "defg")
        .put("m/3/empty", "")
        .put("m/model.toml", "x = 1");
    let lease = shop.fetch(&shop.version(3)).unwrap();
    assert!(lease.path().ends_with("3"));
    assert_eq!(read(&lease, "model"), "abc");
    assert_eq!(read(&lease, "variables/data-0"), "defg");
    assert_eq!(read(&lease, "empty"), "");
    assert_eq!(read(&lease, "../model.toml"), "x = 1");
    assert_eq!((shop.count("staging"), shop.count("partial")), (0, 0));
}

#[test]
fn what_is_here_is_not_asked_for_again_not_even_by_the_next_process() {
    let shop = Shop::new(None);
    shop.put("m/1/model", "abc");
    let version = shop.version(1);
    drop(shop.fetch(&version).unwrap());
    shop.bucket.runtime.wait(shop.store.delete(&Path::parse("m/1/model").unwrap())).unwrap();
    assert_eq!(read(&shop.fetch(&version).unwrap(), "model"), "abc");
    let Shop { folder, cache, .. } = shop;
    drop(cache);
    let cache = open(&folder, None).unwrap();
    assert_eq!(read(&fetch(&cache, &version, Cancellation::NEVER).unwrap(), "model"), "abc");
}

#[test]
fn content_is_kept_once_whichever_objects_have_it() {
    let shop = Shop::new(None);
    shop.put("m/1/model", "abc").put("m/1/again", "abc").put("m/2/model", "abc").put("m/2/other", "de");
    let (one, two) = (shop.fetch(&shop.version(1)).unwrap(), shop.fetch(&shop.version(2)).unwrap());
    let inode = |path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(one.path().join("model")), inode(two.path().join("model")));
    assert_eq!(inode(one.path().join("model")), inode(one.path().join("again")));
    assert_eq!(shop.count("objects"), 2);
}

#[test]
fn a_version_that_changed_since_it_was_listed_is_brought_as_it_is_now() {
    let shop = Shop::new(None);
    shop.put("m/1/model", "old").put("m/1/gone", "x");
    let version = shop.version(1);
    shop.put("m/1/model", "newer");
    shop.bucket.runtime.wait(shop.store.delete(&Path::parse("m/1/gone").unwrap())).unwrap();
    let lease = shop.fetch(&version).unwrap();
    assert_eq!(read(&lease, "model"), "newer");
    assert!(!lease.path().join("gone").exists());
}

#[test]
fn a_version_that_is_gone_is_not_found() {
    let shop = Shop::new(None);
    let version = shop.put("m/1/model", "old").version(1);
    shop.bucket.runtime.wait(shop.store.delete(&Path::parse("m/1/model").unwrap())).unwrap();
    let status = shop.fetch(&version).unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("`s3://b/m/1`"), "{status}");
}

#[test]
fn what_was_used_longest_ago_makes_room_and_what_is_in_use_does_not() {
    let shop = Shop::new(Some(10));
    shop.put("m/1/model", "1111")
        .put("m/2/model", "2222")
        .put("m/3/model", "333333")
        .put("m/4/model", "4444");
    let versions: Vec<_> = (1..=4).map(|number| shop.version(number)).collect();
    let one = shop.fetch(&versions[0]).unwrap();
    let two = shop.fetch(&versions[1]).unwrap();
    let status = shop.fetch(&versions[2]).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    for figure in ["6 bytes are needed", "limit is 10 bytes", "it holds 8", "2 versions are in use"] {
        assert!(status.message().contains(figure), "{status}");
    }
    drop(two);
    let three = shop.fetch(&versions[2]).unwrap();
    assert_eq!((read(&one, "model"), read(&three, "model")), ("1111".to_owned(), "333333".to_owned()));
    assert_eq!((shop.count("versions"), shop.count("objects"), shop.count("names")), (2, 2, 2));
    // Both are free to go now; the one that was leased last stays.
    drop((one, three));
    drop(shop.fetch(&versions[0]).unwrap());
    drop(shop.fetch(&versions[3]).unwrap());
    let kept = fs::read_dir(shop.folder.path().join("versions")).unwrap();
    let mut kept: Vec<_> = kept
        .flat_map(|entry| fs::read_dir(entry.unwrap().path()).unwrap())
        .map(|entry| entry.unwrap().file_name())
        .collect();
    kept.sort();
    assert_eq!(kept, ["1", "4"]);
}

#[test]
fn content_that_another_version_has_too_outlives_the_first() {
    let shop = Shop::new(Some(12));
    shop.put("m/1/base", "bbbb").put("m/1/own", "1111").put("m/2/base", "bbbb").put("m/2/own", "2222");
    drop(shop.fetch(&shop.version(1)).unwrap());
    // Needs eight bytes as far as one knows, so the first version goes.
    let two = shop.fetch(&shop.version(2)).unwrap();
    assert_eq!((read(&two, "base"), read(&two, "own")), ("bbbb".to_owned(), "2222".to_owned()));
    assert_eq!(shop.count("versions"), 1);
}

#[test]
fn a_cache_that_opens_keeps_to_its_limit_and_clears_away_what_is_half_done() {
    let shop = Shop::new(None);
    shop.put("m/1/model", "1111").put("m/2/model", "2222");
    drop((shop.fetch(&shop.version(1)).unwrap(), shop.fetch(&shop.version(2)).unwrap()));
    let Shop { folder, cache, .. } = shop;
    drop(cache);
    fs::create_dir_all(folder.path().join("staging/x/1")).unwrap();
    fs::write(folder.path().join("partial/young"), "12").unwrap();
    let old = folder.path().join("partial/old");
    fs::write(&old, "12").unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    let count = |name: &str| fs::read_dir(folder.path().join(name)).unwrap().count();

    let cache = open(&folder, Some(100)).unwrap();
    assert_eq!((count("staging"), count("partial"), count("versions")), (0, 1, 2));
    drop(cache);
    open(&folder, Some(4)).unwrap();
    assert_eq!((count("partial"), count("versions"), count("objects")), (0, 1, 1));
}

#[test]
fn a_cache_belongs_to_one_process() {
    let shop = Shop::new(None);
    let status = open(&shop.folder, None).unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let Shop { folder, cache, .. } = shop;
    drop(cache);
    assert!(open(&folder, None).is_ok());
}

#[test]
fn a_fetch_that_is_not_wanted_any_more_ends_soon_though_nothing_comes() {
    let store = Arc::new(ThrottledStore::new(InMemory::new(), ThrottleConfig::default()));
    let shop = Shop::of(Arc::clone(&store) as _, None);
    let version = shop.put("m/1/model", "abc").version(1);
    store.config_mut(|config| config.wait_get_per_call = Duration::from_secs(1_000_000));
    let flag = CancelFlag::new();
    let status = thread::scope(|scope| {
        let fetching = scope.spawn(|| fetch(&shop.cache, &version, flag.watch()));
        // One that waits for the other's turn can stop waiting too.
        let waiting = scope.spawn(|| fetch(&shop.cache, &version, flag.watch()));
        flag.cancel();
        assert_eq!(waiting.join().unwrap().unwrap_err().code(), Code::Cancelled);
        fetching.join().unwrap().unwrap_err()
    });
    assert_eq!(status, Status::cancelled("fetching `s3://b/m/1`: no longer wanted"));
    assert_eq!(shop.count("staging"), 0);
}

#[test]
fn a_fetch_ends_soon_though_bytes_keep_coming() {
    let store = Arc::new(InMemory::new());
    let shop = Shop::of(Arc::new(ChunkedStore::new(store, 1)), None);
    let version = shop.put("m/1/model", &"x".repeat(50_000_000)).version(1);
    let flag = CancelFlag::new();
    let tell = |progress: LoadProgress| {
        // Told a quarter of a second after the first byte, when there is much to come.
        if progress.done_bytes > 0 {
            flag.cancel();
        }
    };
    let id = ServableId::new("m", Version::new(1).unwrap());
    let context = LoadContext::watched(&id, flag.watch(), &tell);
    assert_eq!(shop.cache.fetch(&version, &context).unwrap_err().code(), Code::Cancelled);
}

#[test]
fn progress_is_told_as_bytes_of_the_whole_version() {
    let shop = Shop::new(None);
    shop.put("m/1/a", "12345").put("m/1/b", "678");
    let told = Mutex::new(Vec::new());
    let tell = |progress: LoadProgress| told.lock().unwrap().push(progress);
    let id = ServableId::new("m", Version::new(1).unwrap());
    for _ in 0..2 {
        let context = LoadContext::watched(&id, Cancellation::NEVER, &tell);
        shop.cache.fetch(&shop.version(1), &context).unwrap();
        let last = *told.lock().unwrap().last().unwrap();
        assert_eq!((last.phase, last.done_bytes, last.total_bytes), (Some(Phase::Fetch), 8, Some(8)));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_is_told_with_the_figures_and_what_was_begun_is_removed() {
    let shop = Shop::new(None);
    let version = shop.put("m/1/model", "abcdef").version(1);
    // The name that the object will have on its way, found out by a fetch that is cut short.
    let partial = shop.folder.path().join("partial");
    let identity = crate::cache::identity(version.remote(), &version.remote().objects[0]);
    std::os::unix::fs::symlink("/dev/full", partial.join(identity)).unwrap();
    let status = shop.fetch(&version).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("6 bytes of 6 are missing"), "{status}");
    assert_eq!(shop.count("partial"), 0);
    assert_eq!(read(&shop.fetch(&version).unwrap(), "model"), "abcdef");
}

#[test]
fn fetches_side_by_side_promise_no_room_twice_and_all_end_well() {
    let shop = Shop::new(Some(60));
    for number in 1..=12 {
        shop.put(&format!("m/{number}/model"), &format!("{number:010}"))
            .put(&format!("m/{number}/same"), "shared");
    }
    let versions: Vec<_> = (1..=12).map(|number| shop.version(number)).collect();
    thread::scope(|scope| {
        for start in 0..3 {
            let (shop, versions) = (&shop, &versions);
            scope.spawn(move || {
                for version in versions.iter().cycle().skip(start * 5).take(24) {
                    let lease = shop.fetch(version).unwrap();
                    let number: i64 = read(&lease, "model").parse().unwrap();
                    assert!(lease.path().ends_with(number.to_string()));
                    assert_eq!(read(&lease, "same"), "shared");
                }
            });
        }
    });
    let objects = fs::read_dir(shop.folder.path().join("objects")).unwrap();
    assert!(objects.map(|entry| entry.unwrap().metadata().unwrap().len()).sum::<u64>() <= 60);
}
