//! What a library says about itself, read without running any of its code.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use object::elf::{EM_386, EM_AARCH64, EM_RISCV, EM_X86_64, ET_DYN, FileHeader64, SHT_DYNSYM};
use object::read::elf::{FileHeader as _, SectionHeader as _, Sym as _};
use object::{Endianness, ReadCache, ReadRef};
use salver_plugins_abi::{ABI_MAJOR, C_DOOR, note, rust_door};

use crate::Error;

/// The most bytes that a note may have.
const NOTE_LIMIT: u64 = 64 * 1024;

/// What a plugin says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The file.
    pub path: PathBuf,
    /// The plugin's name.
    pub name: String,
    /// Its version, as its author counts.
    pub version: String,
    /// The major version of the plugin ABI it is built for.
    pub abi: u32,
    /// Through which of its symbols the tables are found.
    pub door: Door,
    /// What it was built for, such as `x86_64-linux`.
    pub target: String,
    /// What it was built with, such as `rust 0.1.0`.
    pub sdk: String,
    /// The names of its platforms.
    pub platforms: Vec<String>,
    /// The names of its kinds of sources.
    pub sources: Vec<String>,
}

/// How a plugin hands out its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Through a root module whose layout is checked.
    Rust,
    /// Through a function that is asked for a table by name.
    C,
}

impl Door {
    /// The symbol that a plugin with this door exports.
    pub fn symbol(self) -> &'static str {
        match self {
            Door::Rust => rust_door::SYMBOL,
            Door::C => C_DOOR,
        }
    }
}

/// Shows as the note has it: `rust` or `c`.
impl std::fmt::Display for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Door::Rust => "rust",
            Door::C => "c",
        })
    }
}

/// Reads what the library at `path` says about itself, and whether this server can open it. Runs none of its code,
/// and reads no more of the file than it needs.
///
/// # Errors
/// [`Error::Unreadable`], [`Error::NotALibrary`], [`Error::WrongArchitecture`], [`Error::NotAPlugin`],
/// [`Error::BadNote`], [`Error::WrongAbi`] or [`Error::NoEntry`].
pub fn inspect(path: &Path) -> Result<Inspection, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(Error::NotALibrary { path: path.to_owned(), what: "it is not a file".to_owned() });
    }
    let mut header = Vec::new();
    file.by_ref().take(20).read_to_end(&mut header).map_err(unreadable)?;
    check_header(path, &header)?;
    let cache = ReadCache::new(file);
    let found = read_sections(&cache)
        .map_err(|error| Error::NotALibrary { path: path.to_owned(), what: error.to_string() })?;
    let Some(section) = found.note else {
        return Err(Error::NotAPlugin { path: path.to_owned() });
    };
    let inspection = parse_note(section)
        .and_then(|text| parse_text(path, &text))
        .map_err(|what| Error::BadNote { path: path.to_owned(), what })?;
    if inspection.abi != ABI_MAJOR {
        return Err(Error::WrongAbi { path: path.to_owned(), found: inspection.abi, wanted: ABI_MAJOR });
    }
    let symbol = inspection.door.symbol();
    if !found.symbols.contains(&symbol) {
        return Err(Error::NoEntry { path: path.to_owned(), symbol });
    }
    Ok(inspection)
}

/// Looks at the first 20 bytes alone, whose meaning is the same on every machine.
fn check_header(path: &Path, header: &[u8]) -> Result<(), Error> {
    let not_a_library = |what: &str| Error::NotALibrary { path: path.to_owned(), what: what.to_owned() };
    let [0x7f, b'E', b'L', b'F', class, order, .., type_low, type_high, machine_low, machine_high] = *header
    else {
        return Err(not_a_library("it is not an ELF file"));
    };
    if header.len() < 20 {
        return Err(not_a_library("it ends within its header"));
    }
    let number = |low, high| {
        if order == 2 { u16::from_be_bytes([low, high]) } else { u16::from_le_bytes([low, high]) }
    };
    let machine = number(machine_low, machine_high);
    const OURS: u16 = if cfg!(target_arch = "x86_64") { EM_X86_64.0 } else { EM_AARCH64.0 };
    if (class, order, machine) != (2, 1, OURS) {
        let bits = if class == 2 { 64 } else { 32 };
        let found = match machine {
            m if m == EM_X86_64.0 => format!("x86_64, {bits} bits"),
            m if m == EM_386.0 => "x86, 32 bits".to_owned(),
            m if m == EM_AARCH64.0 => "aarch64".to_owned(),
            m if m == EM_RISCV.0 => format!("riscv, {bits} bits"),
            other => format!("machine {other} of the ELF list, {bits} bits"),
        };
        return Err(Error::WrongArchitecture { path: path.to_owned(), found, wanted: note::TARGET });
    }
    if number(type_low, type_high) != ET_DYN.0 {
        return Err(not_a_library("it is an ELF file of another type"));
    }
    Ok(())
}

/// What is of interest in a library's sections.
struct Sections<'a> {
    note: Option<&'a [u8]>,
    /// Which of the doors' symbols the library defines.
    symbols: Vec<&'static str>,
}

fn read_sections<'a, R: ReadRef<'a>>(data: R) -> object::read::Result<Sections<'a>> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let note = match sections.section_by_name(endian, note::SECTION.as_bytes()) {
        Some((_, section)) if section.sh_size(endian) <= NOTE_LIMIT => Some(section.data(endian, data)?),
        _ => None,
    };
    let table = sections.symbols(endian, data, SHT_DYNSYM)?;
    let exported = |door: &Door| {
        table.iter().any(|symbol| {
            !symbol.is_undefined(endian)
                && symbol.name(endian, table.strings()).is_ok_and(|name| name == door.symbol().as_bytes())
        })
    };
    let symbols =
        [Door::Rust, Door::C].iter().filter(|door| exported(door)).map(|door| door.symbol()).collect();
    Ok(Sections { note, symbols })
}

/// The text of the first note of ours in a section.
fn parse_note(mut section: &[u8]) -> Result<String, String> {
    fn number(bytes: &mut &[u8]) -> Option<usize> {
        let (number, rest) = bytes.split_first_chunk::<4>()?;
        *bytes = rest;
        usize::try_from(u32::from_le_bytes(*number)).ok()
    }
    fn padded<'a>(bytes: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
        let field = bytes.get(..size)?;
        *bytes = bytes.get(size.checked_next_multiple_of(4)?..).unwrap_or_default();
        Some(field)
    }
    fn one<'a>(bytes: &mut &'a [u8]) -> Option<(&'a [u8], usize, &'a [u8])> {
        let (name_size, text_size, kind) = (number(bytes)?, number(bytes)?, number(bytes)?);
        Some((padded(bytes, name_size)?, kind, padded(bytes, text_size)?))
    }
    while !section.is_empty() {
        let (name, kind, text) = one(&mut section).ok_or("it ends too early")?;
        if name.strip_suffix(b"\0") == Some(note::OWNER.as_bytes()) && kind == note::TYPE as usize {
            // In C the text is a literal, and has an end mark.
            let text = text.strip_suffix(b"\0").unwrap_or(text);
            return String::from_utf8(text.to_owned()).map_err(|_| "its text is not UTF-8".to_owned());
        }
    }
    Err(format!("it has no note of owner {} and type {}", note::OWNER, note::TYPE))
}

fn parse_text(path: &Path, text: &str) -> Result<Inspection, String> {
    let value = |wanted: &str| {
        let mut values =
            text.lines().filter_map(|line| line.split_once('=')).filter(|(key, _)| *key == wanted);
        match (values.next(), values.next()) {
            (Some((_, value)), None) if !value.is_empty() => Ok(value.to_owned()),
            (Some(_), None) => Err(format!("`{wanted}` is empty")),
            (None, _) => Err(format!("`{wanted}` is missing")),
            (Some(_), Some(_)) => Err(format!("`{wanted}` is there twice")),
        }
    };
    let name = |value: String| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        match value.bytes().all(plain) && !value.is_empty() {
            true => Ok(value),
            false => Err(format!("{value:?} is not a name: lower-case letters, digits, `-`, `_` and `.`")),
        }
    };
    // A list that may be missing, or empty.
    let names = |wanted: &str| {
        let prefix = format!("{wanted}=");
        if !text.lines().any(|line| line.strip_prefix(&prefix).is_some_and(|list| !list.is_empty())) {
            return Ok(Vec::new());
        }
        value(wanted)?.split(',').map(|one| name(one.to_owned())).collect::<Result<Vec<_>, _>>()
    };
    let abi = value("abi")?;
    let (platforms, sources) = (names("platforms")?, names("sources")?);
    if platforms.is_empty() && sources.is_empty() {
        return Err("it lists neither `platforms` nor `sources`".to_owned());
    }
    Ok(Inspection {
        path: path.to_owned(),
        name: name(value("name")?)?,
        version: value("version")?,
        abi: abi.parse().map_err(|_| format!("`abi` is {abi:?}, wanted a number"))?,
        door: match value("door")?.as_str() {
            "rust" => Door::Rust,
            "c" => Door::C,
            other => return Err(format!("`door` is {other:?}, wanted `rust` or `c`")),
        },
        target: value("target")?,
        sdk: value("sdk")?,
        platforms,
        sources,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str =
        "abi=1\ndoor=c\nname=axb\nversion=2.0\ntarget=x86_64-linux\nsdk=c 1\nplatforms=one,two\nlater=yes\n";

    fn section(name: &[u8; 8], text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [7, text.len() as u32, note::TYPE] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(name);
        bytes.extend(text.as_bytes());
        bytes
    }

    fn refused(from: &str, to: &str) -> String {
        parse_text(Path::new("x.so"), &TEXT.replace(from, to)).unwrap_err()
    }

    #[test]
    fn a_note_is_found_behind_another_owner_s_and_an_end_mark_is_ignored() {
        let mut bytes = section(b"Others\0\0", "four");
        bytes.extend(section(b"Salver\0\0", &format!("{TEXT}\0")));
        let inspection = parse_text(Path::new("x.so"), &parse_note(&bytes).unwrap()).unwrap();
        assert_eq!((inspection.name.as_str(), inspection.abi, inspection.door), ("axb", 1, Door::C));
        assert_eq!((inspection.platforms, inspection.sources), (vec!["one".into(), "two".into()], vec![]));
    }

    #[test]
    fn a_plugin_may_have_sources_alone_but_not_nothing() {
        let read = |text: &str| {
            let read = parse_text(Path::new("x.so"), &TEXT.replace("platforms=one,two", text));
            read.map(|inspection| (inspection.platforms, inspection.sources))
        };
        let sources = Ok((vec![], vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read("sources=a,b"), sources);
        assert_eq!(read("platforms=\nsources=a,b"), sources);
        for text in ["platforms=", "sources=", "platforms=\nsources="] {
            assert_eq!(read(text), Err("it lists neither `platforms` nor `sources`".to_owned()), "{text}");
        }
        assert!(read("sources=a,,b").is_err());
        assert_eq!(read("sources=a\nsources=b"), Err("`sources` is there twice".to_owned()));
    }

    #[test]
    fn what_is_wrong_with_a_note_is_named() {
        assert_eq!(refused("abi=1", "abi=one"), "`abi` is \"one\", wanted a number");
        assert_eq!(refused("door=c", "door=b"), "`door` is \"b\", wanted `rust` or `c`");
        assert_eq!(refused("name=axb\n", ""), "`name` is missing");
        assert_eq!(
            refused("one,two", "One"),
            "\"One\" is not a name: lower-case letters, digits, `-`, `_` and `.`"
        );
        assert_eq!(refused("sdk=c 1", "abi=2"), "`abi` is there twice");
        assert_eq!(parse_note(&section(b"Salver\0\0", TEXT)[..40]).unwrap_err(), "it ends too early");
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_parsers(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_note(&bytes);
            let _ = check_header(Path::new("x.so"), &bytes);
            let _ = read_sections(bytes.as_slice());
            let _ = parse_text(Path::new("x.so"), &String::from_utf8_lossy(&bytes));
        }
    }
}
