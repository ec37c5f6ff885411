//! From many tensors to one.

use salver_core_status::{Code, Quoted, Status};
use salver_core_tensor::{Shape, Strings, Tensor};
use smallvec::SmallVec;

use crate::PadValue;
use crate::copy::{Layouts, repeat, repeat_within, sizes, with_room};
use crate::pad::element;

/// Joins `parts` along dimension 0 and adds rows until there are `rows`: copies of the first row of the last part that
/// has one, as TensorFlow Serving pads; of pad values where no part has a row. With `pad`, parts whose other dimensions
/// differ are padded at the end of each to the largest. Copies nothing where one part is all there is.
///
/// # Errors
/// Those of [`joined_shape`]; RESOURCE_EXHAUSTED where there is no memory for the whole.
pub fn join(name: &str, parts: &[&Tensor], rows: usize, pad: Option<PadValue>) -> Result<Tensor, Status> {
    let shape = joined_shape(name, parts, rows, pad.is_some())?;
    match parts {
        [only] if *only.shape() == shape => Ok((*only).clone()),
        [first, ..] if first.strings().is_some() => join_strings(parts, shape, pad.unwrap_or_default()),
        _ => join_fixed(parts, shape, pad.unwrap_or_default()),
    }
}

/// Joins what was split, along dimension 0, in order. With `pad`, parts whose other dimensions differ, since each was padded
/// with others, are brought to the largest, as [`join`] does.
///
/// # Errors
/// FAILED_PRECONDITION naming `name` where the parts do not fit together; RESOURCE_EXHAUSTED where there is no memory for
/// the whole.
pub fn rejoin(name: &str, parts: &[Tensor], pad: Option<PadValue>) -> Result<Tensor, Status> {
    let parts: Vec<_> = parts.iter().collect();
    join(name, &parts, 0, pad).map_err(|error| match error.code() {
        Code::InvalidArgument => Status::failed_precondition(error.message()),
        _ => error,
    })
}

/// The shape that [`join`] gives, for those who want to know before they join; `pads` where it is given a pad value. How
/// much larger it is than the parts has no limit but the address space: whoever takes parts from strangers sets one.
///
/// # Errors
/// INVALID_ARGUMENT naming `name` where element types or ranks differ, where a part has no dimension, or the whole is too
/// large; FAILED_PRECONDITION where dimensions beyond the 0th differ and nothing is to be padded; INTERNAL where there are
/// no parts.
pub fn joined_shape(name: &str, parts: &[&Tensor], rows: usize, pads: bool) -> Result<Shape, Status> {
    let Some((first, others)) = parts.split_first() else {
        return Err(Status::internal(format!("no tensors with name {} to join", Quoted(name))));
    };
    let mut dims: SmallVec<[i64; 4]> = SmallVec::from_slice(first.shape().dims());
    for part in others {
        if part.dtype() != first.dtype() {
            let (one, other) = (first.dtype(), part.dtype());
            return Err(Status::invalid_argument(format!(
                "tensors with name {} from different tasks have different element types: {one} and {other}",
                Quoted(name)
            )));
        }
        let (one, other) = (first.shape(), part.shape());
        if other.rank() != one.rank() {
            return Err(Status::invalid_argument(format!(
                "tensors with name {} from different tasks have different ranks: shapes {one} and {other}",
                Quoted(name)
            )));
        }
        if !pads && other.dims().get(1..) != one.dims().get(1..) {
            return Err(Status::failed_precondition(format!(
                "tensors with name {} from different tasks have different shapes and padding is turned off: {one} and \
                 {other}; set pad_variable_length_inputs to true, or make all dimensions but the 0th equal",
                Quoted(name)
            )));
        }
        for (largest, dim) in dims.iter_mut().zip(other.dims()) {
            *largest = (*largest).max(*dim);
        }
    }
    let too_large =
        || Status::invalid_argument(format!("tensors with name {} are too large to be joined", Quoted(name)));
    let Some(joined_rows) = dims.first_mut() else {
        return Err(Status::invalid_argument(format!(
            "tensor {} has no dimension, its 0th was wanted to count the rows of the batch",
            Quoted(name)
        )));
    };
    let mut sum: i64 = 0;
    for part in parts {
        sum = sum
            .checked_add(part.shape().dims().first().copied().unwrap_or_default())
            .ok_or_else(too_large)?;
    }
    *joined_rows = sum.max(i64::try_from(rows).map_err(|_| too_large())?);
    Shape::new(&dims).map_err(|_| too_large())
}

fn join_fixed(parts: &[&Tensor], shape: Shape, pad: PadValue) -> Result<Tensor, Status> {
    let Some((first, unit)) = parts.first().and_then(|first| Some((first, first.dtype().size()?))) else {
        return Err(Status::internal("elements of fixed size have no size"));
    };
    let number = element(first.dtype(), pad.number().unwrap_or_default());
    let number = number.get(..unit).unwrap_or_default();
    let mut joined = Joined::<u8>::new(&shape, unit, pad, number)?;
    for part in parts {
        joined.push(part.shape(), part.fixed().map(|bytes| &bytes[..]).unwrap_or_default());
    }
    Ok(Tensor::from_bytes(first.dtype(), shape.clone(), joined.padded().into())?)
}

/// The elements are copied behind one another, each once: padding says once more where one of them lies.
fn join_strings(parts: &[&Tensor], shape: Shape, pad: PadValue) -> Result<Tensor, Status> {
    let all = || parts.iter().filter_map(|part| Some((part.shape(), part.strings()?.view())));
    let length = all().fold(0usize, |sum, (_, strings)| sum.saturating_add(strings.total_bytes()));
    let mut buffer = with_room::<u8>(length, &shape)?;
    let mut joined = Joined::<(usize, usize)>::new(&shape, 1, pad, &[(0, 0)])?;
    for (part, strings) in all() {
        let mut spans = Vec::with_capacity(strings.len());
        for element in strings.iter() {
            spans.push((buffer.len(), element.len()));
            buffer.extend_from_slice(element);
        }
        joined.push(part, &spans);
    }
    let strings = Strings::from_spans(buffer.into(), joined.padded())?;
    Ok(Tensor::from_strings(shape.clone(), strings)?)
}

/// The elements of parts behind one another, brought to the shape of the whole.
struct Joined<'a, E> {
    out: Vec<E>,
    /// The sizes of the whole.
    sizes: SmallVec<[usize; 4]>,
    /// How many `E` an element is.
    unit: usize,
    pad: PadValue,
    /// An element to pad with, where a part has none of its own or is not to use it.
    number: &'a [E],
    /// The first row of the last part that had one: where it begins in `out`.
    last_row: Option<usize>,
}

impl<'a, E: Copy> Joined<'a, E> {
    fn new(shape: &Shape, unit: usize, pad: PadValue, number: &'a [E]) -> Result<Self, Status> {
        let out = with_room(shape.element_count() * unit, shape)?;
        Ok(Self { out, sizes: sizes(shape), unit, pad, number, last_row: None })
    }

    fn push(&mut self, shape: &Shape, elements: &[E]) {
        let mut to = self.sizes.clone();
        let from = sizes(shape);
        if let (Some(rows), Some(own_rows)) = (to.first_mut(), from.first()) {
            *rows = *own_rows;
            if *own_rows > 0 {
                self.last_row = Some(self.out.len());
            }
        }
        let fill = match self.pad {
            PadValue::FirstElement => elements.get(..self.unit).unwrap_or(self.number),
            PadValue::Zero | PadValue::Number(_) => self.number,
        };
        Layouts::new(&from, &to, self.unit).pad(elements, fill, &mut self.out);
    }

    /// The elements, with rows added until there are as many as the whole has.
    fn padded(mut self) -> Vec<E> {
        let row = self.sizes.iter().skip(1).product::<usize>() * self.unit;
        let whole = self.sizes.first().map_or(row, |rows| rows * row);
        let missing = whole.saturating_sub(self.out.len());
        match self.last_row {
            Some(at) => repeat_within(at, row, missing, &mut self.out),
            None => repeat(self.number, missing, &mut self.out),
        }
        self.out
    }
}
