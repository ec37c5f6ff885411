//! Tensors that borrow their elements.

use crate::tensor::is_aligned;
use crate::{DType, Element, Error, Shape, StringsView};

/// A borrowed tensor: what a model is given to read.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    dtype: DType,
    shape: &'a Shape,
    data: DataView<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum DataView<'a> {
    Fixed(&'a [u8]),
    Strings(StringsView<'a>),
}

impl<'a> TensorView<'a> {
    /// Borrows elements of fixed size.
    ///
    /// # Errors
    /// As [`Tensor::from_bytes`](crate::Tensor::from_bytes), and [`Error::Misaligned`], since a view cannot copy.
    pub fn new(dtype: DType, shape: &'a Shape, bytes: &'a [u8]) -> Result<Self, Error> {
        if !is_aligned(bytes, dtype) {
            return Err(Error::Misaligned { dtype });
        }
        check_fixed(dtype, shape, bytes)?;
        Ok(Self::trusted(dtype, shape, bytes))
    }

    /// Borrows string elements.
    ///
    /// # Errors
    /// [`Error::ElementCount`] when there are fewer or more elements than the shape needs.
    pub fn from_strings(shape: &'a Shape, strings: StringsView<'a>) -> Result<Self, Error> {
        if strings.len() != shape.element_count() {
            let (wanted, found) = (shape.element_count(), strings.len());
            return Err(Error::ElementCount { shape: shape.clone(), wanted, found });
        }
        Ok(Self::trusted_strings(shape, strings))
    }

    /// A view of what has been checked.
    pub(crate) fn trusted(dtype: DType, shape: &'a Shape, bytes: &'a [u8]) -> Self {
        Self { dtype, shape, data: DataView::Fixed(bytes) }
    }

    /// A view of what has been checked.
    pub(crate) fn trusted_strings(shape: &'a Shape, strings: StringsView<'a>) -> Self {
        Self { dtype: DType::String, shape, data: DataView::Strings(strings) }
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The shape.
    pub fn shape(&self) -> &'a Shape {
        self.shape
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.shape.element_count()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements' memory, aligned for their type; `None` for strings.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match self.data {
            DataView::Fixed(bytes) => Some(bytes),
            DataView::Strings(_) => None,
        }
    }

    /// The string elements; `None` for elements of fixed size.
    pub fn strings(&self) -> Option<StringsView<'a>> {
        match self.data {
            DataView::Fixed(_) => None,
            DataView::Strings(strings) => Some(strings),
        }
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// [`Error::DType`] when they are of another type.
    pub fn as_slice<T: Element>(&self) -> Result<&'a [T], Error> {
        match self.data {
            // The view is aligned, of whole elements and, for BOOL, of valid values: the cast has nothing to refuse.
            DataView::Fixed(bytes) if self.dtype == T::DTYPE && !bytes.is_empty() => {
                bytemuck::checked::try_cast_slice(bytes).map_err(|_| Error::Misaligned { dtype: self.dtype })
            }
            DataView::Fixed(_) if self.dtype == T::DTYPE => Ok(&[]),
            _ => Err(Error::DType { wanted: T::DTYPE, found: self.dtype }),
        }
    }
}

/// Equal type, shape and elements; floats are compared by their bits.
impl PartialEq for TensorView<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.dtype == other.dtype && self.shape == other.shape && self.data == other.data
    }
}

/// Whether `bytes` are as many as shape and type need, and valid for the type.
pub(crate) fn check_fixed(dtype: DType, shape: &Shape, bytes: &[u8]) -> Result<(), Error> {
    let Some(wanted) = shape.byte_count(dtype) else {
        return Err(Error::DType { wanted: DType::U8, found: dtype });
    };
    if bytes.len() != wanted {
        return Err(Error::ByteCount { dtype, shape: shape.clone(), wanted, found: bytes.len() });
    }
    // All bytes at once, in vectors; one by one only to name the first that is wrong.
    if dtype == DType::Bool
        && bytes.iter().fold(0, |all, byte| all | byte) > 1
        && let Some((index, &value)) = bytes.iter().enumerate().find(|(_, value)| **value > 1)
    {
        return Err(Error::NotBool { index, value });
    }
    Ok(())
}
