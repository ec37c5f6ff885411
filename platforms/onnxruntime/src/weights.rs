//! How large a model's weights are, by what its file declares of them, without loading it.
//!
//! The file is a protobuf message of `onnx.proto`, of which this reads the few fields that say so; the weights
//! themselves are passed over.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Error, ErrorKind, Seek};
use std::path::Path;

/// Weights smaller than this come from the allocator's heap, where what is freed stays for later.
const SMALL: u64 = 1 << 20;

/// Graphs lie within nodes of graphs, as the branches of an `If`; deeper is no model.
const DEPTH_LIMIT: u32 = 16;

/// What a model's file declares. Sums stay at the most that 64 bits hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weights {
    /// Bytes of weights of 16-bit floats.
    pub(crate) half: u64,
    /// Bytes of all others.
    pub(crate) other: u64,
    /// Bytes of the largest.
    pub(crate) largest: u64,
    /// Bytes of those that are small and lie in the model's own file.
    pub(crate) small: u64,
    /// How many weights and operators there are.
    pub(crate) pieces: u64,
}

/// What the model's file declares of its weights, wherever they are.
///
/// # Errors
/// Where the file cannot be read; of kind `InvalidData` where it is no ONNX model.
pub(crate) fn weights(file: &Path) -> io::Result<Weights> {
    let file = File::open(file)?;
    let size = file.metadata()?.len();
    let mut reader = Reader { input: BufReader::new(file), at: 0, weights: Weights::default() };
    reader.model(size)?;
    Ok(reader.weights)
}

struct Reader<R> {
    input: R,
    /// How many bytes were read or passed over.
    at: u64,
    weights: Weights,
}

/// The value of a field.
enum Value {
    Number(u64),
    /// So many bytes, which follow: a message or an array.
    Bytes(u64),
    /// A number of a width of its own, which was passed over.
    Other,
}

impl<R: BufRead + Seek> Reader<R> {
    /// `ModelProto`.
    fn model(&mut self, size: u64) -> io::Result<()> {
        let mut has_graph = false;
        self.fields(size, |reader, number, value| match (number, value) {
            (7, Value::Bytes(size)) => {
                has_graph = true;
                reader.graph(size, 0)
            }
            (_, value) => reader.pass(value),
        })?;
        if has_graph { Ok(()) } else { Err(invalid("there is no graph")) }
    }

    /// `GraphProto`: nodes and initialisers.
    fn graph(&mut self, size: u64, depth: u32) -> io::Result<()> {
        if depth > DEPTH_LIMIT {
            return Err(invalid("graphs lie too deep within graphs"));
        }
        self.fields(size, |reader, number, value| match (number, value) {
            (1, Value::Bytes(size)) => reader.node(size, depth),
            (5, Value::Bytes(size)) => reader.tensor(size),
            (_, value) => reader.pass(value),
        })
    }

    /// `NodeProto`: attributes, which hold tensors and graphs.
    fn node(&mut self, size: u64, depth: u32) -> io::Result<()> {
        self.weights.pieces = self.weights.pieces.saturating_add(1);
        self.fields(size, |reader, number, value| match (number, value) {
            (5, Value::Bytes(size)) => {
                reader.fields(size, |reader, number, value| match (number, value) {
                    // `AttributeProto`: `t` and `tensors`, `g` and `graphs`.
                    (5 | 10, Value::Bytes(size)) => reader.tensor(size),
                    (6 | 11, Value::Bytes(size)) => reader.graph(size, depth + 1),
                    (_, value) => reader.pass(value),
                })
            }
            (_, value) => reader.pass(value),
        })
    }

    /// `TensorProto`: as many elements as its dimensions say, of the type that it names.
    fn tensor(&mut self, size: u64) -> io::Result<()> {
        let (mut elements, mut element, mut is_external): (u64, _, _) = (1, 0, false);
        self.fields(size, |reader, number, value| match (number, value) {
            (1, Value::Number(dimension)) => {
                elements = elements.saturating_mul(dimension);
                Ok(())
            }
            (1, Value::Bytes(packed)) => {
                let end = reader.at.saturating_add(packed);
                while reader.at < end {
                    elements = elements.saturating_mul(reader.number()?);
                }
                Ok(())
            }
            (2, Value::Number(number)) => {
                element = number;
                Ok(())
            }
            // `data_location`: 1 is a file of its own.
            (14, Value::Number(location)) => {
                is_external = location == 1;
                Ok(())
            }
            (_, value) => reader.pass(value),
        })?;
        let bytes = match element_size(element) {
            Some(width) => elements.saturating_mul(width),
            // Strings, and what a later version of ONNX adds, are as large as what there is of them.
            None => size,
        };
        let weights = &mut self.weights;
        let sum = if matches!(element, FLOAT16 | BFLOAT16) { &mut weights.half } else { &mut weights.other };
        *sum = sum.saturating_add(bytes);
        weights.largest = weights.largest.max(bytes);
        weights.pieces = weights.pieces.saturating_add(1);
        if !is_external && bytes < SMALL {
            weights.small = weights.small.saturating_add(bytes);
        }
        Ok(())
    }

    /// Shows `each` every field of a message of this size. It has to take the bytes of one that has bytes.
    fn fields(
        &mut self,
        size: u64,
        mut each: impl FnMut(&mut Self, u64, Value) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = self.at.saturating_add(size);
        while self.at < end {
            let tag = self.number()?;
            let value = match tag & 7 {
                0 => Value::Number(self.number()?),
                1 => self.pass_over(8).map(|()| Value::Other)?,
                2 => {
                    let size = self.number()?;
                    if size > end.saturating_sub(self.at) {
                        return Err(invalid("a field is longer than what it is in"));
                    }
                    Value::Bytes(size)
                }
                5 => self.pass_over(4).map(|()| Value::Other)?,
                _ => return Err(invalid("a field is of no known kind")),
            };
            each(self, tag >> 3, value)?;
        }
        if self.at == end { Ok(()) } else { Err(invalid("a field ends after what it is in")) }
    }

    /// A number as protobuf writes it: seven bits a byte, the lowest first.
    fn number(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.input.read_exact(&mut byte)?;
            self.at = self.at.saturating_add(1);
            let [byte] = byte;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(invalid("a number has too many bytes"))
    }

    fn pass(&mut self, value: Value) -> io::Result<()> {
        match value {
            Value::Bytes(size) => self.pass_over(size),
            Value::Number(_) | Value::Other => Ok(()),
        }
    }

    fn pass_over(&mut self, size: u64) -> io::Result<()> {
        let offset = i64::try_from(size).map_err(|_| invalid("a field is longer than any file"))?;
        self.input.seek_relative(offset)?;
        self.at = self.at.saturating_add(size);
        Ok(())
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

/// Numbers of `TensorProto.DataType`.
const FLOAT16: u64 = 10;
const BFLOAT16: u64 = 16;

/// How many bytes an element takes in memory; `None` where it has no fixed size.
fn element_size(number: u64) -> Option<u64> {
    Some(match number {
        // 8-bit integers and floats, booleans; and those of 4 bits, of which two share a byte.
        2 | 3 | 9 | 17..=25 => 1,
        4 | 5 | FLOAT16 | BFLOAT16 => 2,
        // FLOAT, INT32, UINT32.
        1 | 6 | 12 => 4,
        // INT64, DOUBLE, UINT64, COMPLEX64.
        7 | 11 | 13 | 14 => 8,
        // COMPLEX128.
        15 => 16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
