//! Tensors of every type and rank, against a model that goes through them element by element.

use proptest::prelude::*;
use salver_core_status::Code;
use salver_core_tensor::{DType, Shape, Strings, Tensor, bf16, f16};

use crate::{PadValue, join, joined_shape, rejoin, rows, split, trim};

/// A tensor as its element at each index.
#[derive(Clone, Debug, PartialEq)]
struct Naive {
    dims: Vec<usize>,
    elements: Vec<Vec<u8>>,
}

impl Naive {
    fn of(tensor: &Tensor) -> Self {
        let dims = tensor.shape().dims().iter().map(|dim| *dim as usize).collect();
        let elements = match (tensor.fixed(), tensor.strings()) {
            (Some(bytes), _) => bytes.chunks(tensor.dtype().size().unwrap()).map(<[u8]>::to_vec).collect(),
            (_, Some(strings)) => strings.view().iter().map(<[u8]>::to_vec).collect(),
            _ => unreachable!(),
        };
        Self { dims, elements }
    }

    /// A tensor of these sizes whose element at each index is what `at` says.
    fn build(dims: &[usize], at: impl Fn(&[usize]) -> Vec<u8>) -> Self {
        let mut elements = Vec::new();
        for flat in 0..dims.iter().product() {
            let mut rest: usize = flat;
            let mut index: Vec<usize> = dims
                .iter()
                .rev()
                .map(|size| {
                    let here = rest % size;
                    rest /= size;
                    here
                })
                .collect();
            index.reverse();
            elements.push(at(&index));
        }
        Self { dims: dims.to_vec(), elements }
    }

    fn get(&self, index: &[usize]) -> Option<&Vec<u8>> {
        let mut flat = 0;
        for (here, size) in index.iter().zip(&self.dims) {
            if here >= size {
                return None;
            }
            flat = flat * size + here;
        }
        self.elements.get(flat)
    }
}

fn naive_join(parts: &[Naive], rows: usize, own_first: bool, number: &[u8]) -> Naive {
    let mut dims = parts[0].dims.clone();
    for part in parts {
        dims = dims.iter().zip(&part.dims).map(|(one, other)| *one.max(other)).collect();
    }
    let row_of: Vec<(usize, usize)> =
        parts.iter().enumerate().flat_map(|(at, part)| (0..part.dims[0]).map(move |row| (at, row))).collect();
    dims[0] = row_of.len().max(rows);
    let last = parts.iter().rposition(|part| part.dims[0] > 0);
    Naive::build(&dims, |index| {
        let Some((at, row)) = row_of.get(index[0]).copied().or(last.map(|last| (last, 0))) else {
            return number.to_vec();
        };
        let part = &parts[at];
        let own: Vec<usize> = [row].into_iter().chain(index[1..].iter().copied()).collect();
        let fill = if own_first { part.elements.first() } else { None };
        part.get(&own).or(fill).cloned().unwrap_or_else(|| number.to_vec())
    })
}

fn dtypes() -> impl Strategy<Value = DType> {
    prop::sample::select(DType::ALL.to_vec())
}

/// A tensor whose elements come from `seed`, so that a failure is short to read.
fn tensor(dtype: DType, dims: &[i64], seed: u8) -> Tensor {
    let shape = Shape::new(dims).unwrap();
    let count = shape.element_count();
    let byte = |at: usize| (at as u8).wrapping_mul(7).wrapping_add(seed);
    match dtype.size() {
        Some(size) if dtype == DType::Bool => {
            let bytes: Vec<u8> = (0..count * size).map(|at| byte(at) >> 3 & 1).collect();
            Tensor::from_bytes(dtype, shape, bytes.into()).unwrap()
        }
        Some(size) => {
            let bytes: Vec<u8> = (0..count * size).map(byte).collect();
            Tensor::from_bytes(dtype, shape, bytes.into()).unwrap()
        }
        None => {
            let strings: Strings = (0..count).map(|at| vec![byte(at); at % 4]).collect();
            Tensor::from_strings(shape, strings).unwrap()
        }
    }
}

/// Tensors that differ in dimension 0 alone.
fn alike() -> impl Strategy<Value = Vec<Tensor>> {
    let inner = prop::collection::vec(0i64..4, 0..5);
    (dtypes(), inner, prop::collection::vec((0i64..4, any::<u8>()), 1..6)).prop_map(
        |(dtype, inner, parts)| {
            let whole = |rows| [rows].into_iter().chain(inner.iter().copied()).collect::<Vec<_>>();
            parts.into_iter().map(|(rows, seed)| tensor(dtype, &whole(rows), seed)).collect()
        },
    )
}

/// Tensors of one type and rank.
fn ragged() -> impl Strategy<Value = Vec<Tensor>> {
    (dtypes(), 1usize..6).prop_flat_map(|(dtype, rank)| {
        let part = (prop::collection::vec(0i64..4, rank), any::<u8>());
        prop::collection::vec(part.prop_map(move |(dims, seed)| tensor(dtype, &dims, seed)), 1..5)
    })
}

proptest! {
    #[test]
    fn what_is_joined_and_split_is_what_it_was(parts in alike(), more in 0usize..4) {
        let sizes: Vec<usize> = parts.iter().map(|part| rows(part).unwrap()).collect();
        let all = sizes.iter().sum::<usize>() + more;
        let joined = join("x", &parts.iter().collect::<Vec<_>>(), all, None).unwrap();
        prop_assert_eq!(rows(&joined), Some(all));
        prop_assert_eq!(&split("x", &joined, all, &sizes).unwrap(), &parts);
        let unpadded = rejoin("x", &parts, None).unwrap();
        prop_assert_eq!(split("x", &unpadded, all - more, &sizes).unwrap(), parts);
    }

    #[test]
    fn joining_is_what_going_through_every_index_gives(parts in ragged(), more in 0usize..6, zero: bool) {
        let naive: Vec<Naive> = parts.iter().map(Naive::of).collect();
        let size = parts[0].dtype().size().unwrap_or(0);
        let pad = if zero { PadValue::Zero } else { PadValue::FirstElement };
        let views: Vec<&Tensor> = parts.iter().collect();
        let joined = join("x", &views, more, Some(pad)).unwrap();
        prop_assert_eq!(Naive::of(&joined), naive_join(&naive, more, !zero, &vec![0; size]));
        prop_assert_eq!(joined.shape(), &joined_shape("x", &views, more, true).unwrap());
    }

    #[test]
    fn what_is_padded_split_and_trimmed_is_what_it_was(parts in ragged(), more in 0usize..4, number in any::<f64>()) {
        let sizes: Vec<usize> = parts.iter().map(|part| rows(part).unwrap()).collect();
        let all = sizes.iter().sum::<usize>() + more;
        let joined = join("x", &parts.iter().collect::<Vec<_>>(), all, Some(PadValue::Number(number))).unwrap();
        for (padded, part) in split("x", &joined, all, &sizes).unwrap().iter().zip(&parts) {
            prop_assert_eq!(&trim("x", padded, part.shape()).unwrap(), part);
        }
    }

    #[test]
    fn no_shapes_panic(dims in prop::collection::vec(prop::collection::vec(0i64..1 << 40, 0..3), 0..4), rows: usize, pads: bool) {
        // Shapes without elements can be as large as they like.
        let parts: Vec<Tensor> = dims
            .into_iter()
            .filter_map(|mut dims| {
                dims.push(0);
                Tensor::from_vec::<u8>(Shape::new(&dims).ok()?, Vec::new()).ok()
            })
            .collect();
        let shape = joined_shape("x", &parts.iter().collect::<Vec<_>>(), rows, pads);
        if shape.is_ok_and(|shape| shape.element_count() < 1 << 20) {
            let joined = join("x", &parts.iter().collect::<Vec<_>>(), rows, pads.then_some(PadValue::Zero));
            prop_assert!(joined.is_ok());
        }
        let _ = rejoin("x", &parts, None);
        for part in &parts {
            let _ = split("x", part, rows, &[rows, rows, 3]);
            let _ = trim("x", part, parts[0].shape());
        }
    }
}

#[test]
fn one_tensor_that_stands_alone_is_not_copied() {
    let alone = tensor(DType::F32, &[3, 2], 1);
    let joined = join("x", &[&alone], 3, Some(PadValue::Zero)).unwrap();
    assert_eq!(joined.fixed().unwrap().as_ptr(), alone.fixed().unwrap().as_ptr());
}

#[test]
fn parts_lie_in_the_memory_of_the_whole() {
    let whole = tensor(DType::I64, &[4, 2], 1);
    let parts = split("x", &whole, 4, &[1, 2]).unwrap();
    let start = whole.fixed().unwrap().as_ptr().addr();
    assert_eq!(parts[1].fixed().unwrap().as_ptr().addr(), start + 16);
    let strings = tensor(DType::String, &[4, 2], 1);
    let parts = split("x", &strings, 4, &[1, 2]).unwrap();
    let buffer = strings.strings().unwrap().buffer().as_ptr();
    assert_eq!(parts[1].strings().unwrap().buffer().as_ptr(), buffer);
    let trimmed = trim("x", &strings, &Shape::new(&[2, 1]).unwrap()).unwrap();
    assert_eq!(trimmed.strings().unwrap().buffer().as_ptr(), buffer);
    let trimmed = trim("x", &whole, &Shape::new(&[2, 2]).unwrap()).unwrap();
    assert_eq!(trimmed.fixed().unwrap().as_ptr().addr(), start);
}

#[test]
fn padding_of_strings_adds_no_bytes() {
    let (short, long) = (tensor(DType::String, &[1, 2], 5), tensor(DType::String, &[1, 7], 5));
    let joined = join("x", &[&short, &long], 9, Some(PadValue::FirstElement)).unwrap();
    let bytes = |tensor: &Tensor| tensor.strings().unwrap().view().total_bytes();
    assert_eq!(joined.strings().unwrap().buffer().len(), bytes(&short) + bytes(&long));
}

#[test]
fn a_pad_value_is_rounded_to_the_element_type() {
    let padded = |dtype, number| {
        let (one, two) = (tensor(dtype, &[1, 1], 0), tensor(dtype, &[1, 2], 0));
        let joined = join("x", &[&one, &two], 0, Some(PadValue::Number(number))).unwrap();
        let size = dtype.size().unwrap();
        joined.fixed().unwrap()[size..2 * size].to_vec()
    };
    assert_eq!(padded(DType::I32, -1.5), (-1i32).to_le_bytes());
    assert_eq!(padded(DType::QU8, 300.0), [255]);
    assert_eq!(padded(DType::U64, f64::NAN), [0; 8]);
    assert_eq!(padded(DType::Bool, 0.5), [1]);
    assert_eq!(padded(DType::F16, 0.1), f16::from_f64(0.1).to_le_bytes());
    assert_eq!(padded(DType::BF16, 0.1), bf16::from_f64(0.1).to_le_bytes());
    assert_eq!(padded(DType::C64, 2.0), [0, 0, 0, 64, 0, 0, 0, 0]);
    assert_eq!(padded(DType::F8E5M2, 1.0), [0x3c]);
}

/// What joining `parts` fails with.
fn refused(parts: &[&Tensor], pad: Option<PadValue>) -> (Code, String) {
    let error = join("x", parts, 0, pad).unwrap_err();
    (error.code(), error.message().to_owned())
}

#[test]
fn tensors_that_do_not_fit_together_are_refused() {
    let of = |dtype, dims: &[i64]| tensor(dtype, dims, 0);
    let (narrow, wide) = (of(DType::F32, &[1, 2]), of(DType::F32, &[1, 3]));
    let (code, message) = refused(&[&narrow, &wide], None);
    assert_eq!(code, Code::FailedPrecondition);
    assert!(
        message.starts_with(
            "tensors with name `x` from different tasks have different shapes and padding is turned off"
        ),
        "{message}"
    );
    let cases = [
        (of(DType::I32, &[1, 2]), "different element types: FP32 and INT32"),
        (of(DType::F32, &[2]), "different ranks: shapes [1, 2] and [2]"),
        (of(DType::F32, &[]), "different ranks: shapes [1, 2] and []"),
    ];
    for (other, wanted) in cases {
        let (code, message) = refused(&[&narrow, &other], Some(PadValue::Zero));
        assert_eq!(code, Code::InvalidArgument);
        assert!(message.ends_with(wanted), "{message}");
        let error = rejoin("x", &[narrow.clone(), other], None).unwrap_err();
        assert_eq!(error.code(), Code::FailedPrecondition);
    }
    let scalar = of(DType::F32, &[]);
    assert_eq!(refused(&[&scalar, &scalar], None).0, Code::InvalidArgument);
    assert_eq!(refused(&[], None).0, Code::Internal);
}

#[test]
fn a_whole_that_cannot_be_addressed_is_refused() {
    let one = Tensor::from_vec::<u8>(Shape::new(&[0, 1 << 58]).unwrap(), Vec::new()).unwrap();
    let two = Tensor::from_vec::<u8>(Shape::new(&[1 << 58, 0]).unwrap(), Vec::new()).unwrap();
    let (code, message) = refused(&[&one, &two], Some(PadValue::Zero));
    assert_eq!(code, Code::InvalidArgument);
    assert_eq!(message, "tensors with name `x` are too large to be joined");
    assert_eq!(join("x", &[&one], usize::MAX, None).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn an_output_that_has_not_the_rows_of_the_batch_is_refused() {
    let output = tensor(DType::F32, &[3, 2], 0);
    assert_eq!(split("y", &output, 4, &[4]).unwrap_err().code(), Code::FailedPrecondition);
    let scalar = tensor(DType::F32, &[], 0);
    assert_eq!(split("y", &scalar, 1, &[1]).unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(split("y", &output, 3, &[2, 2]).unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(split("y", &output, 3, &[usize::MAX, 2]).unwrap_err().code(), Code::InvalidArgument);
    let larger = Shape::new(&[3, 3]).unwrap();
    assert_eq!(trim("y", &output, &larger).unwrap_err().code(), Code::FailedPrecondition);
}
