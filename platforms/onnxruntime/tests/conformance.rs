//! ONNX Runtime does what every platform must. Alone in its process, whose threads and memory are looked at.
#![cfg(test)]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{library, options};
use salver_core_platform::Options;
use salver_core_tensor::DType;
use salver_platforms_conformance::{Subject, exceptions};
use salver_platforms_onnxruntime::{LibrarySearch, OnnxRuntime};

/// The number of `TensorProto.DataType` of an element type; none for those that ONNX has not, or ONNX Runtime does not
/// carry as they are.
fn number_of(dtype: DType) -> Option<u8> {
    Some(match dtype {
        DType::F32 => 1,
        DType::U8 => 2,
        DType::I8 => 3,
        DType::U16 => 4,
        DType::I16 => 5,
        DType::I32 => 6,
        DType::I64 => 7,
        DType::String => 8,
        DType::Bool => 9,
        DType::F16 => 10,
        DType::F64 => 11,
        DType::U32 => 12,
        DType::U64 => 13,
        DType::BF16 => 16,
        DType::F8E4M3FN => 17,
        DType::F8E4M3FNUZ => 18,
        DType::F8E5M2 => 19,
        DType::F8E5M2FNUZ => 20,
        _ => return None,
    })
}

/// A field of a protobuf message that is a number below 128.
fn small(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

/// A field of a protobuf message that is a message or a text.
fn nested(field: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let inner = parts.concat();
    let length = u8::try_from(inner.len() & 0x7F).unwrap();
    // A length of two bytes, however small: a varint may have zeros at its end.
    let more = u8::try_from(inner.len() >> 7).unwrap();
    [vec![field << 3 | 2, length | 0x80, more], inner].concat()
}

fn text(field: u8, text: &str) -> Vec<u8> {
    nested(field, &[text.as_bytes().to_vec()])
}

/// A `ModelProto` of one `Identity`; numbers of fields are those of `onnx/onnx.proto`.
fn identity(dtype: DType, dims: &[i64], directory: &Path) -> std::io::Result<Option<Options>> {
    let Some(number) = number_of(dtype) else {
        return Ok(None);
    };
    let shape: Vec<_> = dims
        .iter()
        .map(|dim| nested(1, &u8::try_from(*dim).map(|size| small(1, size)).into_iter().collect::<Vec<_>>()))
        .collect();
    let port = |field, name| {
        let tensor = nested(1, &[small(1, number), nested(2, &shape)]);
        nested(field, &[text(1, name), nested(2, &[tensor])])
    };
    let node = nested(1, &[text(1, "x"), text(2, "y"), text(4, "Identity")]);
    let graph = nested(7, &[node, text(2, "g"), port(11, "x"), port(12, "y")]);
    let model = [small(1, 10), nested(8, &[small(2, 21)]), graph].concat();
    std::fs::write(directory.join("model.onnx"), model)?;
    Ok(Some(Options::new()))
}

#[test]
fn onnx_runtime_does_what_every_platform_must() {
    let Some(library) = library() else { return };
    const THREADS: usize = 2;
    let platform = OnnxRuntime::new(LibrarySearch::new()).with_threads(THREADS);
    let subject = Subject {
        options: options(&library),
        identity: Some(&identity),
        ..Subject::new(Arc::new(platform), THREADS)
    };
    assert_eq!(exceptions(&subject), [""; 0]);
}
