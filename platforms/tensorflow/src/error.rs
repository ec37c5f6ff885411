//! What TensorFlow says when it fails, as a status.

use salver_core_status::{Code, Status};
use salver_platforms_tensorflow_sys::Error;

/// The same code, and the message in a line.
pub(crate) fn status(error: &Error) -> Status {
    /// So many bytes of a message are shown: TensorFlow may quote a graph.
    const SHOWN: usize = 600;
    let lines: Vec<_> = error.message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut text = lines.join("; ");
    if text.len() > SHOWN {
        let end = (0..=SHOWN).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    Status::new(Code::from_u32(error.code).unwrap_or(Code::Unknown), format!("TensorFlow: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_message_are_kept_in_one_line() {
        let error = Error { code: 3, message: "Matrix size-incompatible\n\t [[{{node MatMul}}]]".to_owned() };
        let wanted = "TensorFlow: Matrix size-incompatible; [[{{node MatMul}}]]";
        assert_eq!(status(&error), Status::invalid_argument(wanted));
    }
}
