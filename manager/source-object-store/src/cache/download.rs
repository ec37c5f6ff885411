//! Brings one object to a file, however often the connection breaks.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use object_store::{GetOptions, GetRange, GetResult};
use salver_core_status::{Code, Quoted, Status};

use super::digest::Digests;
use super::shelf::failed;
use crate::bucket::Bucket;
use crate::connect::Declared;
use crate::explain::explain;
use crate::version::{Object, Stamp};

/// Why a download ended.
#[derive(Debug)]
pub(super) enum Failure {
    /// The object is not the one that was listed.
    Changed(Status),
    /// Anything else.
    Failed(Status),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Failure::Failed(status)
    }
}

/// Why one try ended.
enum Broken {
    /// It may go better next time.
    Passing(Status),
    /// The server cannot go on in the middle.
    NoRange,
    /// What is here is not what is there.
    Damaged(Status),
    For(Failure),
}

impl From<Status> for Broken {
    fn from(status: Status) -> Self {
        Broken::For(Failure::Failed(status))
    }
}

/// This many tries running may bring less than [`SOME_BYTES`] each.
const TRIES: u32 = 5;
const SOME_BYTES: u64 = 64 << 10;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// An object on its way to a file.
pub(super) struct Download<'a> {
    bucket: &'a Bucket,
    object: &'a Object,
    path: PathBuf,
    file: File,
    /// How many bytes are in the file, from the first.
    len: u64,
    /// Whether they came over more than one connection, or were there before.
    is_pieced: bool,
    digests: Digests,
    /// Told how many bytes there were, and are.
    progress: &'a dyn Fn(u64, u64),
}

impl<'a> Download<'a> {
    /// Opens the file, to go on with what is in it if that can be.
    pub(super) fn open(
        bucket: &'a Bucket,
        object: &'a Object,
        path: &Path,
        progress: &'a dyn Fn(u64, u64),
    ) -> Result<Self, Status> {
        let opened = File::options().create(true).truncate(false).read(true).write(true).open(path);
        let mut file = opened.map_err(|error| failed("opening", path, &error))?;
        let len = file.metadata().map_err(|error| failed("reading", path, &error))?.len();
        let is_start = len <= object.size && object.is_resumable();
        let digests = if is_start && len > 0 {
            Digests::of_file(&mut file, false).map_err(|error| failed("reading", path, &error))?
        } else {
            Digests::default()
        };
        let mut download =
            Self { bucket, object, path: path.to_owned(), file, len, is_pieced: len > 0, digests, progress };
        if !is_start {
            download.start_over()?;
        }
        (progress)(0, download.len);
        Ok(download)
    }

    /// Brings what is missing, and returns the SHA-256 of the whole once that is on disk.
    pub(super) async fn run(mut self) -> Result<String, Failure> {
        let mut declared = Declared::default();
        let mut tried = 0;
        loop {
            let before = self.len;
            let broken = match self.go_on(&mut declared).await {
                Ok(()) => match self.finish(&declared) {
                    Ok(sha256) => return Ok(sha256),
                    Err(broken) => broken,
                },
                Err(broken) => broken,
            };
            match broken {
                Broken::Passing(status) => {
                    tried = if self.len.saturating_sub(before) >= SOME_BYTES { 1 } else { tried + 1 };
                    if tried >= TRIES {
                        return Err(Failure::Failed(status));
                    }
                    tracing::debug!(object = %self.object.location, at = self.len, %status, "download interrupted");
                    if !self.object.is_resumable() {
                        self.start_over()?;
                    }
                    tokio::time::sleep((FIRST_WAIT * 2_u32.pow(tried - 1)).min(LONGEST_WAIT)).await;
                }
                Broken::NoRange => self.start_over()?,
                // An earlier piece may be what is damaged.
                Broken::Damaged(_) if self.is_pieced => self.start_over()?,
                Broken::Damaged(status) => {
                    self.discard();
                    return Err(Failure::Failed(status));
                }
                Broken::For(failure) => {
                    // What was changed is of no use, and a full disk needs the room.
                    if matches!(&failure, Failure::Changed(_)) || is_exhausted(&failure) {
                        self.discard();
                    }
                    return Err(failure);
                }
            }
        }
    }

    /// Brings what is missing, over one connection.
    async fn go_on(&mut self, declared: &mut Declared) -> Result<(), Broken> {
        let object = self.object;
        if self.len == object.size {
            return Ok(());
        }
        let (if_match, if_unmodified_since) = match object.stamp() {
            Stamp::ETag(e_tag) if object.is_resumable() => (Some(self.bucket.condition(e_tag)), None),
            Stamp::ETag(_) => (None, None),
            Stamp::Modified(modified) => (None, modified.map(Into::into)),
        };
        self.is_pieced |= self.len > 0;
        let range = (self.len > 0).then_some(GetRange::Bounded(self.len..object.size));
        let options = GetOptions { if_match, if_unmodified_since, range, ..GetOptions::default() };
        let got = self.bucket.get(&object.location, options).await.map_err(|error| self.broken(&error))?;
        self.check(&got)?;
        if let Some(said) = got.extensions.get::<Declared>() {
            declared.sha256 = declared.sha256.or(said.sha256);
            declared.md5 = declared.md5.or(said.md5);
        }
        if declared.md5.is_some() && !self.digests.has_md5() {
            self.digests = Digests::of_file(&mut self.file, true)
                .map_err(|error| failed("reading", &self.path, &error))?;
        }
        let mut chunks = got.into_stream();
        while let Some(chunk) = chunks.next().await {
            self.write(&chunk.map_err(|error| self.broken(&error))?)?;
            // Chunks may come faster than they are written: others want their turn, and somebody may have lost interest.
            tokio::task::yield_now().await;
        }
        if self.len < object.size {
            let (len, size) = (self.len, object.size);
            return Err(Broken::Passing(
                self.trouble(Code::Unavailable, &format!("{len} bytes of {size} came")),
            ));
        }
        Ok(())
    }

    /// Whether an answer is about the object that was listed.
    fn check(&self, got: &GetResult) -> Result<(), Broken> {
        let there = Object::new(String::new(), got.meta.clone());
        let unquoted = |e_tag: &str| e_tag.trim_matches('"').to_owned();
        let is_same = match (&self.object.e_tag, &there.e_tag) {
            (Some(one), Some(other)) => unquoted(one) == unquoted(other),
            (None, _) => there.modified.is_none() || there.modified == self.object.modified,
            (Some(_), None) => true,
        };
        if !is_same || there.size != self.object.size {
            return Err(self.changed("is another than was listed"));
        }
        if got.range.start != self.len {
            return Err(Broken::NoRange);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let len = self.len + bytes.len() as u64;
        if len > self.object.size {
            return Err(self.changed("has more bytes than were listed"));
        }
        if let Err(error) = self.file.write_all(bytes) {
            let (missing, size) = (self.object.size - self.len, self.object.size);
            let status = failed("writing", &self.path, &error);
            let figures = format!("{}, {missing} bytes of {size} are missing", status.message());
            return Err(Status::new(status.code(), figures).into());
        }
        self.digests.update(bytes);
        (self.progress)(self.len, len);
        self.len = len;
        Ok(())
    }

    fn finish(&mut self, declared: &Declared) -> Result<String, Broken> {
        let sha256 = self.digests.clone().check(declared);
        let sha256 = sha256.map_err(|status| Broken::Damaged(status.context(self.shown())))?;
        // Before it counts as whole.
        self.file.sync_data().map_err(|error| failed("writing", &self.path, &error))?;
        Ok(sha256)
    }

    fn start_over(&mut self) -> Result<(), Status> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|error| failed("writing", &self.path, &error))?;
        (self.progress)(self.len, 0);
        (self.len, self.is_pieced, self.digests) = (0, false, Digests::default());
        Ok(())
    }

    fn discard(&mut self) {
        // It is in nobody's way: the next download goes on with it or empties it.
        let _ = std::fs::remove_file(&self.path);
        (self.progress)(self.len, 0);
    }

    fn broken(&self, error: &object_store::Error) -> Broken {
        use object_store::Error as E;
        let status = explain(self.shown(), error);
        match (error, status.code()) {
            (E::NotSupported { .. }, _) if self.len > 0 => Broken::NoRange,
            (_, Code::Aborted | Code::NotFound) => Broken::For(Failure::Changed(status)),
            (_, Code::Unavailable) => Broken::Passing(status),
            _ => status.into(),
        }
    }

    fn changed(&self, what: &str) -> Broken {
        Broken::For(Failure::Changed(self.trouble(Code::Aborted, what)))
    }

    fn trouble(&self, code: Code, what: &str) -> Status {
        Status::new(code, format!("{}: {what}", self.shown()))
    }

    fn shown(&self) -> String {
        format!("fetching {}", Quoted(self.object.location.as_ref()))
    }
}

fn is_exhausted(failure: &Failure) -> bool {
    matches!(failure, Failure::Failed(status) if status.code() == Code::ResourceExhausted)
}
