//! What a plugin says about itself before any of its code runs: an ELF note.
//!
//! The section [`SECTION`] holds one note of owner [`OWNER`] and type [`TYPE`], whose description is text, one
//! `key=value` a line:
//!
//! ```text
//! abi=1
//! door=rust
//! name=onnxruntime
//! version=0.1.0
//! target=x86_64-linux
//! sdk=rust 0.1.0
//! platforms=onnxruntime
//! ```
//!
//! `door` is `rust` or `c`; `platforms` is a list with commas, and so is `sources`. One of these may be left out, or be
//! empty. Unknown keys are ignored.

/// The name of the section.
pub const SECTION: &str = ".note.salver";
/// The owner of the note.
pub const OWNER: &str = "Salver";
/// The type of the note, among those of its owner.
pub const TYPE: u32 = 1;

/// [`ABI_MAJOR`](crate::ABI_MAJOR), as a note says it.
pub const ABI: &str = env!("CARGO_PKG_VERSION_MAJOR");
/// What this code was built for, as a note says it.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub const TARGET: &str = "x86_64-linux";
/// What this code was built for, as a note says it.
#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
pub const TARGET: &str = "aarch64-linux";

/// Makes `$name`, a static that is the note with the given parts, one after the other, as its text. Must stand in the
/// library itself, not in a crate it depends on.
#[macro_export]
#[doc(hidden)]
macro_rules! __note {
    ($name:ident, $parts:expr) => {
        #[used]
        #[unsafe(link_section = ".note.salver")]
        static $name: $crate::note::Note<{ $crate::note::length($parts) }> = $crate::note::Note::new($parts);
    };
}

/// A note whose text has `N` bytes, as it lies in the file.
#[doc(hidden)]
#[repr(C, align(4))]
#[derive(Debug)]
pub struct Note<const N: usize> {
    name_size: u32,
    text_size: u32,
    kind: u32,
    name: [u8; 8],
    text: [u8; N],
}

impl<const N: usize> Note<N> {
    /// The note of these parts, whose [`length`] is `N`.
    #[doc(hidden)]
    #[expect(clippy::indexing_slicing, reason = "runs in the compiler, where a wrong index is a build error")]
    pub const fn new(parts: &[&str]) -> Self {
        let mut text = [0; N];
        let (mut at, mut part) = (0, 0);
        while part < parts.len() {
            let bytes = parts[part].as_bytes();
            let mut byte = 0;
            while byte < bytes.len() {
                text[at] = bytes[byte];
                at += 1;
                byte += 1;
            }
            part += 1;
        }
        assert!(at == N && N <= u32::MAX as usize);
        Self { name_size: 7, text_size: N as u32, kind: TYPE, name: *b"Salver\0\0", text }
    }
}

/// How many bytes the parts have together.
#[doc(hidden)]
#[expect(clippy::indexing_slicing, reason = "runs in the compiler, where a wrong index is a build error")]
pub const fn length(parts: &[&str]) -> usize {
    let (mut length, mut part) = (0, 0);
    while part < parts.len() {
        length += parts[part].len();
        part += 1;
    }
    length
}
