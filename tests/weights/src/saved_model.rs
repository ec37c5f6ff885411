//! SavedModels of TensorFlow 1's kind: a graph of constants, without variables.

use std::fs;
use std::io;
use std::path::Path;

use crate::protobuf::Message;
use crate::{WIDTH, all_weights, between, matrix};

/// `DT_FLOAT` of `tensorflow/core/framework/types.proto`.
const FLOAT: u64 = 1;

/// Of any size: -1, as protobuf writes negative numbers.
const ANY: u64 = u64::MAX;

/// Writes a SavedModel of `layers` matrices into the folder `directory`, which is made.
///
/// # Errors
/// As the file system has them.
pub fn write_saved_model(directory: &Path, layers: u64) -> io::Result<()> {
    let meta_graph = meta_graph(&all_weights(layers)?, layers);
    let mut model = Message::default();
    model.integer(1, 1).message(2, &meta_graph);
    // Where a SavedModel keeps its variables, if it has any.
    fs::create_dir_all(directory.join("variables"))?;
    fs::write(directory.join("saved_model.pb"), model.as_bytes())
}

/// A `MetaGraphDef`; numbers of fields are those of `tensorflow/core/protobuf/meta_graph.proto`.
fn meta_graph(weights: &[Vec<u8>], layers: u64) -> Message {
    let mut information = Message::default();
    information.text(4, "serve");
    let mut signature = Message::default();
    signature.message(1, &entry("x", &tensor_info("x:0")));
    signature.message(2, &entry("y", &tensor_info(&format!("{}:0", between(layers, layers)))));
    signature.text(3, "tensorflow/serving/predict");
    let mut meta_graph = Message::default();
    meta_graph.message(1, &information).message(2, &graph(weights, layers));
    meta_graph.message(5, &entry("serving_default", &signature));
    meta_graph
}

/// An entry of a map.
fn entry(key: &str, value: &Message) -> Message {
    let mut entry = Message::default();
    entry.text(1, key).message(2, value);
    entry
}

/// A `TensorInfo`.
fn tensor_info(name: &str) -> Message {
    let mut info = Message::default();
    info.text(1, name).integer(2, FLOAT).message(3, &shape(&[ANY, WIDTH.into()]));
    info
}

/// A `TensorShapeProto`.
fn shape(sizes: &[u64]) -> Message {
    let mut shape = Message::default();
    for size in sizes {
        let mut dimension = Message::default();
        dimension.integer(1, *size);
        shape.message(2, &dimension);
    }
    shape
}

/// A `GraphDef`: `y = x W0 W1 ...`; numbers of fields are those of `tensorflow/core/framework/`.
fn graph(weights: &[Vec<u8>], layers: u64) -> Message {
    let (mut float, mut sizes) = (Message::default(), Message::default());
    float.integer(6, FLOAT);
    sizes.message(7, &shape(&[ANY, WIDTH.into()]));
    let mut graph = Message::default();
    graph.message(1, &node("x", "Placeholder", &[], &[("dtype", &float), ("shape", &sizes)]));
    for (layer, elements) in (0..layers).zip(weights) {
        let (mut tensor, mut value) = (Message::default(), Message::default());
        tensor.integer(1, FLOAT).message(2, &shape(&[WIDTH.into(), WIDTH.into()])).bytes(4, elements);
        value.message(8, &tensor);
        let (matrix, input) = (matrix(layer), between(layer, layers));
        graph.message(1, &node(&matrix, "Const", &[], &[("dtype", &float), ("value", &value)]));
        let product = between(layer + 1, layers);
        graph.message(1, &node(&product, "MatMul", &[&input, &matrix], &[("T", &float)]));
    }
    let mut versions = Message::default();
    // `TF_GRAPH_DEF_VERSION` of TensorFlow 2.4; later ones read it.
    versions.integer(1, 561);
    graph.message(4, &versions);
    graph
}

/// A `NodeDef`.
fn node(name: &str, operator: &str, inputs: &[&str], attributes: &[(&str, &Message)]) -> Message {
    let mut node = Message::default();
    node.text(1, name).text(2, operator);
    for input in inputs {
        node.text(3, input);
    }
    for (key, value) in attributes {
        node.message(5, &entry(key, value));
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LAYER_BYTES;
    use crate::protobuf::fields;

    /// The fields of this number.
    fn of(message: &[u8], wanted: u64) -> Vec<Vec<u8>> {
        let found = fields(message).into_iter().filter(|(field, _)| *field == wanted);
        found.map(|(_, bytes)| bytes.to_vec()).collect()
    }

    #[test]
    fn there_is_an_input_and_a_matrix_and_a_product_for_each_layer() {
        let folder = tempfile::tempdir().unwrap();
        write_saved_model(folder.path(), 2).unwrap();
        let bytes = fs::read(folder.path().join("saved_model.pb")).unwrap();
        assert!(bytes.len() as u64 > 2 * LAYER_BYTES);
        let graph = of(&of(&bytes, 2)[0], 2).remove(0);
        let nodes = of(&graph, 1);
        let names = nodes.iter().map(|node| String::from_utf8(of(node, 1).remove(0)).unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["x", "w0", "h1", "w1", "y"]);
    }
}
