//! As much of the wire format of protobuf as a model takes.

/// The fields of a message, encoded.
#[derive(Debug, Default)]
pub(crate) struct Message(Vec<u8>);

/// The wire types of numbers and of what has a length.
const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

impl Message {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// In bytes.
    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn integer(&mut self, field: u64, value: u64) -> &mut Self {
        self.varint(field << 3 | VARINT).varint(value)
    }

    pub(crate) fn text(&mut self, field: u64, text: &str) -> &mut Self {
        self.bytes(field, text.as_bytes())
    }

    pub(crate) fn message(&mut self, field: u64, message: &Message) -> &mut Self {
        self.bytes(field, message.as_bytes())
    }

    pub(crate) fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.length(field, bytes.len() as u64).0.extend_from_slice(bytes);
        self
    }

    /// Announces so many bytes, which follow elsewhere.
    pub(crate) fn length(&mut self, field: u64, length: u64) -> &mut Self {
        self.varint(field << 3 | LENGTH_DELIMITED).varint(length)
    }

    /// What a field of so many bytes takes.
    pub(crate) fn field_length(field: u64, length: u64) -> u64 {
        Self::default().length(field, length).len() + length
    }

    fn varint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }
}

/// The fields of a message that have a length; the others are passed over.
#[cfg(test)]
pub(crate) fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = read_varint(&mut message);
        let value = read_varint(&mut message);
        if tag & 7 == LENGTH_DELIMITED {
            let (bytes, rest) = message.split_at(value as usize);
            found.push((tag >> 3, bytes));
            message = rest;
        } else {
            assert_eq!(tag & 7, VARINT);
        }
    }
    found
}

#[cfg(test)]
fn read_varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for place in 0.. {
        let (first, rest) = message.split_first().unwrap();
        *message = rest;
        value |= u64::from(first & 0x7F) << (7 * place);
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}
