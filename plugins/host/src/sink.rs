//! Texts that a plugin gives for its failures, and what they become.

use std::ffi::c_void;

use salver_core_status::{Code, Quoted, Status};
use salver_plugins_abi as abi;

/// How many bytes of a plugin's text are kept.
const LIMIT: usize = 4096;

/// A place for what a plugin says. Nothing is allocated unless it says something.
#[derive(Debug, Default)]
pub(crate) struct Said(String);

impl Said {
    /// A sink that writes here, for one call: it must not be used when `self` is gone or borrowed otherwise.
    pub(crate) fn error_sink(&mut self) -> abi::ErrorSink {
        abi::ErrorSink { context: std::ptr::from_mut(self).cast(), fail }
    }

    /// As [`Said::error_sink`], for a text that is no error.
    pub(crate) fn text_sink(&mut self) -> abi::TextSink {
        abi::TextSink { context: std::ptr::from_mut(self).cast(), put }
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    /// What a call ended with that returned `code` while `doing` (`running model `m:1``).
    pub(crate) fn failure(self, plugin: &str, code: u32, doing: std::fmt::Arguments<'_>) -> Failure {
        let said = if self.0.is_empty() { "it gave no reason".to_owned() } else { self.0 };
        let plugin = Quoted(plugin);
        match Code::from_u32(code) {
            Some(code) => Failure { status: Status::new(code, said), is_panic: false },
            None if code == abi::PANICKED => {
                let status = Status::internal(format!("plugin {plugin} panicked {doing}: {said}"));
                Failure { status, is_panic: true }
            }
            None => {
                let status = format!("plugin {plugin} returned the unknown code {code} {doing}: {said}");
                Failure { status: Status::internal(status), is_panic: false }
            }
        }
    }
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    /// The plugin's code panicked: what it holds may be half changed.
    pub(crate) is_panic: bool,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self { status, is_panic: false }
    }
}

unsafe extern "C" fn fail(context: *mut c_void, code: u32, message: abi::Str) -> u32 {
    // SAFETY: as for `put`.
    unsafe { put(context, message) };
    code
}

unsafe extern "C" fn put(context: *mut c_void, text: abi::Str) {
    // SAFETY: the plugin passes the sink's context, during the call that was given the sink.
    let said = unsafe { &mut *context.cast::<Said>() };
    // SAFETY: the plugin passes a text that is valid for the call.
    let bytes = unsafe { text.bytes() }.unwrap_or_default();
    let kept = bytes.get(..LIMIT).unwrap_or(bytes);
    said.0 = String::from_utf8_lossy(kept).into_owned();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_copied_at_a_bounded_length_and_made_utf8() {
        let mut said = Said::default();
        let sink = said.error_sink();
        let long = [b'x'; 2 * LIMIT];
        let message = abi::Str { data: long.as_ptr().cast(), size: long.len() };
        // SAFETY: the sink's place and the text are alive.
        assert_eq!(unsafe { (sink.fail)(sink.context, 3, message) }, 3);
        let failure = said.failure("p", 3, format_args!("running"));
        assert_eq!((failure.status.code(), failure.status.message().len()), (Code::InvalidArgument, LIMIT));
    }

    #[test]
    fn a_code_that_is_none_is_internal_and_a_panic_is_told_as_one() {
        let unknown = Said::default().failure("p", 57, format_args!("running model `m:1`"));
        let text = "plugin `p` returned the unknown code 57 running model `m:1`: it gave no reason";
        assert_eq!((unknown.status, unknown.is_panic), (Status::internal(text), false));
        let panic = Said("ouch".to_owned()).failure("p", abi::PANICKED, format_args!("running model `m:1`"));
        let text = "plugin `p` panicked running model `m:1`: ouch";
        assert_eq!((panic.status, panic.is_panic), (Status::internal(text), true));
    }
}
