//! Where the elements of a tensor gather as they are read.

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};
use jiter::Peek;
use salver_core_status::Status;
use salver_core_tensor::{Shape, Strings, Tensor};

use crate::number::Number;
use crate::reader::Reader;

/// The key of an object that stands for a string of bytes.
pub(crate) const BASE64_KEY: &str = "b64";

/// With or without padding at the end, and whatever the bits are that the last symbol has too many, as TensorFlow
/// Serving reads it.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Takes elements one by one, and becomes a tensor.
pub(crate) trait Elements {
    /// Reads one more element.
    fn read(&mut self, reader: &mut Reader<'_>, peek: Peek) -> Result<(), Status>;

    /// Makes room for so many more.
    fn reserve(&mut self, additional: usize);

    /// How many there are.
    fn count(&self) -> usize;

    /// The tensor of all of them.
    fn into_tensor(self, shape: Shape) -> Result<Tensor, Status>;
}

impl<T: Number> Elements for Vec<T> {
    fn read(&mut self, reader: &mut Reader<'_>, peek: Peek) -> Result<(), Status> {
        self.push(T::read(reader, peek)?);
        Ok(())
    }

    fn reserve(&mut self, additional: usize) {
        Vec::reserve(self, additional);
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn into_tensor(self, shape: Shape) -> Result<Tensor, Status> {
        Ok(Tensor::from_vec(shape, self)?)
    }
}

/// Strings in one buffer, and the start and length of each.
#[derive(Default)]
pub(crate) struct StringElements {
    buffer: Vec<u8>,
    spans: Vec<(usize, usize)>,
}

impl Elements for StringElements {
    fn read(&mut self, reader: &mut Reader<'_>, peek: Peek) -> Result<(), Status> {
        let start = self.buffer.len();
        match peek {
            Peek::Object => read_base64(reader, peek, &mut self.buffer)?,
            _ => reader.string(peek, |text| self.buffer.extend_from_slice(text.as_bytes()))?,
        }
        self.spans.push((start, self.buffer.len() - start));
        Ok(())
    }

    fn reserve(&mut self, additional: usize) {
        self.spans.reserve(additional);
    }

    fn count(&self) -> usize {
        self.spans.len()
    }

    fn into_tensor(self, shape: Shape) -> Result<Tensor, Status> {
        let strings = Strings::from_spans(self.buffer.into(), self.spans)?;
        Ok(Tensor::from_strings(shape, strings)?)
    }
}

/// Reads `{"b64": "..."}` to the end of `buffer`.
pub(crate) fn read_base64(reader: &mut Reader<'_>, peek: Peek, buffer: &mut Vec<u8>) -> Result<(), Status> {
    let at = reader.position();
    let wrong = |what: &str| {
        Status::invalid_argument(format!(
            "the object at byte {at} is no string: {what}, wanted {{\"b64\": text}}"
        ))
    };
    match reader.enter_object(peek, |key| key == BASE64_KEY)? {
        Some(true) => {}
        Some(false) => return Err(wrong("it has another key")),
        None => return Err(wrong("it is empty")),
    }
    let peek = reader.peek()?;
    let decoded = reader.string(peek, |text| decode_base64(text, buffer))?;
    decoded.map_err(|error| {
        Status::invalid_argument(format!("the object at byte {at} is not valid base64: {error}"))
    })?;
    match reader.next_key(|_| ())? {
        None => Ok(()),
        Some(()) => Err(wrong("it has more keys")),
    }
}

/// Decodes `text` to the end of `buffer`. White space is passed over, as in TensorFlow Serving: MIME encoders break lines.
fn decode_base64(text: &str, buffer: &mut Vec<u8>) -> Result<(), DecodeError> {
    let start = buffer.len();
    BASE64.decode_vec(text, buffer).or_else(|error| {
        buffer.truncate(start);
        if !text.contains(|symbol: char| symbol.is_ascii_whitespace()) {
            return Err(error);
        }
        let symbols: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        BASE64.decode_vec(symbols, buffer)
    })
}
