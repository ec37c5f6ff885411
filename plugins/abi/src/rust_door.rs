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

use crate::{PlatformMemoryV1, PluginV1, SourcesV1, TensorDetailsV1};

/// The symbol of the root module.
pub const SYMBOL: &str = "_1as_0lib_1header_0root_bmodule_bloader";

macro_rules! root_module {
    ($root:ty) => {
        impl RootModule for $root {
            abi_stable::declare_root_module_statics! {$root}

            const BASE_NAME: &'static str = "salver_plugin";
            const NAME: &'static str = "salver_plugin";
            const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
        }
    };
}

/// The tables of a plugin as a plugin of today has them: one accessor each, a new one after the last.
#[doc(hidden)]
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef)))]
#[sabi(missing_field(option))]
pub struct PluginRoot {
    #[sabi(last_prefix_field)]
    pub plugin_v1: extern "C" fn() -> *const PluginV1,
    pub platform_memory_v1: extern "C" fn() -> *const PlatformMemoryV1,
    pub sources_v1: extern "C" fn() -> *const SourcesV1,
    pub tensor_details_v1: extern "C" fn() -> *const TensorDetailsV1,
}

root_module!(PluginRootRef);

/// The tables as plugins of another time have them: the first few of today's. `abi_stable` lets a root with more fields
/// pass for one with fewer, as when a server of that time opens a plugin of today, but not the other way round.
macro_rules! root_of_old {
    ($time:ident, $count:literal, $($field:ident: $table:ty),*) => {
        #[doc(hidden)]
        pub mod $time {
            use super::*;

            #[repr(C)]
            #[derive(StableAbi)]
            #[sabi(kind(Prefix(prefix_ref = PluginRootRef)))]
            #[sabi(missing_field(option))]
            pub struct PluginRoot {
                #[sabi(last_prefix_field)]
                pub plugin_v1: extern "C" fn() -> *const PluginV1,
                $(pub $field: extern "C" fn() -> *const $table,)*
            }

            root_module!(PluginRootRef);

            /// The tables behind the door, if it has these and no more.
            pub(super) fn open(header: &'static LibHeader) -> Option<Tables> {
                let root = header.init_root_module::<PluginRootRef>().ok()?;
                if root.0.field_accessibility().at($count).is_accessible() {
                    return None;
                }
                let tables = Tables { plugin: root.plugin_v1()(), ..Tables::NONE };
                $(let tables = Tables { $field: root.$field().map_or(std::ptr::null(), |table| table()), ..tables };)*
                Some(tables)
            }
        }
    };
}

root_of_old!(first, 1,);
root_of_old!(second, 2, platform_memory_v1: PlatformMemoryV1);
root_of_old!(third, 3, platform_memory_v1: PlatformMemoryV1, sources_v1: SourcesV1);

/// A plugin as the macro of the SDK describes it to [`__rust_door!`](crate::__rust_door).
#[doc(hidden)]
pub trait RustPlugin {
    /// The plugin's table.
    const TABLE: &'static PluginV1;
    /// What its models take, where it says that.
    const MEMORY: Option<&'static PlatformMemoryV1> = None;
    /// Its kinds of sources, where it has any.
    const SOURCES: Option<&'static SourcesV1> = None;
    /// What more it says of inputs and outputs, where it does.
    const DETAILS: Option<&'static TensorDetailsV1> = None;
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
    PluginRoot {
        plugin_v1: table::<P>,
        platform_memory_v1: memory::<P>,
        sources_v1: sources::<P>,
        tensor_details_v1: details::<P>,
    }
    .leak_into_prefix()
}

extern "C" fn table<P: RustPlugin>() -> *const PluginV1 {
    P::TABLE
}

extern "C" fn memory<P: RustPlugin>() -> *const PlatformMemoryV1 {
    P::MEMORY.map_or(std::ptr::null(), std::ptr::from_ref)
}

extern "C" fn sources<P: RustPlugin>() -> *const SourcesV1 {
    P::SOURCES.map_or(std::ptr::null(), std::ptr::from_ref)
}

extern "C" fn details<P: RustPlugin>() -> *const TensorDetailsV1 {
    P::DETAILS.map_or(std::ptr::null(), std::ptr::from_ref)
}

/// What came through a door. Whether the pointers lead to tables is not known yet.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    /// The plugin's own.
    pub plugin: *const PluginV1,
    /// What its models take; null where the plugin does not offer it.
    pub platform_memory_v1: *const PlatformMemoryV1,
    /// Its kinds of sources; null where the plugin does not offer any.
    pub sources_v1: *const SourcesV1,
    /// What more it says of inputs and outputs; null where the plugin does not offer it.
    pub tensor_details_v1: *const TensorDetailsV1,
}

impl Tables {
    const NONE: Self = Self {
        plugin: std::ptr::null(),
        platform_memory_v1: std::ptr::null(),
        sources_v1: std::ptr::null(),
        tensor_details_v1: std::ptr::null(),
    };
}

/// Why the Rust door stayed shut.
#[derive(Debug)]
pub enum DoorError {
    /// The tables are laid out otherwise than here.
    Layout {
        /// Where they first differ, such as `Tensor.rank`.
        place: String,
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
pub fn open(path: &Path) -> Result<Tables, DoorError> {
    // Not `RootModule::load_from_file`, which returns the first plugin of the process for every path.
    let header = lib_header_from_path(path).map_err(|error| shorten(&error))?;
    let error = match header.init_root_module::<PluginRootRef>() {
        Ok(root) => {
            return Ok(Tables {
                plugin: root.plugin_v1()(),
                platform_memory_v1: root.platform_memory_v1().map_or(std::ptr::null(), |table| table()),
                sources_v1: root.sources_v1().map_or(std::ptr::null(), |table| table()),
                tensor_details_v1: root.tensor_details_v1().map_or(std::ptr::null(), |table| table()),
            });
        }
        Err(error) => error,
    };
    third::open(header)
        .or_else(|| second::open(header))
        .or_else(|| first::open(header))
        .ok_or_else(|| shorten(&error))
}

fn shorten(error: &LibraryError) -> DoorError {
    match error {
        LibraryError::AbiInstability(report) => {
            let report = report.to_string();
            let (place, found, wanted) = innermost_difference(&report);
            DoorError::Layout { place, found, wanted, report }
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

/// The innermost difference of a report: where it is, as `Tensor.rank`, what was found and what was wanted.
///
/// A report is a list of sections, outermost first: a path of `field_name` and `type` lines, two layouts, and `Error`,
/// `Expected` and `Found` with what they say on the lines below.
fn innermost_difference(report: &str) -> (String, String, String) {
    let mut lines = report.lines().map(str::trim);
    let (mut place, mut difference) = (Place::default(), None);
    let mut wanted = "";
    while let Some(line) = lines.next() {
        if line.ends_with("error(s)inside:") {
            place = Place { is_open: true, ..Place::default() };
        } else if line.starts_with("Layout of") {
            place.is_open = false;
        } else if line == "Expected:" {
            wanted = lines.next().unwrap_or_default();
        } else if line == "Found:" {
            let found = lines.next().unwrap_or_default();
            difference = Some((place.to_string(), one_line(found), one_line(wanted)));
        } else {
            place.read(line);
        }
    }
    difference.unwrap_or_else(|| ("the tables".into(), "another layout".into(), "this server's".into()))
}

/// The end of the path to a difference.
#[derive(Default)]
struct Place<'a> {
    is_open: bool,
    outer_type: &'a str,
    field: &'a str,
    inner_type: &'a str,
}

impl<'a> Place<'a> {
    fn read(&mut self, line: &'a str) {
        if !self.is_open {
            return;
        }
        if let Some(field) = line.strip_prefix("field_name:") {
            (self.outer_type, self.field) = (self.inner_type, field);
        } else if let Some(inner) = line.strip_prefix("type:") {
            self.inner_type = inner;
        }
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What a pointer points to is its field `0`.
        match self.field {
            "" | "0" => f.write_str(&one_line(self.inner_type)),
            field => write!(f, "{}.{}", one_line(self.outer_type), one_line(field)),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_difference_is_told_with_its_place() {
        let report = "0 error(s).\n\n1 error(s)inside:\n    <other>\n\n    field_name:0\n    type:PluginRoot\n\n    \
            field_name:plugin_v1\n    type:*const PluginV1\n\n    field_name:0\n    type:PluginV1\n\n\
            Layout of expected type:\n    type:PluginV1\n    field_name:start\n\nError:incompatible type size\n\
            Expected:\n    32\nFound:\n    40\n1 error(s)inside:\n    <other>\n\n    field_name:0\n    \
            type:Tensor\n\n    field_name:rank\n    type:u64\n\nLayout of expected type:\n    type:u32\n\n\
            Error:mismatched type\nExpected:\n    u32\nFound:\n    u64\n";
        let told = |place: &str, found: &str, wanted: &str| (place.into(), found.into(), wanted.into());
        assert_eq!(innermost_difference(report), told("Tensor.rank", "u64", "u32"));
        let outer = &report[..report.rfind("1 error(s)inside").unwrap()];
        assert_eq!(innermost_difference(outer), told("PluginV1", "40", "32"));
        assert_eq!(innermost_difference("gibberish"), told("the tables", "another layout", "this server's"));
    }
}
