//! How large things from outside may be.

/// How large a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest encoded message, in bytes.
    pub max_message_bytes: usize,
    /// The largest tensor that a message may describe in fewer bytes than it has: TensorFlow's lists may leave out
    /// elements that repeat. In bytes of memory.
    pub max_tensor_bytes: usize,
}

/// 64 MiB each, which is also Triton's limit over HTTP.
impl Default for Limits {
    fn default() -> Self {
        Self { max_message_bytes: 64 << 20, max_tensor_bytes: 64 << 20 }
    }
}
