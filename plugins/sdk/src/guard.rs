//! The edge of the library: nothing unwinds past it, and a failure is told through the sink.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use salver_core_status::Status;
use salver_plugins_abi::{ErrorSink, PANICKED, Str};

/// Does `body`, which says how it ended where it does not fail, and says through `sink` how it failed.
///
/// # Safety
/// `sink` points to an error sink that may be called.
pub(crate) unsafe fn report(sink: *const ErrorSink, body: impl FnOnce() -> Result<u32, Status>) -> u32 {
    let fail = |code, message: &str| {
        // SAFETY: the caller's promise is this function's; the message outlives the call.
        unsafe { ((*sink).fail)((*sink).context, code, Str::new(message)) }
    };
    match catch(body) {
        Ok(Ok(code)) => code,
        Ok(Err(status)) => fail(status.code() as u32, status.message()),
        Err(panic) => fail(PANICKED, &panic),
    }
}

/// Does `body`; an error is the text of its panic.
///
/// What `body` leaves half done is not looked at again: a model that panicked is loaded anew.
pub(crate) fn catch<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let text = text_of(&*payload);
        // Dropping what was panicked with may panic, too.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        text
    })
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("panicked with something that is no text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_by_its_text_even_where_its_payload_panics_when_dropped() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let limit = 3;
        assert_eq!(catch(|| panic!("over {limit}")), Err::<(), _>("over 3".to_owned()));
        assert_eq!(catch(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
        let bomb = catch(|| std::panic::panic_any(Bomb));
        assert_eq!(bomb, Err::<(), _>("panicked with something that is no text".to_owned()));
        assert_eq!(catch(|| 5), Ok(5));
    }
}
