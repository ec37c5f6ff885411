//! Messages of every shape, sound and not.

use super::*;
use proptest::prelude::*;
use std::io::Cursor;

fn read(bytes: &[u8]) -> io::Result<Weights> {
    let mut reader = Reader { input: Cursor::new(bytes), at: 0, weights: Weights::default() };
    reader.model(bytes.len() as u64).map(|()| reader.weights)
}

fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field that is a number.
fn of(field: u64, value: u64) -> Vec<u8> {
    [number(field << 3), number(value)].concat()
}

/// A field that is a message, a text or an array.
fn with(field: u64, parts: &[Vec<u8>]) -> Vec<u8> {
    let inner = parts.concat();
    [number(field << 3 | 2), number(inner.len() as u64), inner].concat()
}

fn model(graph: &[Vec<u8>]) -> Vec<u8> {
    // The version of the format, and a producer.
    [of(1, 10), with(2, &[b"test".to_vec()]), with(7, graph)].concat()
}

/// The parts of a tensor of this element type.
fn tensor(element: u64, dims: &[u64]) -> Vec<Vec<u8>> {
    let dims = dims.iter().map(|dim| of(1, *dim));
    dims.chain([of(2, element), with(8, &[b"w".to_vec()])]).collect()
}

fn node(attribute: &[Vec<u8>]) -> Vec<u8> {
    with(1, &[with(1, &[b"x".to_vec()]), with(5, attribute), with(4, &[b"If".to_vec()])])
}

#[test]
fn weights_count_by_type_and_size_wherever_they_are() {
    let external = [tensor(1, &[2048, 2048]), vec![of(14, 1)]].concat();
    let constant = node(&[with(5, &tensor(7, &[3]))]);
    let packed = vec![with(1, &[number(300), number(2)]), of(2, FLOAT16)];
    let branch = node(&[with(6, &[with(5, &tensor(BFLOAT16, &[5, 5])), node(&[])])]);
    let graph = [with(5, &external), constant, with(5, &packed), branch, with(5, &tensor(1, &[])), node(&[])];
    let wanted = Weights {
        half: 300 * 2 * 2 + 5 * 5 * 2,
        other: (16 << 20) + 3 * 8 + 4,
        largest: 16 << 20,
        small: 3 * 8 + 300 * 2 * 2 + 5 * 5 * 2 + 4,
        pieces: 5 + 4,
    };
    assert_eq!(read(&model(&graph)).unwrap(), wanted);
}

#[test]
fn an_array_of_strings_is_as_large_as_it_is() {
    let strings = [tensor(8, &[2]), vec![with(6, &[vec![b'a'; 1000]])]].concat();
    let weights = read(&model(&[with(5, &strings)])).unwrap();
    assert!((1000..1100).contains(&weights.other), "{weights:?}");
}

#[test]
fn the_files_of_the_tests_are_read() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let found = weights(&fixtures.join("external/model.onnx")).unwrap();
    assert_eq!((found.other, found.half, found.small), (4 * 4, 0, 0));
    let found = weights(&fixtures.join("identity/FP16.onnx")).unwrap();
    assert_eq!((found.other, found.half, found.pieces), (0, 0, 1));
}

#[test]
fn what_is_no_model_is_told_apart_from_one() {
    let weights = with(5, &tensor(1, &[u64::MAX, 3]));
    assert_eq!(read(&model(std::slice::from_ref(&weights))).unwrap().other, u64::MAX);
    let cut = model(&[weights]);
    assert!(read(&cut[..cut.len() - 3]).is_err());
    assert!(read(&[]).is_err());
    assert!(read(b"not a model").is_err());
    let mut deep = Vec::new();
    for _ in 0..100 {
        deep = node(&[with(6, &[deep])]);
    }
    assert!(read(&model(&[deep])).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let _ = read(&model(&[bytes]));
    }

    #[test]
    fn a_damaged_model_is_read_or_refused(at in 0usize..200, to in any::<u8>()) {
        let mut bytes = model(&[with(5, &tensor(1, &[4, 4])), node(&[with(5, &tensor(10, &[7]))])]);
        let at = at % bytes.len();
        bytes[at] = to;
        let _ = read(&bytes);
    }
}
