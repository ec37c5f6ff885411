//! ONNX models. They are written as they are made: one larger than memory is no trouble.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::protobuf::Message;
use crate::{LAYER_BYTES, WIDTH, between, matrix, weights};

/// Writes an ONNX model with at least `weight_bytes` of weights to `path`, and to the disk: its pages can be dropped from the
/// system's cache at once.
///
/// # Errors
/// As the file system has them.
pub fn write_model(path: &Path, weight_bytes: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    model(&mut file, weight_bytes.div_ceil(LAYER_BYTES).max(1))?;
    file.into_inner()?.sync_all()
}

/// Numbers of fields are those of `onnx/onnx.proto`.
fn model(out: &mut impl Write, layers: u64) -> io::Result<()> {
    let graph = graph(layers);
    let initializers: Vec<_> = (0..layers).map(initializer).collect();
    let size = |head: &Message| Message::field_length(5, head.len() + LAYER_BYTES);
    let graph_length = graph.len() + initializers.iter().map(size).sum::<u64>();

    let mut model = Message::default();
    let mut operators = Message::default();
    operators.bytes(1, b"").integer(2, 17);
    model.integer(1, 8).message(8, &operators).length(7, graph_length);
    out.write_all(model.as_bytes())?;
    out.write_all(graph.as_bytes())?;
    for (layer, head) in (0..layers).zip(&initializers) {
        let mut field = Message::default();
        field.length(5, head.len() + LAYER_BYTES);
        out.write_all(field.as_bytes())?;
        out.write_all(head.as_bytes())?;
        weights(out, layer)?;
    }
    Ok(())
}

/// A `GraphProto` without its initializers: `y = x W0 W1 ...`.
fn graph(layers: u64) -> Message {
    let mut graph = Message::default();
    let between = |layer| between(layer, layers);
    for layer in 0..layers {
        let mut node = Message::default();
        node.text(1, &between(layer)).text(1, &matrix(layer)).text(2, &between(layer + 1)).text(4, "MatMul");
        graph.message(1, &node);
    }
    graph.text(2, "weights").message(11, &value("x")).message(12, &value("y"));
    graph
}

/// A `ValueInfoProto`: FP32 `[n, WIDTH]`.
fn value(name: &str) -> Message {
    let (mut rows, mut columns, mut shape) = (Message::default(), Message::default(), Message::default());
    rows.text(2, "n");
    columns.integer(1, WIDTH.into());
    shape.message(1, &rows).message(1, &columns);
    let (mut tensor, mut kind, mut value) = (Message::default(), Message::default(), Message::default());
    tensor.integer(1, FLOAT).message(2, &shape);
    kind.message(1, &tensor);
    value.text(1, name).message(2, &kind);
    value
}

/// `TensorProto.DataType.FLOAT`.
const FLOAT: u64 = 1;

/// A `TensorProto` to where its data begin.
fn initializer(layer: u64) -> Message {
    let mut tensor = Message::default();
    tensor.integer(1, WIDTH.into()).integer(1, WIDTH.into()).integer(2, FLOAT).text(8, &matrix(layer));
    tensor.length(9, LAYER_BYTES);
    tensor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::fields;

    #[test]
    fn a_model_is_as_large_as_was_asked_and_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let wanted = 3 * LAYER_BYTES - 1;
        write_model(&first, wanted).unwrap();
        write_model(&second, wanted).unwrap();
        let bytes = std::fs::read(&first).unwrap();
        assert_eq!(bytes, std::fs::read(&second).unwrap());
        assert!((3 * LAYER_BYTES..3 * LAYER_BYTES + 1000).contains(&(bytes.len() as u64)), "{}", bytes.len());
    }

    #[test]
    fn every_length_that_is_announced_is_true() {
        let mut bytes = Vec::new();
        model(&mut bytes, 2).unwrap();
        let (_, graph) = fields(&bytes).into_iter().find(|(field, _)| *field == 7).unwrap();
        let tensors: Vec<_> =
            fields(graph).into_iter().filter(|(field, _)| *field == 5).map(|(_, bytes)| bytes).collect();
        let data = tensors.iter().map(|tensor| {
            fields(tensor).into_iter().find(|(field, _)| *field == 9).map(|(_, data)| data.len() as u64)
        });
        assert!(data.eq([Some(LAYER_BYTES); 2]), "{} tensors", tensors.len());
    }
}
