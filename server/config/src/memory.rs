//! How much memory models may take, as people write it.

use salver_core_resource::{RAM_BYTES, Resource};
use salver_core_status::Quoted;

use crate::size::parse_bytes;

/// How much of the machine's own memory models may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// As much as they like.
    None,
    /// So many bytes.
    Bytes(u64),
}

/// How much memory models may take on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// The memory of which device.
    pub resource: Resource,
    /// How many bytes of it.
    pub bytes: u64,
}

/// Reads `none`, or a size.
pub(crate) fn parse_limit(text: &str) -> Result<MemoryLimit, String> {
    match text {
        "none" => Ok(MemoryLimit::None),
        text => Ok(MemoryLimit::Bytes(parse_bytes(text)? as u64)),
    }
}

/// Reads `gpu:0=20GiB`.
pub(crate) fn parse_device_memory(text: &str) -> Result<DeviceMemory, String> {
    let wanted = || format!("{} is not of the form DEVICE:N=SIZE", Quoted(text));
    let (device, size) = text.split_once('=').ok_or_else(wanted)?;
    let (name, instance) = device.split_once(':').ok_or_else(wanted)?;
    let instance = instance.trim().parse().map_err(|_| wanted())?;
    if name.is_empty() {
        return Err(wanted());
    }
    Ok(DeviceMemory {
        resource: Resource::bound(name, instance, RAM_BYTES),
        bytes: parse_bytes(size)? as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_they_are_written() {
        assert_eq!(parse_limit("none"), Ok(MemoryLimit::None));
        assert_eq!(parse_limit("2GiB"), Ok(MemoryLimit::Bytes(2 << 30)));
        let gpu = DeviceMemory { resource: Resource::bound("gpu", 1, RAM_BYTES), bytes: 1 << 30 };
        assert_eq!(parse_device_memory("gpu:1=1GiB"), Ok(gpu));
        for text in ["", "gpu=1GiB", "gpu:x=1GiB", ":0=1GiB", "gpu:0=much"] {
            assert!(parse_device_memory(text).is_err(), "{text}");
        }
    }
}
