//! TensorFlow Serving's classify and regress requests, and what they are answered.
//!
//! Examples are serialised while they are read: no tree of features is kept. As in TensorFlow Serving, keys of the request that
//! nobody knows and bytes after the object are ignored.

use jiter::Peek;
use prost::encoding::{WireType, encode_key, encode_varint};
use salver_core_status::{Quoted, Status};
use salver_core_tensor::Strings;

use crate::element::{BASE64_KEY, read_base64};
use crate::number::Number as _;
use crate::reader::Reader;
use crate::write::{write_base64, write_text};

/// A request about examples.
#[derive(Clone, Debug)]
pub struct ExamplesRequest {
    signature_name: String,
    context: Vec<u8>,
    examples: Strings,
}

/// A key of the request.
#[derive(Clone, Copy)]
enum Key {
    SignatureName,
    Context,
    Examples,
    Other,
}

impl ExamplesRequest {
    /// Reads `body`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: not JSON, not an object, no list of `examples`, or a feature that is no value and no flat list of
    /// values of one kind.
    pub fn read(body: &[u8]) -> Result<Self, Status> {
        let classify = |key: &str| match key {
            "signature_name" => Key::SignatureName,
            "context" => Key::Context,
            "examples" => Key::Examples,
            _ => Key::Other,
        };
        let mut reader = Reader::new(body);
        let (mut signature_name, mut context, mut examples) = (None, None, None);
        let peek = reader.peek()?;
        let mut next = reader.enter_object(peek, classify)?;
        while let Some(key) = next {
            let peek = reader.peek()?;
            let is_second = match key {
                Key::SignatureName => {
                    let name = reader.string(peek, str::to_owned);
                    signature_name
                        .replace(name.map_err(|status| {
                            status.context("'signature_name' key must be a string value")
                        })?)
                        .is_some()
                }
                Key::Context => {
                    let mut writer = ExampleWriter::default();
                    let read = writer.read(&mut reader, peek);
                    read.map_err(|status| status.context("`context`"))?;
                    context.replace(writer.out).is_some()
                }
                Key::Examples => examples.replace(read_examples(&mut reader, peek)?).is_some(),
                Key::Other => {
                    reader.skip(peek)?;
                    false
                }
            };
            if is_second {
                return Err(Status::invalid_argument(format!(
                    "one of `signature_name`, `context` and `examples` is there twice, the second before byte {}",
                    reader.position()
                )));
            }
            next = reader.next_key(classify)?;
        }
        let Some(examples) = examples else {
            return Err(Status::invalid_argument("`examples` is not there, wanted a list of objects"));
        };
        Ok(Self {
            signature_name: signature_name.unwrap_or_default(),
            context: context.unwrap_or_default(),
            examples,
        })
    }

    /// The signature that the request names; empty where it names none.
    pub fn signature_name(&self) -> &str {
        &self.signature_name
    }

    /// The examples, each serialised as a `tensorflow.Example`.
    pub fn examples(&self) -> &Strings {
        &self.examples
    }

    /// The features that examples have beside their own, serialised as a `tensorflow.Example`; empty where there are none.
    pub fn context(&self) -> &[u8] {
        &self.context
    }
}

fn read_examples(reader: &mut Reader<'_>, peek: Peek) -> Result<Strings, Status> {
    let mut writer = ExampleWriter::default();
    let mut spans = Vec::new();
    let mut next = reader.enter_list(peek).map_err(|status| status.context("`examples`"))?;
    while let Some(peek) = next {
        let start = writer.out.len();
        let read = writer.read(reader, peek);
        read.map_err(|status| status.context(format_args!("example {}", spans.len())))?;
        spans.push((start, writer.out.len() - start));
        next = reader.next_item()?;
    }
    if spans.is_empty() {
        return Err(Status::invalid_argument("`examples` is empty, wanted at least one"));
    }
    Ok(Strings::from_spans(writer.out.into(), spans)?)
}

/// Which list of a `tensorflow.Feature` holds its values: the number of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bytes = 1,
    Floats = 2,
    Integers = 3,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "strings",
            Self::Floats => "numbers with a fraction or an exponent",
            Self::Integers => "integers or booleans",
        }
    }
}

/// The only field of `Example`, of `Features`, and of the lists.
const ONLY: u32 = 1;
/// The fields of an entry of a map.
const ENTRY_KEY: u32 = 1;
const ENTRY_VALUE: u32 = 2;

/// Writes objects as `tensorflow.Example` messages, one behind the other.
#[derive(Default)]
struct ExampleWriter {
    out: Vec<u8>,
    /// The encoded features of an example, while it is read.
    features: Vec<u8>,
    /// The values of a feature, while it is read: what the message of their list holds, but for the length of a list of
    /// numbers.
    values: Vec<u8>,
    /// A string.
    string: Vec<u8>,
}

impl ExampleWriter {
    fn read(&mut self, reader: &mut Reader<'_>, peek: Peek) -> Result<(), Status> {
        self.features.clear();
        let mut next = reader.enter_object(peek, str::to_owned)?;
        while let Some(name) = next {
            let peek = reader.peek()?;
            let read = self.read_feature(reader, peek, &name);
            read.map_err(|status| status.context(format_args!("feature {}", Quoted(&name))))?;
            next = reader.next_key(str::to_owned)?;
        }
        if !self.features.is_empty() {
            delimited(ONLY, &self.features, &mut self.out);
        }
        Ok(())
    }

    fn read_feature(&mut self, reader: &mut Reader<'_>, peek: Peek, name: &str) -> Result<(), Status> {
        self.values.clear();
        let mut kind = None;
        if peek == Peek::Array {
            let mut next = reader.enter_list(peek)?;
            while let Some(peek) = next {
                self.read_value(reader, peek, &mut kind)?;
                next = reader.next_item()?;
            }
        } else {
            self.read_value(reader, peek, &mut kind)?;
        }
        // Messages hold their lengths in front: those inside first.
        let values = self.values.len();
        let list = match kind {
            None | Some(Kind::Bytes) => values,
            Some(Kind::Floats | Kind::Integers) => delimited_len(values),
        };
        let feature = kind.map_or(0, |_| delimited_len(list));
        let entry = delimited_len(name.len()) + delimited_len(feature);
        let out = &mut self.features;
        encode_key(ONLY, WireType::LengthDelimited, out);
        encode_varint(entry as u64, out);
        delimited(ENTRY_KEY, name.as_bytes(), out);
        encode_key(ENTRY_VALUE, WireType::LengthDelimited, out);
        encode_varint(feature as u64, out);
        if let Some(kind) = kind {
            encode_key(kind as u32, WireType::LengthDelimited, out);
            encode_varint(list as u64, out);
            match kind {
                Kind::Bytes => out.extend_from_slice(&self.values),
                Kind::Floats | Kind::Integers => delimited(ONLY, &self.values, out),
            }
        }
        Ok(())
    }

    fn read_value(
        &mut self,
        reader: &mut Reader<'_>,
        peek: Peek,
        kind: &mut Option<Kind>,
    ) -> Result<(), Status> {
        let at = reader.position();
        let found = match peek {
            Peek::True | Peek::False => {
                encode_varint(u64::from(reader.boolean(peek)?), &mut self.values);
                Kind::Integers
            }
            Peek::String | Peek::Object => {
                self.string.clear();
                let string = &mut self.string;
                match peek {
                    Peek::Object => read_base64(reader, peek, string)?,
                    _ => reader.string(peek, |text| string.extend_from_slice(text.as_bytes()))?,
                }
                delimited(ONLY, &self.string, &mut self.values);
                Kind::Bytes
            }
            peek if peek.is_num() => match reader.integer(peek).map(i64::try_from) {
                // Negative ones are sign-extended: int64 on the wire.
                Ok(Ok(integer)) => {
                    encode_varint(integer.cast_unsigned(), &mut self.values);
                    Kind::Integers
                }
                Ok(Err(_)) => {
                    let message = format!("the integer at byte {at} is out of the range of INT64");
                    return Err(Status::invalid_argument(message));
                }
                // Not an integer, and not consumed.
                Err(_) => {
                    self.values.extend_from_slice(&f32::read(reader, peek)?.to_le_bytes());
                    Kind::Floats
                }
            },
            _ => {
                return Err(reader.unexpected(
                    peek,
                    &format!("a string, a number, a boolean or {{\"{BASE64_KEY}\": text}}"),
                ));
            }
        };
        let wanted = *kind.get_or_insert(found);
        if wanted != found {
            let (wanted, found) = (wanted.name(), found.name());
            return Err(Status::invalid_argument(format!(
                "its values are {wanted}, found one of {found} at byte {at}: wanted one kind"
            )));
        }
        Ok(())
    }
}

/// Writes a field of bytes or of a message.
fn delimited(field: u32, payload: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

/// How many bytes [`delimited`] writes for so many of a field below 16.
fn delimited_len(payload: usize) -> usize {
    1 + prost::encoding::encoded_len_varint(payload as u64) + payload
}

/// Writes the classes of examples: of each a list of pairs, of label and score. Labels that are not UTF-8 are written as
/// `{"b64": ...}`.
pub fn write_classification<'a, Row>(rows: impl Iterator<Item = Row>) -> Vec<u8>
where
    Row: Iterator<Item = (&'a [u8], f32)>,
{
    results(rows, |out, row| {
        out.push(b'[');
        for (index, (label, score)) in row.enumerate() {
            out.extend_from_slice(if index == 0 { b"[" } else { b",[" });
            match std::str::from_utf8(label) {
                Ok(text) => write_text(out, text),
                Err(_) => write_base64(out, label),
            }
            out.push(b',');
            score.write(out);
            out.push(b']');
        }
        out.push(b']');
    })
}

/// Writes the values of examples.
pub fn write_regression(values: &[f32]) -> Vec<u8> {
    results(values.iter(), |out, value| value.write(out))
}

fn results<T>(of: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) -> Vec<u8> {
    let mut out = b"{\"results\":[".to_vec();
    for (index, one) in of.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(&mut out, one);
    }
    out.extend_from_slice(b"]}");
    out
}

#[cfg(test)]
mod tests;
