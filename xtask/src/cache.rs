//! Folders that are made once and kept outside the tree, so that a fresh clone finds them.
//!
//! A folder is filled beside its place and renamed into it, so it is there whole or not at all. Two programs that want
//! the same one at the same time wait for each other.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::{env, io};

use anyhow::{Context, bail};

/// What a finished folder holds, beside what it is for: the stamp it was made with.
const STAMP: &str = ".salver-stamp";

/// The place for such folders.
pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// `$SALVER_CACHE`, else `salver` in `$XDG_CACHE_HOME`, else `~/.cache/salver`. Touches nothing.
    ///
    /// # Errors
    /// Where none of the three is known.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let dir = set("SALVER_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("salver")))
            .or_else(|| set("HOME").map(|home| home.join(".cache/salver")));
        let Some(dir) = dir else {
            bail!("nowhere to keep what is fetched: set SALVER_CACHE, XDG_CACHE_HOME or HOME");
        };
        Ok(Self { dir: std::path::absolute(dir).context("finding the cache")? })
    }

    /// A cache at `dir`.
    #[cfg(test)]
    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The folder `name`, made by `fill` unless one with the same `stamp` is there already.
    ///
    /// `fill` is given an empty folder to fill, and a second one that outlives a failure, for what need not be fetched
    /// again at the next attempt.
    ///
    /// # Errors
    /// What `fill` fails with, and where the cache cannot be written to.
    pub(crate) fn folder(
        &self,
        name: &str,
        stamp: &str,
        fill: impl FnOnce(&Path, &Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let place = self.dir.join(name);
        if is_whole(&place, stamp) {
            return Ok(place);
        }
        fs::create_dir_all(&self.dir).with_context(|| format!("making {}", self.dir.display()))?;
        let _lock = lock(&self.dir.join(format!("{name}.lock")))?;
        if is_whole(&place, stamp) {
            return Ok(place);
        }

        let filling = self.dir.join(format!("{name}.filling"));
        let partial = self.dir.join(format!("{name}.partial"));
        remove(&filling)?;
        for dir in [&filling, &partial] {
            fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        }
        fill(&filling, &partial)?;
        fs::write(filling.join(STAMP), stamp)?;
        remove(&place)?;
        fs::rename(&filling, &place).with_context(|| format!("renaming to {}", place.display()))?;
        remove(&partial)?;
        Ok(place)
    }
}

fn is_whole(place: &Path, stamp: &str) -> bool {
    fs::read_to_string(place.join(STAMP)).is_ok_and(|found| found == stamp)
}

/// Takes the lock that the file stands for, and says so if that means waiting. Dropping the file gives it back.
///
/// # Errors
/// Where the file cannot be made.
pub(crate) fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            eprintln!("waiting for another program that holds {}", path.display())
        }
        Err(TryLockError::Error(error)) => return Err(error).context(format!("locking {}", path.display())),
    }
    file.lock().with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// Removes a folder and all in it; one that is not there is fine.
pub(crate) fn remove(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", dir.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_filled_once_per_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        let fill =
            |text: &'static str| move |folder: &Path, _: &Path| Ok(fs::write(folder.join("content"), text)?);
        let content = |place: PathBuf| fs::read_to_string(place.join("content")).unwrap();
        assert_eq!(content(cache.folder("x", "1", fill("first")).unwrap()), "first");
        assert_eq!(content(cache.folder("x", "1", fill("not asked for")).unwrap()), "first");
        assert_eq!(content(cache.folder("x", "2", fill("second")).unwrap()), "second");
    }

    #[test]
    fn a_failed_attempt_leaves_no_folder_and_keeps_what_it_had_fetched() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        let failed = cache.folder("x", "1", |_, partial| {
            fs::write(partial.join("wheel"), "24 MB")?;
            bail!("the network went away")
        });
        assert_eq!(failed.unwrap_err().to_string(), "the network went away");
        assert!(!dir.path().join("x").exists());

        let place = cache
            .folder("x", "1", |folder, partial| Ok(fs::rename(partial.join("wheel"), folder.join("wheel"))?));
        assert_eq!(fs::read_to_string(place.unwrap().join("wheel")).unwrap(), "24 MB");
        assert!(!dir.path().join("x.partial").exists());
    }
}
