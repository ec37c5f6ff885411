//! Memory that two processes share.
//!
//! A segment never changes its size: it is sealed, so that what is mapped stays mapped whatever the other process does. What
//! is *in* it may change under a reader's eyes if the other process breaks the rules; so only elements of fixed size are
//! read in place, of which every bit pattern is one and nothing else is derived, and what has structure is copied first.

#![expect(unsafe_code, reason = "mapping memory, and reading what another process writes")]

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Of what everything in a segment begins at a multiple: enough for any element type, and a cache line.
pub(crate) const ALIGNMENT: usize = 64;
/// The word by which a run is cancelled is at the beginning of a segment of inputs, and has a cache line for itself.
pub(crate) const HEADER: usize = ALIGNMENT;
/// Segments up to this size are kept for the next run.
pub(crate) const KEPT: usize = 16 << 20;
const SMALLEST: usize = 64 << 10;

/// What keeps the size of a segment as it is.
fn seals() -> SealFlags {
    SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL
}

/// Memory that this process shares with another.
#[derive(Debug)]
pub(crate) struct Segment {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: the mapping is this value's own until it is dropped, on whichever thread; it is written only by `write`, through
// raw pointers.
unsafe impl Send for Segment {}
// SAFETY: as above; who reads what another thread or process may be writing is the concern of `slice`.
unsafe impl Sync for Segment {}

impl Segment {
    /// A new segment for at least so many bytes, and the file to give to the other process.
    pub(crate) fn create(bytes: usize) -> Result<(Self, OwnedFd), Errno> {
        let size = rounded(bytes).ok_or(Errno::NOMEM)?;
        let file = memfd_create(c"salver-tensors", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, size as u64)?;
        fcntl_add_seals(&file, seals())?;
        Ok((Self::map(&file, size)?, file))
    }

    /// A segment that the other process made.
    ///
    /// # Errors
    /// PERM where its size is not sealed, and whatever keeps it from being mapped.
    pub(crate) fn open(file: &OwnedFd) -> Result<Self, Errno> {
        if !fcntl_get_seals(file)?.contains(SealFlags::SHRINK) {
            return Err(Errno::PERM);
        }
        // After the seals were looked at: it cannot shrink any more.
        let size = usize::try_from(fstat(file)?.st_size).map_err(|_| Errno::INVAL)?;
        Self::map(file, size)
    }

    fn map(file: &impl AsFd, size: usize) -> Result<Self, Errno> {
        if size < HEADER {
            return Err(Errno::INVAL);
        }
        // SAFETY: a new mapping at an address of the system's choice touches nothing that there is.
        let start = unsafe {
            mmap(std::ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0)
        }?;
        Ok(Self { start: NonNull::new(start.cast()).ok_or(Errno::NOMEM)?, size })
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The word by which a run is cancelled.
    pub(crate) fn cancel_word(&self) -> &AtomicU32 {
        // SAFETY: a segment is at least `HEADER` long and page-aligned; nothing but this word is ever kept there.
        unsafe { self.start.cast::<AtomicU32>().as_ref() }
    }

    /// Copies bytes to this place; `None` where they do not fit.
    ///
    /// Nobody reads there at this time: the two processes take turns, by the messages on the lane.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) -> Option<()> {
        let place = self.place(at, bytes.len())?;
        // SAFETY: `place` has found room for so many bytes inside the mapping; `bytes` is this process's own memory, or
        // another segment.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place.as_ptr(), bytes.len()) };
        Some(())
    }

    /// The bytes in this place; `None` where they are not inside.
    ///
    /// Only for elements of which every bit pattern is one. The other process writes nothing there as long as it is used:
    /// it waits for the next message on the lane, or for the segment's release. One that breaks this makes wrong numbers
    /// of its own answer, and nothing else: no length, offset or pointer is read from here.
    pub(crate) fn slice(&self, at: usize, size: usize) -> Option<&[u8]> {
        let place = self.place(at, size)?;
        // SAFETY: inside the mapping, which lasts as long as `self` does, and initialised, since the system gives zeros.
        Some(unsafe { std::slice::from_raw_parts(place.as_ptr(), size) })
    }

    fn place(&self, at: usize, size: usize) -> Option<NonNull<u8>> {
        if at < HEADER || at.checked_add(size)? > self.size {
            return None;
        }
        // SAFETY: `at` is inside the mapping, or just at its end.
        Some(unsafe { self.start.add(at) })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nothing borrows from it any more. It does not fail for a whole mapping.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.size) };
    }
}

/// What is kept has one of few sizes, so that it fits again.
fn rounded(bytes: usize) -> Option<usize> {
    if bytes <= KEPT {
        Some(bytes.max(SMALLEST).next_power_of_two())
    } else {
        bytes.checked_next_multiple_of(4096)
    }
}

/// Where things lie one after another in a segment.
#[derive(Debug)]
pub(crate) struct Places {
    end: usize,
}

impl Default for Places {
    fn default() -> Self {
        Self { end: HEADER }
    }
}

impl Places {
    /// The place for the next so many bytes; `None` where there is no such size.
    pub(crate) fn next(&mut self, size: usize) -> Option<Range<usize>> {
        let start = self.end.checked_next_multiple_of(ALIGNMENT)?;
        self.end = start.checked_add(size)?;
        Some(start..self.end)
    }

    /// The bytes needed for all of them.
    pub(crate) fn end(&self) -> usize {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_writes_the_other_reads() {
        let (here, file) = Segment::create(100).unwrap();
        let there = Segment::open(&file).unwrap();
        assert_eq!((here.size(), there.size()), (SMALLEST, SMALLEST));
        here.write(HEADER, b"hello").unwrap();
        assert_eq!(there.slice(HEADER, 5).unwrap(), b"hello");
        here.cancel_word().store(1, std::sync::atomic::Ordering::Release);
        assert_eq!(there.cancel_word().load(std::sync::atomic::Ordering::Acquire), 1);
    }

    #[test]
    fn nothing_outside_a_segment_can_be_named() {
        let (segment, _file) = Segment::create(1).unwrap();
        let size = segment.size();
        assert!(segment.slice(size - 4, 4).is_some() && segment.slice(size, 0).is_some());
        for (at, length) in [(size - 4, 5), (size + 1, 0), (usize::MAX, 1), (HEADER, usize::MAX), (0, 4)] {
            assert!(segment.slice(at, length).is_none(), "{at} {length}");
        }
        assert!(segment.write(size - 1, b"ab").is_none());
        assert!(segment.write(HEADER - 1, b"a").is_none(), "the word there is not for tensors");
    }

    #[test]
    fn a_segment_that_could_shrink_under_its_reader_is_refused() {
        let open = memfd_create(c"t", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&open, 1 << 16).unwrap();
        assert_eq!(Segment::open(&open).unwrap_err(), Errno::PERM);
        let (_segment, file) = Segment::create(1).unwrap();
        assert_eq!(ftruncate(&file, 0).unwrap_err(), Errno::PERM);
    }

    #[test]
    fn tensors_lie_apart_and_aligned() {
        let mut places = Places::default();
        assert_eq!(places.next(3), Some(64..67));
        assert_eq!(places.next(0), Some(128..128));
        assert_eq!(places.next(64), Some(128..192));
        assert_eq!(places.end(), 192);
        assert_eq!(places.next(usize::MAX), None);
        assert_eq!(rounded(KEPT), Some(KEPT));
        assert_eq!(rounded(KEPT + 1), Some(KEPT + 4096));
        assert_eq!(rounded(usize::MAX), None);
    }
}
