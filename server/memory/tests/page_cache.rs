//! What a load leaves in the page cache, and that it is forgotten.
#![cfg(all(test, target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a helper that fails ends its test")]

use std::fs::{self, File};
use std::io::IoSliceMut;
use std::path::Path;

use rustix::io::{ReadWriteFlags, preadv2};
use salver_server_memory::forget_files;

/// Whether the start of the file can be had without going to the disk.
fn is_cached(path: &Path) -> bool {
    let (file, mut byte) = (File::open(path).unwrap(), [0]);
    preadv2(&file, &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT).is_ok()
}

#[test]
fn files_that_are_forgotten_are_read_from_the_disk_again() {
    // Below the build's directory: what is below `/tmp` may have no disk.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::create_dir(folder.path().join("variables")).unwrap();
    let paths = ["model.bin", "variables/data"].map(|name| folder.path().join(name));
    for path in &paths {
        fs::write(path, vec![7; 1 << 20]).unwrap();
        // Pages that are not written yet cannot be forgotten.
        File::open(path).unwrap().sync_all().unwrap();
        assert!(is_cached(path));
    }
    std::os::unix::fs::symlink("/no/such/file", folder.path().join("lost")).unwrap();
    forget_files(folder.path());
    assert_eq!(paths.each_ref().map(|path| is_cached(path)), [false, false]);
    assert!(fs::read(&paths[0]).unwrap().iter().all(|byte| *byte == 7));
}
