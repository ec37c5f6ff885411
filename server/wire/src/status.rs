//! Messages at the length TensorFlow Serving allows them.

use std::borrow::Cow;

/// A message at the length that TensorFlow Serving sends over gRPC: at most 1024 bytes, and a mark where it was cut.
pub fn truncated(message: &str) -> Cow<'_, str> {
    const MAX_BYTES: usize = 1024;
    if message.len() <= MAX_BYTES {
        return Cow::Borrowed(message);
    }
    let end = message.floor_char_boundary(MAX_BYTES);
    Cow::Owned(format!("{}...TRUNCATED", message.get(..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(truncated("short"), "short");
        let long = format!("{}é", "x".repeat(1023));
        assert_eq!(truncated(&long), format!("{}...TRUNCATED", "x".repeat(1023)));
    }
}
