//! The door for plugins in Rust: a root module that `abi_stable` checks before anything is called.
//!
//! The check follows every pointer and every function's arguments, so that a plugin built against another layout is
//! refused when it is opened. This file alone knows `abi_stable`.

use std::path::Path;

use abi_stable::StableAbi;
use abi_stable::library::{
    CheckTypeLayout, LibHeader, LibraryError, RootModule, RootModuleResult, lib_header_from_path,
};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;

use crate::PluginV1;

/// The symbol of the root module.
pub const SYMBOL: &str = "_1as_0lib_1header_0root_bmodule_bloader";

/// The tables of a plugin: one accessor each, a new one after the last.
#[doc(hidden)]
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef)))]
#[sabi(missing_field(option))]
pub struct PluginRoot {
    #[sabi(last_prefix_field)]
    pub plugin_v1: extern "C" fn() -> *const PluginV1,
}

impl RootModule for PluginRootRef {
    abi_stable::declare_root_module_statics! {PluginRootRef}

    const BASE_NAME: &'static str = "salver_plugin";
    const NAME: &'static str = "salver_plugin";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

/// A plugin as the macro of the SDK describes it to [`__rust_door!`](crate::__rust_door).
#[doc(hidden)]
pub trait RustPlugin {
    /// The plugin's table.
    const TABLE: &'static PluginV1;
}

/// What the symbol is.
#[doc(hidden)]
pub type Header = LibHeader;

/// The header of the plugin `P`.
#[doc(hidden)]
pub const fn header<P: RustPlugin>() -> Header {
    // SAFETY: `construct` returns the prefix of a `PluginRootRef`, by way of `__call_root_module_loader`.
    unsafe { LibHeader::from_constructor::<PluginRootRef>(construct::<P>, CheckTypeLayout::Yes) }
}

extern "C" fn construct<P: RustPlugin>() -> RootModuleResult {
    abi_stable::library::__call_root_module_loader(root::<P>)
}

fn root<P: RustPlugin>() -> PluginRootRef {
    // Leaked, as the library is: the loader calls this once.
    PluginRoot { plugin_v1: table::<P> }.leak_into_prefix()
}

extern "C" fn table<P: RustPlugin>() -> *const PluginV1 {
    P::TABLE
}

/// Why the Rust door stayed shut.
#[derive(Debug)]
pub enum DoorError {
    /// The tables are laid out otherwise than here. `found` and `wanted` are the first difference.
    Layout {
        /// What the plugin has.
        found: String,
        /// What this side has.
        wanted: String,
        /// Everything that `abi_stable` says: tens of kilobytes.
        report: String,
    },
    /// The plugin was built with a version of this crate, or of `abi_stable`, that cannot be compared.
    Version {
        /// In a sentence.
        what: String,
    },
    /// Something else, in a sentence.
    Other {
        /// In a sentence.
        what: String,
    },
}

/// Opens the library at `path`, for good, and checks its tables' layout. Runs the library's constructors and nothing
/// else of it.
///
/// # Errors
/// [`DoorError`].
pub fn open(path: &Path) -> Result<*const PluginV1, DoorError> {
    // Not `RootModule::load_from_file`, which returns the first plugin of the process for every path.
    let root = lib_header_from_path(path)
        .and_then(|header| header.init_root_module::<PluginRootRef>())
        .map_err(|error| shorten(&error))?;
    Ok(root.plugin_v1()())
}

fn shorten(error: &LibraryError) -> DoorError {
    match error {
        LibraryError::AbiInstability(report) => {
            let report = report.to_string();
            let (wanted, found) = first_difference(&report);
            DoorError::Layout { found, wanted, report }
        }
        LibraryError::InvalidAbiHeader(_) | LibraryError::InvalidCAbi { .. } => {
            DoorError::Version { what: "was built with another `abi_stable` than this server's 0.11".into() }
        }
        LibraryError::IncompatibleVersionNumber { expected_version, actual_version, .. } => {
            DoorError::Version {
                what: format!("has tables of version {actual_version}, wanted {expected_version}"),
            }
        }
        other => DoorError::Other { what: one_line(&other.to_string()) },
    }
}

/// The first `Expected` and `Found` of a report that differ, as one line each.
fn first_difference(report: &str) -> (String, String) {
    let mut blocks = report.split("Expected:").skip(1);
    blocks
        .find_map(|block| {
            let (wanted, rest) = block.split_once("Found:")?;
            let found = rest
                .lines()
                .skip_while(|line| line.trim().is_empty())
                .take_while(|line| !line.trim().is_empty());
            let (wanted, found) = (one_line(wanted), one_line(&found.collect::<Vec<_>>().join(" ")));
            (wanted != found).then_some((wanted, found))
        })
        .unwrap_or_else(|| ("this server's layout".into(), "another".into()))
}

/// At most 200 characters, spaces and line ends made one space.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(200).collect()
}

/// Exports the root module of `$plugin`, a [`RustPlugin`].
#[macro_export]
#[doc(hidden)]
macro_rules! __rust_door {
    ($plugin:ty) => {
        #[unsafe(no_mangle)]
        static _1as_0lib_1header_0root_bmodule_bloader: $crate::rust_door::Header =
            $crate::rust_door::header::<$plugin>();
    };
}
