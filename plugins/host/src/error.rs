//! What can be wrong with a library that should be a plugin.

use std::path::{Path, PathBuf};

use salver_core_status::{Code, ErrorCode, Quoted, Status};

/// A library that is not opened. Each names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file, or the directory it should be in, cannot be read.
    #[error("{} cannot be read", Shown(path))]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is something else than a shared library, or a damaged one.
    #[error("{} is not a shared library: {what}", Shown(path))]
    NotALibrary {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: String,
    },
    /// The library is for another kind of machine.
    #[error("{} is for {found}, this server runs on {wanted}", Shown(path))]
    WrongArchitecture {
        /// The file.
        path: PathBuf,
        /// What it is for.
        found: String,
        /// What this server runs on.
        wanted: &'static str,
    },
    /// The library does not say that it is a plugin.
    #[error("{} is not a Salver plugin: it has no section `.note.salver`", Shown(path))]
    NotAPlugin {
        /// The file.
        path: PathBuf,
    },
    /// What the library says about itself cannot be understood.
    #[error("{} has a plugin note that cannot be read: {what}", Shown(path))]
    BadNote {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The plugin was built for another major version of the plugin ABI.
    #[error("{} is built for plugin ABI {found}, this server has {wanted}", Shown(path))]
    WrongAbi {
        /// The file.
        path: PathBuf,
        /// The plugin's version.
        found: u32,
        /// This server's version.
        wanted: u32,
    },
    /// The plugin says that it has a door, and does not.
    #[error("{} does not export `{symbol}`, through which its tables are found", Shown(path))]
    NoEntry {
        /// The file.
        path: PathBuf,
        /// The symbol that is missing.
        symbol: &'static str,
    },
    /// The dynamic linker refuses the library: a symbol or a library it needs is missing.
    #[error("{} cannot be opened: {what}", Shown(path))]
    DoesNotOpen {
        /// The file.
        path: PathBuf,
        /// What the dynamic linker says.
        what: String,
    },
    /// A library that the plugin brings is loaded already, as another of the same name.
    #[error(
        "{} needs {}, but {} is loaded under that name, and one process cannot have both: keep a platform of one of them \
         in processes of its own, with `isolation=process`",
        Shown(path),
        Shown(needed),
        Shown(loaded)
    )]
    Clash {
        /// The file.
        path: PathBuf,
        /// What it needs.
        needed: PathBuf,
        /// What it would be given.
        loaded: PathBuf,
    },
    /// The plugin's tables are laid out otherwise than this server's: it was built with a changed SDK.
    #[error(
        "{} has plugin tables of another layout: {place} is {found}, wanted {wanted}; build it with this server's SDK",
        Shown(path)
    )]
    Layout {
        /// The file.
        path: PathBuf,
        /// Where they differ, such as `Tensor.rank`.
        place: String,
        /// The difference, as the plugin has it.
        found: String,
        /// The same, as this server has it.
        wanted: String,
    },
    /// The plugin's tables cannot be compared with this server's: it was built with too different an SDK.
    #[error("{} {what}; build it with this server's SDK", Shown(path))]
    Sdk {
        /// The file.
        path: PathBuf,
        /// What is different.
        what: String,
    },
    /// A table of the plugin is not complete, or contradicts the note.
    #[error("{} has a bad plugin table: {what}", Shown(path))]
    BadTable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The plugin did not start.
    #[error("{} did not start", Shown(path))]
    Start {
        /// The file.
        path: PathBuf,
        /// What the plugin says.
        #[source]
        source: Status,
    },
    /// A plugin of this name is open already, from another file.
    #[error("{} and {} are both plugin {}", Shown(path), Shown(other), Quoted(name))]
    SameName {
        /// The file.
        path: PathBuf,
        /// The file that is open.
        other: PathBuf,
        /// The plugins' name.
        name: String,
    },
    /// A platform of this name is open already, from another file.
    #[error("{} and {} both have platform {}", Shown(path), Shown(other), Quoted(name))]
    SamePlatform {
        /// The file.
        path: PathBuf,
        /// The file that is open, or the same one.
        other: PathBuf,
        /// The platforms' name.
        name: String,
    },
    /// A source of this name is open already, from another file.
    #[error("{} and {} both have source {}", Shown(path), Shown(other), Quoted(name))]
    SameSource {
        /// The file.
        path: PathBuf,
        /// The file that is open, or the same one.
        other: PathBuf,
        /// The sources' name.
        name: String,
    },
}

impl ErrorCode for Error {
    fn code(&self) -> Code {
        match self {
            Error::Unreadable { .. } => Code::NotFound,
            Error::NotALibrary { .. }
            | Error::NotAPlugin { .. }
            | Error::BadNote { .. }
            | Error::NoEntry { .. }
            | Error::BadTable { .. } => Code::InvalidArgument,
            Error::WrongArchitecture { .. }
            | Error::WrongAbi { .. }
            | Error::DoesNotOpen { .. }
            | Error::Clash { .. }
            | Error::Layout { .. }
            | Error::Sdk { .. } => Code::FailedPrecondition,
            Error::Start { source, .. } => source.code(),
            Error::SameName { .. } | Error::SamePlatform { .. } | Error::SameSource { .. } => {
                Code::AlreadyExists
            }
        }
    }
}

/// A path in a message.
struct Shown<'a>(&'a Path);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not `Quoted`: a path is the operator's own, and of use only in full.
        write!(f, "`{}`", self.0.display().to_string().escape_debug())
    }
}
