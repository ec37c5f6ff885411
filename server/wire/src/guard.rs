//! The guard in front of the decoder: bounds what a message becomes in memory before it is decoded.
//!
//! A protobuf message can be far smaller than what it decodes to: an empty submessage takes two bytes on the wire and
//! hundreds in memory. [`check`] walks over an encoded message, hopping over payloads, adds up what its parts will
//! take, and refuses the message where that is above [`allowance`]. Its time grows with the number of fields, not with
//! their length; it allocates nothing and its depth is that of the [`Message`] tree it is given.
//!
//! The estimate counts what is held when decoding ends. Lists grow by doubling, so that a moment's peak can be a
//! small multiple of it.

mod requests;

pub use requests::{
    CLASSIFY_OR_REGRESS, EMPTY, GET_MODEL_METADATA, GET_MODEL_STATUS, MODEL_INFER, MODEL_METADATA,
    MODEL_READY, MULTI_INFERENCE, PREDICT, RELOAD_CONFIG,
};

use salver_core_status::Status;

/// What a message type takes in memory, as far as it can outgrow the wire.
#[derive(Debug)]
pub struct Message {
    /// The fields that can, by number. Any other field is hopped over.
    fields: &'static [(u64, Field)],
}

/// What one occurrence of a field takes in memory.
#[derive(Clone, Copy, Debug)]
enum Field {
    /// A message in so many bytes of its own, and what its fields take beside.
    Nested(usize, &'static Message),
    /// A string or bytes: so many bytes of bookkeeping, and the payload.
    Text(usize),
    /// Integers of so many bytes each, packed or one by one: as many as there are payload bytes, at most.
    Varints(usize),
}

/// The most bytes that a message of `encoded_bytes` may become.
///
/// Eight times its length, which a list of 64-bit integers below 128 needs, and 4 MiB, which leaves room for the fixed
/// cost of thousands of named tensors. No list of numbers can exceed it, nor can strings of two bytes or more.
pub fn allowance(encoded_bytes: usize) -> usize {
    const PER_BYTE: usize = 8;
    const FIXED: usize = 4 << 20;
    encoded_bytes.saturating_mul(PER_BYTE).saturating_add(FIXED)
}

/// Whether an encoded message of this type may be decoded.
///
/// # Errors
/// INVALID_ARGUMENT where `encoded` is not a message; RESOURCE_EXHAUSTED where it would take more than its
/// [`allowance`].
pub fn check(message: &'static Message, encoded: &[u8]) -> Result<(), Status> {
    let mut budget = Budget { left: allowance(encoded.len()) };
    walk(message, encoded, &mut budget).map_err(|refusal| match refusal {
        Refusal::Malformed => {
            Status::invalid_argument("the message is cut off, or is not a protobuf message")
        }
        Refusal::Grows => Status::resource_exhausted(format!(
            "the message of {} bytes would take more than {} bytes when decoded",
            encoded.len(),
            allowance(encoded.len())
        )),
    })
}

/// Why a message is not decoded.
enum Refusal {
    Malformed,
    Grows,
}

struct Budget {
    left: usize,
}

impl Budget {
    fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.left = self.left.checked_sub(bytes).ok_or(Refusal::Grows)?;
        Ok(())
    }
}

/// Wire types, the low three bits of a field's key.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

/// Recurses as deep as the tree of `message`, which is finite and known when this is compiled.
fn walk(message: &'static Message, mut rest: &[u8], budget: &mut Budget) -> Result<(), Refusal> {
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let field = || message.fields.iter().find(|(number, _)| *number == key >> 3).map(|(_, field)| field);
        match key & 7 {
            VARINT => {
                varint(&mut rest)?;
                if let Some(Field::Varints(size)) = field() {
                    budget.take(*size)?;
                }
            }
            FIXED_64 => drop(split(&mut rest, 8)?),
            FIXED_32 => drop(split(&mut rest, 4)?),
            DELIMITED => {
                let length = usize::try_from(varint(&mut rest)?).map_err(|_| Refusal::Malformed)?;
                let payload = split(&mut rest, length)?;
                match field() {
                    None => {}
                    Some(Field::Nested(size, nested)) => {
                        budget.take(*size)?;
                        walk(nested, payload, budget)?;
                    }
                    Some(Field::Text(size)) => budget.take(size.saturating_add(length))?,
                    Some(Field::Varints(size)) => budget.take(length.saturating_mul(*size))?,
                }
            }
            // Groups, which no message here has.
            _ => return Err(Refusal::Malformed),
        }
    }
    Ok(())
}

fn split<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Refusal> {
    let (head, tail) = rest.split_at_checked(length).ok_or(Refusal::Malformed)?;
    *rest = tail;
    Ok(head)
}

fn varint(rest: &mut &[u8]) -> Result<u64, Refusal> {
    // Of one byte, nearly always.
    if let [byte, tail @ ..] = *rest
        && *byte < 0x80
    {
        *rest = tail;
        return Ok(u64::from(*byte));
    }
    prost::encoding::decode_varint(rest).map_err(|_| Refusal::Malformed)
}

#[cfg(test)]
mod tests;
