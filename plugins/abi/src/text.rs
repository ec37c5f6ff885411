//! Texts, bytes and arrays as pointer and length.

use std::ffi::c_char;
use std::ffi::c_void;

use abi_stable::StableAbi;

/// A text: UTF-8, not terminated, borrowed. An empty text may have a null pointer.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Str {
    /// The first byte.
    pub data: *const c_char,
    /// How many bytes.
    pub size: usize,
}

/// Bytes of any value, borrowed: one element of a string tensor. No bytes may have a null pointer.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Bytes {
    /// The first byte.
    pub data: *const u8,
    /// How many bytes.
    pub size: usize,
}

/// Where a function writes a text that the other side copies at once.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct TextSink {
    /// Passed to `put`.
    pub context: *mut c_void,
    /// Copies `text`, in place of what was put before. Only during the call that was given the sink, and only on its
    /// thread.
    pub put: unsafe extern "C" fn(context: *mut c_void, text: Str),
}

/// A pointer and a length that cannot be an array: null, misaligned, or longer than the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Str {
    /// Borrows `text`.
    pub const fn new(text: &str) -> Self {
        Self { data: text.as_ptr().cast(), size: text.len() }
    }

    /// The bytes of the text.
    ///
    /// # Errors
    /// [`Malformed`] where pointer and size cannot be right.
    ///
    /// # Safety
    /// `data` is null or points to `size` bytes, which nobody changes during `'a`.
    pub unsafe fn bytes<'a>(self) -> Result<&'a [u8], Malformed> {
        // SAFETY: the caller's promise is this function's.
        unsafe { array(self.data.cast(), self.size) }
    }

    /// The text; what is not UTF-8 is replaced, and what is malformed is empty.
    ///
    /// # Safety
    /// As [`Str::bytes`].
    pub unsafe fn to_text<'a>(self) -> std::borrow::Cow<'a, str> {
        // SAFETY: the caller's promise is this function's.
        String::from_utf8_lossy(unsafe { self.bytes() }.unwrap_or_default())
    }
}

impl Bytes {
    /// Borrows `bytes`.
    pub const fn new(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), size: bytes.len() }
    }

    /// The bytes.
    ///
    /// # Errors
    /// [`Malformed`] where pointer and size cannot be right.
    ///
    /// # Safety
    /// `data` is null or points to `size` bytes, which nobody changes during `'a`.
    pub unsafe fn as_slice<'a>(self) -> Result<&'a [u8], Malformed> {
        // SAFETY: the caller's promise is this function's.
        unsafe { array(self.data, self.size) }
    }
}

/// The `count` elements at `first`; where there are none, the pointer does not matter.
///
/// # Errors
/// [`Malformed`] where `first` is null or misaligned, or the elements do not fit the address space.
///
/// # Safety
/// `first`, if it is neither null nor misaligned, points to `count` valid elements, which nobody changes during `'a`.
pub unsafe fn array<'a, T>(first: *const T, count: usize) -> Result<&'a [T], Malformed> {
    if count == 0 {
        return Ok(&[]);
    }
    let fits = count.checked_mul(size_of::<T>()).is_some_and(|size| size <= isize::MAX as usize);
    if first.is_null() || !first.is_aligned() || !fits {
        return Err(Malformed);
    }
    // SAFETY: not null, aligned and small enough, as just checked; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(first, count) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_that_cannot_be_is_refused() {
        let words = [1u64, 2];
        // SAFETY: either refused by pointer and count alone, or two valid words.
        unsafe {
            assert_eq!(array(words.as_ptr(), 2), Ok(&words[..]));
            assert_eq!(array::<u64>(std::ptr::null(), 0), Ok(&[][..]));
            assert_eq!(array::<u64>(std::ptr::null(), 1), Err(Malformed));
            assert_eq!(array(words.as_ptr().byte_add(1), 1), Err(Malformed));
            assert_eq!(array(words.as_ptr(), usize::MAX / 8), Err(Malformed));
        }
    }

    #[test]
    fn a_text_that_is_not_utf8_is_still_shown() {
        let bytes = b"caf\xff";
        let text = Str { data: bytes.as_ptr().cast(), size: bytes.len() };
        // SAFETY: the bytes are borrowed from `bytes`, which outlives the call.
        assert_eq!(unsafe { text.to_text() }, "caf\u{fffd}");
    }
}
