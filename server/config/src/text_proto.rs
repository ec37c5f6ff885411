//! Messages in protobuf's text format.

use std::sync::LazyLock;

use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use salver_core_status::Status;

/// Reads a message by its whole name.
///
/// # Errors
/// INVALID_ARGUMENT that says where, and what was wanted.
pub(crate) fn read<M: Message + Default>(name: &str, text: &str) -> Result<M, Status> {
    let message = DynamicMessage::parse_text_format(descriptor(name)?, text).map_err(|error| {
        let error = error.to_string().trim().replace('\n', " ");
        Status::invalid_argument(format!("Error parsing text-format {name}: {error}"))
    })?;
    message.transcode_to().map_err(|error| Status::internal(error.to_string()))
}

fn descriptor(name: &str) -> Result<MessageDescriptor, Status> {
    static POOL: LazyLock<Result<DescriptorPool, String>> = LazyLock::new(|| {
        DescriptorPool::decode(salver_proto::DESCRIPTORS).map_err(|error| error.to_string())
    });
    let pool = POOL.as_ref().map_err(|error| Status::internal(format!("the descriptors: {error}")))?;
    pool.get_message_by_name(name).ok_or_else(|| Status::internal(format!("there is no message {name}")))
}
