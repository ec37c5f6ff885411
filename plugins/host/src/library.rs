//! Opening a library, and checking its tables before anything but its door is called.

use std::error::Error as _;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Arc;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use salver_plugins_abi as abi;
use salver_plugins_abi::rust_door::{self, DoorError};

use crate::details::Details;
use crate::inspect::{Door, Inspection};
use crate::memory::Memory;
use crate::neighbours::{self, Clash};
use crate::platform::{PluginPlatform, Table};
use crate::sink::Said;
use crate::{Error, HostServices, SourceKind, tables};

/// What a plugin offers, checked.
pub(crate) struct Offers {
    pub(crate) platforms: Vec<PluginPlatform>,
    pub(crate) sources: Vec<SourceKind>,
}

/// Opens the library that `plugin` describes, for good, and starts the plugin.
pub(crate) fn open(plugin: &Inspection, services: &HostServices) -> Result<Offers, Error> {
    let path = &plugin.path;
    if let Some(Clash { needed, loaded }) = neighbours::clash(path) {
        return Err(Error::Clash { path: path.clone(), needed, loaded });
    }
    // Every symbol is resolved now: one that is missing is an error here, and not the end of the server later.
    // SAFETY: opening runs the library's constructors. The operator put it where plugins are looked for.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
        // What the dynamic linker says is the cause of what `libloading` says.
        let what = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        Error::DoesNotOpen { path: path.clone(), what }
    })?;
    // Threads, and whatever the library registered, may outlive every sign of it: it stays, whatever comes next.
    let library = ManuallyDrop::new(library);
    let tables = match plugin.door {
        Door::Rust => rust_door::open(path).map_err(|error| door_error(path, error))?,
        Door::C => c_door(path, &library)?,
    };
    let bad = |what: String| Error::BadTable { path: path.clone(), what };
    // SAFETY: a pointer that can be right is that of a table, which lives as long as the library.
    let table =
        unsafe { one(tables.plugin) }.ok_or_else(|| bad("the plugin's is null or misaligned".to_owned()))?;
    let (Some(start), Some(count), Some(platform)) = (table.start, table.platform_count, table.platform)
    else {
        return Err(bad("the plugin's lacks a function".to_owned()));
    };
    // SAFETY: as above.
    let memory = unsafe { offered(tables.platform_memory_v1, abi::PLATFORM_MEMORY_V1) }.map_err(bad)?;
    // SAFETY: as above.
    let sources = unsafe { offered(tables.sources_v1, abi::SOURCES_V1) }.map_err(bad)?;
    // SAFETY: as above.
    let details = unsafe { offered(tables.tensor_details_v1, abi::TENSOR_DETAILS_V1) }.map_err(bad)?;
    let mut said = Said::default();
    let sink = said.error_sink();
    // SAFETY: the tables live as long as the process, the sink as long as the call.
    let code = unsafe { start(tables::tables_for(plugin, services), &raw const sink) };
    if code != abi::OK {
        let source = said.failure(&plugin.name, code, format_args!("starting")).status;
        return Err(Error::Start { path: path.clone(), source });
    }
    // SAFETY: the plugin is started.
    let count = unsafe { count() };
    if count != plugin.platforms.len() {
        return Err(bad(format!("it has {count} platforms, its note lists {}", plugin.platforms.len())));
    }
    let name: Arc<str> = plugin.name.as_str().into();
    let checked = |(index, wanted): (usize, &String)| {
        // SAFETY: the plugin is started, and has more platforms than `index`.
        let table = unsafe { one(platform(index)) };
        let table = table.ok_or_else(|| format!("platform {index} is null or misaligned"))?;
        // SAFETY: a plugin promises that its texts are valid.
        let found = unsafe { table.name.to_text() };
        if found != *wanted {
            return Err(format!("platform {index} is called {found:?}, the note lists {wanted:?}"));
        }
        let (Some(probe), Some(load)) = (table.probe, table.load) else {
            return Err(format!("platform `{wanted}` lacks a function"));
        };
        let lacks = |name: &str| format!("`{name}` lacks a function");
        let memory =
            memory.map(|table| Memory::new(table, index).ok_or_else(|| lacks(abi::PLATFORM_MEMORY_V1)));
        let details =
            details.map(|table| Details::new(table, index).ok_or_else(|| lacks(abi::TENSOR_DETAILS_V1)));
        let table = Table {
            plugin: Arc::clone(&name),
            context: table.context,
            probe,
            load,
            memory: memory.transpose()?,
            details: details.transpose()?,
        };
        Ok(PluginPlatform { name: wanted.clone(), table })
    };
    let platforms =
        plugin.platforms.iter().enumerate().map(checked).collect::<Result<_, _>>().map_err(bad)?;
    // SAFETY: the plugin is started.
    let sources = unsafe { kinds_of_sources(plugin, &name, sources) }.map_err(bad)?;
    Ok(Offers { platforms, sources })
}

/// The kinds of sources behind the table, which are those that the note lists.
///
/// # Safety
/// The plugin is started.
unsafe fn kinds_of_sources(
    plugin: &Inspection,
    name: &Arc<str>,
    table: Option<&abi::SourcesV1>,
) -> Result<Vec<SourceKind>, String> {
    let listed = &plugin.sources;
    let Some(table) = table else {
        return match listed.is_empty() {
            true => Ok(Vec::new()),
            false => Err(format!("it does not offer `{}`, its note lists sources", abi::SOURCES_V1)),
        };
    };
    let (Some(count), Some(source)) = (table.count, table.source) else {
        return Err(format!("`{}` lacks a function", abi::SOURCES_V1));
    };
    // SAFETY: the plugin is started, by the caller's promise; here and below.
    let count = unsafe { count() };
    if count != listed.len() {
        return Err(format!("it has {count} sources, its note lists {}", listed.len()));
    }
    let checked = |(index, wanted): (usize, &String)| {
        // SAFETY: as above, and there are more sources than `index`.
        let table = unsafe { one(source(index)) };
        let table = table.ok_or_else(|| format!("source {index} is null or misaligned"))?;
        // SAFETY: a plugin promises that its texts are valid; here and below.
        let found = unsafe { table.name.to_text() };
        if found != *wanted {
            return Err(format!("source {index} is called {found:?}, the note lists {wanted:?}"));
        }
        // SAFETY: as above.
        let kind = unsafe { SourceKind::new(name, wanted, table) };
        kind.ok_or_else(|| format!("source `{wanted}` lacks a function"))
    };
    listed.iter().enumerate().map(checked).collect()
}

/// A table that a plugin need not have.
///
/// # Safety
/// As [`one`].
unsafe fn offered<T>(table: *const T, name: &str) -> Result<Option<&'static T>, String> {
    if table.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise is this function's.
    unsafe { one(table) }.map(Some).ok_or_else(|| format!("`{name}` is misaligned"))
}

fn c_door(path: &Path, library: &Library) -> Result<rust_door::Tables, Error> {
    // SAFETY: the note says that the symbol is a function of this type.
    let door = unsafe { library.get::<abi::TableDoor>(abi::C_DOOR.as_bytes()) }
        .map_err(|_| Error::NoEntry { path: path.to_owned(), symbol: abi::C_DOOR })?;
    // SAFETY: the door may be called from any thread, before anything else.
    let table = unsafe { door(abi::Str::new(abi::PLUGIN_V1)) };
    if table.is_null() {
        let what = format!("it does not offer `{}`", abi::PLUGIN_V1);
        return Err(Error::BadTable { path: path.to_owned(), what });
    }
    // SAFETY: as above.
    let platform_memory_v1 = unsafe { door(abi::Str::new(abi::PLATFORM_MEMORY_V1)) }.cast();
    // SAFETY: as above.
    let sources_v1 = unsafe { door(abi::Str::new(abi::SOURCES_V1)) }.cast();
    // SAFETY: as above.
    let tensor_details_v1 = unsafe { door(abi::Str::new(abi::TENSOR_DETAILS_V1)) }.cast();
    Ok(rust_door::Tables { plugin: table.cast(), platform_memory_v1, sources_v1, tensor_details_v1 })
}

fn door_error(path: &Path, error: DoorError) -> Error {
    let path = path.to_owned();
    match error {
        DoorError::Layout { place, found, wanted, report } => {
            tracing::debug!(path = %path.display(), "a plugin's tables are laid out otherwise: {report}");
            Error::Layout { path, place, found, wanted }
        }
        DoorError::Version { what } => Error::Sdk { path, what },
        DoorError::Other { what } => Error::DoesNotOpen { path, what },
    }
}

/// # Safety
/// `table`, if it is neither null nor misaligned, points to a table that lives as long as the process.
unsafe fn one<T>(table: *const T) -> Option<&'static T> {
    // SAFETY: the caller's promise is this function's.
    unsafe { abi::array(table, 1) }.ok()?.first()
}
