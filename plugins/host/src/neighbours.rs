//! Libraries that a plugin needs, and that are there already as others of the same name.
//!
//! The dynamic linker takes a library that is loaded for any of its name: of two plugins that each bring a
//! `libtorch_cpu.so`, the second would run with the first one's, whatever its version, and crash, or compute something else.
//! What the linker does then cannot be changed from here; so it is found out before, and refused.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, FileHeader64};
use object::read::elf::FileHeader as _;
use object::{Endianness, ReadCache};

/// A library that would not be the one that is needed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Clash {
    /// Where the plugin has it.
    pub(crate) needed: PathBuf,
    /// What is loaded under its name.
    pub(crate) loaded: PathBuf,
}

/// The first library that `library` needs, or that one of those needs, in whose place another is loaded.
///
/// What cannot be read clashes with nothing: the dynamic linker says what is wrong with it.
pub(crate) fn clash(library: &Path) -> Option<Clash> {
    let loaded = loaded();
    let (mut seen, mut left) = (BTreeSet::new(), vec![library.to_owned()]);
    while let Some(file) = left.pop() {
        for needed in needs(&file).unwrap_or_default() {
            if !seen.insert(needed.clone()) {
                continue;
            }
            let same_name = loaded.iter().filter(|loaded| loaded.file_name() == needed.file_name());
            match same_name.collect::<Vec<_>>().as_slice() {
                [] => left.push(needed),
                others if others.iter().any(|other| is_same(other, &needed)) => {}
                [other, ..] => return Some(Clash { needed, loaded: (*other).clone() }),
            }
        }
    }
    None
}

/// The libraries that this process has mapped.
fn loaded() -> Vec<PathBuf> {
    // Without it nothing can be said.
    let maps = std::fs::read("/proc/self/maps").unwrap_or_default();
    let lines = maps.split(|byte| *byte == b'\n');
    let paths =
        lines.filter_map(|line| line.iter().position(|byte| *byte == b'/').and_then(|at| line.get(at..)));
    let paths: BTreeSet<_> = paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect();
    paths.into_iter().collect()
}

/// Where a library says that those lie that it needs, of which those are that are there. The others are the system's.
fn needs(library: &Path) -> Option<Vec<PathBuf>> {
    let data = ReadCache::new(File::open(library).ok()?);
    let header = FileHeader64::<Endianness>::parse(&data).ok()?;
    let endian = header.endian().ok()?;
    let dynamic = header.sections(endian, &data).ok()?.dynamic_table(endian, &data).ok()?;
    let texts = |tags: &[object::elf::DynamicTag]| {
        let entries = dynamic.iter().filter(|entry| tags.contains(&entry.tag));
        entries.filter_map(|entry| dynamic.string(entry).ok()).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let origin = library.parent()?.as_os_str();
    let mut folders: Vec<PathBuf> = texts(&[DT_RPATH, DT_RUNPATH])
        .iter()
        .flat_map(|list| list.split(|byte| *byte == b':'))
        .map(|folder| from_origin(folder, origin))
        .collect();
    // The linker looks there before it looks at a RUNPATH.
    let first = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    folders.splice(..0, std::env::split_paths(&first).filter(|folder| !folder.as_os_str().is_empty()));
    let find = |name: &Vec<u8>| {
        let name = OsStr::from_bytes(name);
        folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file())
    };
    Some(texts(&[DT_NEEDED]).iter().filter_map(find).collect())
}

/// A folder of a list, in which the library's own may stand as `$ORIGIN`.
fn from_origin(folder: &[u8], origin: &OsStr) -> PathBuf {
    for word in [&b"${ORIGIN}"[..], b"$ORIGIN"] {
        if let Some(rest) = folder.strip_prefix(word) {
            let mut path = OsString::from(origin);
            path.push(OsStr::from_bytes(rest));
            return path.into();
        }
    }
    OsStr::from_bytes(folder).into()
}

/// Whether two files are one, or the same to the byte.
fn is_same(one: &Path, other: &Path) -> bool {
    let (Ok(a), Ok(b)) = (std::fs::metadata(one), std::fs::metadata(other)) else {
        // One that was replaced while it is loaded: of the new one nothing can be said.
        return false;
    };
    (a.dev(), a.ino()) == (b.dev(), b.ino())
        || (a.len() == b.len() && have_same_bytes(one, other).unwrap_or(false))
}

fn have_same_bytes(one: &Path, other: &Path) -> std::io::Result<bool> {
    const BLOCK: usize = 1 << 20;
    let (mut one, mut other) = (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    let (mut a, mut b) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
    loop {
        a.clear();
        b.clear();
        one.by_ref().take(BLOCK as u64).read_to_end(&mut a)?;
        other.by_ref().take(BLOCK as u64).read_to_end(&mut b)?;
        if a != b || a.is_empty() {
            return Ok(a == b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_s_own_folder_may_be_named_in_either_way() {
        let origin = OsStr::new("/opt/plugins");
        assert_eq!(from_origin(b"$ORIGIN/../lib", origin), Path::new("/opt/plugins/../lib"));
        assert_eq!(from_origin(b"${ORIGIN}", origin), Path::new("/opt/plugins"));
        assert_eq!(from_origin(b"/usr/lib", origin), Path::new("/usr/lib"));
    }

    #[test]
    fn what_is_no_library_clashes_with_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.so");
        std::fs::write(&file, b"\x7fELF and no more").unwrap();
        assert_eq!(clash(&file), None);
        assert_eq!(clash(Path::new("/no/such/file")), None);
    }
}
