//! What a plugin's source says, out of the tables and checked.

use std::collections::BTreeSet;
use std::ffi::{OsStr, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use salver_core_loader::{Aspired, AspiredVersions};
use salver_core_servable::Version;
use salver_core_status::{Code, Quoted, Status};
use salver_plugins_abi as abi;

use super::Hears;

/// The most versions of one stream that are taken: a count beyond it is taken for garbage.
const COUNT_LIMIT: usize = 65_536;

/// The longest name of a stream that is taken.
const NAME_LIMIT: usize = 255;

/// The longest path that is taken, as on Linux.
const PATH_LIMIT: usize = 4096;

/// How many bytes of a message are kept.
const MESSAGE_LIMIT: usize = 4096;

/// The table that passes what is said on to `hears`.
pub(super) fn target(hears: &'static Hears) -> abi::TargetV1 {
    abi::TargetV1 { context: std::ptr::from_ref(hears).cast(), set_aspired }
}

unsafe extern "C" fn set_aspired(
    context: *const c_void,
    stream: *const abi::AspiredStream,
    error: *const abi::ErrorSink,
) -> u32 {
    let body = || {
        // SAFETY: the plugin passes the table's context, which is leaked.
        let hears = unsafe { &*context.cast::<Hears>() };
        // SAFETY: the plugin passes what a stream should have, which is valid for the call.
        let aspired = unsafe { read(stream) }.map_err(|what| {
            let (source, plugin) = (Quoted(&hears.source), Quoted(&hears.plugin));
            let status = Status::invalid_argument(format!("source {source} of plugin {plugin} {what}"));
            hears.complain(&status);
            status
        })?;
        hears.pass_on(aspired)
    };
    let status = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return abi::OK,
        Ok(Err(status)) => status,
        Err(panic) => {
            // Let it not panic a second time.
            std::mem::forget(panic);
            Status::internal("the server panicked")
        }
    };
    let code = status.code() as u32;
    // SAFETY: the plugin passes a sink that may be called, or one that cannot be right.
    if let Ok([sink]) = unsafe { abi::array(error, 1) } {
        // SAFETY: as above; the message outlives the call.
        unsafe { (sink.fail)(sink.context, code, abi::Str::new(status.message())) };
    }
    code
}

/// # Errors
/// What is wrong, as the end of a sentence.
///
/// # Safety
/// What `stream` points to, where pointers and sizes can be right, is valid during the call.
unsafe fn read(stream: *const abi::AspiredStream) -> Result<AspiredVersions<PathBuf>, String> {
    // SAFETY: the caller's promise is this function's, here and below.
    let Ok([stream]) = (unsafe { abi::array(stream, 1) }) else {
        return Err("gave a stream that is null or misaligned".to_owned());
    };
    // SAFETY: as above.
    let name = unsafe { name(stream.name) }?;
    let about = |what: String| format!("said of stream {} {what}", Quoted(name));
    if stream.code != abi::OK {
        // SAFETY: as above.
        let trouble = unsafe { status(stream.code, stream.message) };
        return Ok(AspiredVersions { stream: name.into(), versions: Err(trouble) });
    }
    if stream.version_count > COUNT_LIMIT {
        return Err(about(format!(
            "that it has {} versions, at most {COUNT_LIMIT} may be",
            stream.version_count
        )));
    }
    // SAFETY: as above.
    let listed = unsafe { abi::array(stream.versions, stream.version_count) };
    let listed = listed.map_err(|_| about("versions that are null or misaligned".to_owned()))?;
    let (mut seen, mut versions) = (BTreeSet::new(), Vec::with_capacity(listed.len()));
    for one in listed {
        // SAFETY: as above.
        let aspired = unsafe { version(one) }.map_err(&about)?;
        if !seen.insert(aspired.version) {
            return Err(about(format!("version {} twice", aspired.version)));
        }
        versions.push(aspired);
    }
    Ok(AspiredVersions { stream: name.into(), versions: Ok(versions) })
}

/// # Safety
/// The text, if it is not malformed, is valid during `'a`.
unsafe fn name<'a>(text: abi::Str) -> Result<&'a str, String> {
    // SAFETY: the caller's promise is this function's.
    let bytes = unsafe { text.bytes() }.map_err(|_| "gave a null name for a stream".to_owned())?;
    let shown = || Quoted(&String::from_utf8_lossy(bytes)).to_string();
    let refused = |why: &str| Err(format!("named a stream {}, which {why}", shown()));
    match std::str::from_utf8(bytes) {
        Err(_) => refused("is not UTF-8"),
        Ok(name) if name.is_empty() || name.contains('/') => refused("is empty or has a slash"),
        Ok(name) if name.contains(char::is_control) => refused("has a control character"),
        Ok(name) if name.len() > NAME_LIMIT => {
            refused(&format!("has {} bytes, at most {NAME_LIMIT} may be", name.len()))
        }
        Ok(name) => Ok(name),
    }
}

/// # Safety
/// The texts of the version, if they are not malformed, are valid during the call.
unsafe fn version(one: &abi::AspiredVersion) -> Result<Aspired<PathBuf>, String> {
    let Some(version) = Version::new(one.number) else {
        return Err(format!("version {}, wanted 0 or more", one.number));
    };
    let data = if one.code == abi::OK {
        // SAFETY: the caller's promise is this function's.
        let directory = unsafe { directory(one.directory) };
        Ok(directory.map_err(|why| format!("that version {version} lies in a directory that {why}"))?)
    } else {
        // SAFETY: as above.
        Err(unsafe { status(one.code, one.message) })
    };
    Ok(Aspired { version, revision: one.revision, data })
}

/// # Safety
/// The text, if it is not malformed, is valid during the call.
unsafe fn directory(text: abi::Str) -> Result<PathBuf, String> {
    // SAFETY: the caller's promise is this function's.
    let bytes = unsafe { text.bytes() }.map_err(|_| "is null".to_owned())?;
    let path = Path::new(OsStr::from_bytes(bytes));
    if bytes.len() > PATH_LIMIT {
        Err(format!("has {} bytes, at most {PATH_LIMIT} may be", bytes.len()))
    } else if bytes.contains(&0) {
        Err("has a NUL in its path".to_owned())
    } else if !path.is_absolute() {
        Err(format!("is {}, wanted an absolute path", Quoted(&path.to_string_lossy())))
    } else {
        Ok(path.to_owned())
    }
}

/// # Safety
/// The message, if it is not malformed, is valid during the call.
unsafe fn status(code: u32, message: abi::Str) -> Status {
    // SAFETY: the caller's promise is this function's.
    let bytes = unsafe { message.bytes() }.unwrap_or_default();
    let said = String::from_utf8_lossy(bytes.get(..MESSAGE_LIMIT).unwrap_or(bytes)).into_owned();
    let said = if said.is_empty() { "the source gave no reason".to_owned() } else { said };
    match Code::from_u32(code) {
        Some(code) => Status::new(code, said),
        None if code == abi::PANICKED => Status::internal(format!("the source panicked: {said}")),
        None => Status::internal(format!("the source gave the unknown code {code}: {said}")),
    }
}
