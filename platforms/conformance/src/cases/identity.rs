//! Models that return their input.

use salver_core_signature::Signature;
use salver_core_status::Status;
use salver_core_tensor::{DType, Shape, Strings, Tensor};

use crate::Subject;
use crate::case::{Fault, fail};
use crate::inputs::{self, Values};
use crate::subject::answer;

/// Runs a model that returns its input, of this type and these sizes, on tensors; `false` where there is no such model.
fn returns(subject: &Subject<'_>, dtype: DType, dims: &[i64], tensors: &[Tensor]) -> Result<bool, Fault> {
    let Some(folder) = subject.identity_of(dtype, dims)? else {
        return Ok(false);
    };
    let model = subject.load(&folder)?;
    let takes = |signature: &Signature| match signature.inputs.as_slice() {
        [input] => input.dtype == dtype,
        _ => false,
    };
    let mut signatures = model.signatures().iter().enumerate();
    let Some((position, signature)) = signatures.find(|(_, signature)| takes(signature)) else {
        fail!("a model that returns its input has no signature whose one input is {dtype}");
    };
    for tensor in tensors {
        let shape = tensor.shape();
        match answer(&*model, position, signature, &[Some(tensor.clone())])? {
            Ok(outputs) if outputs == [tensor.clone()] => {}
            Ok(outputs) => {
                let found: Vec<_> =
                    outputs.iter().map(|output| format!("{} {:?}", output.dtype(), output.shape())).collect();
                fail!("{dtype} {shape:?} came back as [{}], or with other elements", found.join(", "));
            }
            Err(status) => fail!("{dtype} {shape:?} did not come back: {status}"),
        }
    }
    Ok(true)
}

fn made(tensor: Result<Tensor, Status>) -> Result<Tensor, Fault> {
    tensor.map_err(|status| Fault::Failed(format!("the case could not be prepared: {status}")))
}

fn wild(dtype: DType, dims: &[i64]) -> Result<Tensor, Fault> {
    made(inputs::tensor(dtype, dims, Values::Wild))
}

/// A framework need not have every type, but it has some.
pub(super) fn element_types(subject: &Subject<'_>) -> Result<(), Fault> {
    let mut known = 0;
    for dtype in DType::ALL {
        known += usize::from(returns(subject, dtype, &[-1], &[wild(dtype, &[1])?, wild(dtype, &[257])?])?);
    }
    if known == 0 {
        fail!("there is no element type of which a tensor comes back");
    }
    Ok(())
}

/// The types that stand for all: one of a fixed size, and strings, where there are any.
const TYPES: [DType; 2] = [DType::F32, DType::String];

pub(super) fn ranks(subject: &Subject<'_>) -> Result<(), Fault> {
    for dtype in TYPES {
        for rank in 0..=8 {
            returns(subject, dtype, &vec![-1; rank], &[wild(dtype, &vec![2; rank])?])?;
        }
    }
    Ok(())
}

pub(super) fn empty_dimensions(subject: &Subject<'_>) -> Result<(), Fault> {
    for dtype in TYPES {
        returns(subject, dtype, &[-1], &[wild(dtype, &[0])?])?;
        returns(subject, dtype, &[-1; 3], &[wild(dtype, &[2, 0, 3])?, wild(dtype, &[0, 0, 0])?])?;
    }
    Ok(())
}

pub(super) fn dynamic_shapes(subject: &Subject<'_>) -> Result<(), Fault> {
    for dtype in TYPES {
        let shapes = [[1, 1], [7, 3], [64, 64], [3, 7], [1, 1000], [0, 5], [2, 2]];
        let tensors = shapes.iter().map(|dims| wild(dtype, dims)).collect::<Result<Vec<_>, _>>()?;
        returns(subject, dtype, &[-1, -1], &tensors)?;
    }
    Ok(())
}

pub(super) fn strings(subject: &Subject<'_>) -> Result<(), Fault> {
    let long = vec![0xC3; 1 << 20];
    let elements: [&[u8]; 6] = [b"", b"\0", b"a\0b", b"\xff\xfe\x80", "grüße".as_bytes(), &long];
    let tensor = Shape::new(&[6])
        .and_then(|shape| Tensor::from_strings(shape, elements.iter().collect::<Strings>()))
        .map_err(Status::from);
    match returns(subject, DType::String, &[-1], &[made(tensor)?])? {
        true => Ok(()),
        false => Err(Fault::Skipped("the framework has no strings".to_owned())),
    }
}
