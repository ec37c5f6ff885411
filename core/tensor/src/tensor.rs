//! Tensors that own their elements, or share them.

use bytes::Bytes;

use crate::view::check_fixed;
use crate::{DType, Element, Error, Shape, Strings, TensorView};

/// A tensor that owns its elements or shares them with their owner. Cloning copies no element.
///
/// Dropping the last clone releases the elements, on the thread that drops it.
#[derive(Clone, Debug)]
pub struct Tensor {
    dtype: DType,
    shape: Shape,
    data: Data,
}

#[derive(Clone, Debug)]
enum Data {
    Fixed(Bytes),
    Strings(Strings),
}

impl Tensor {
    /// A tensor of elements of fixed size, dense, row-major and little-endian in `bytes`.
    ///
    /// Shares `bytes` where they are aligned for the element type, and copies them once where they are not.
    ///
    /// # Errors
    /// [`Error::ByteCount`] when the length is not what shape and type need, [`Error::NotBool`] for a BOOL element
    /// that is neither 0 nor 1, [`Error::DType`] for [`DType::String`], which has no fixed size.
    pub fn from_bytes(dtype: DType, shape: Shape, bytes: Bytes) -> Result<Self, Error> {
        let bytes = if is_aligned(&bytes, dtype) { bytes } else { aligned_copy(&bytes) };
        check_fixed(dtype, &shape, &bytes)?;
        Ok(Self { dtype, shape, data: Data::Fixed(bytes) })
    }

    /// A tensor of the elements of `values`, in row-major order; takes the vector over without a copy.
    ///
    /// # Errors
    /// [`Error::ElementCount`] when there are fewer or more elements than the shape needs.
    pub fn from_vec<T: Element>(shape: Shape, values: Vec<T>) -> Result<Self, Error> {
        if values.len() != shape.element_count() {
            return Err(Error::ElementCount { wanted: shape.element_count(), found: values.len(), shape });
        }
        let bytes = Bytes::from_owner(Owned(values));
        Ok(Self { dtype: T::DTYPE, shape, data: Data::Fixed(bytes) })
    }

    /// A tensor of strings.
    ///
    /// # Errors
    /// [`Error::ElementCount`] when there are fewer or more elements than the shape needs.
    pub fn from_strings(shape: Shape, strings: Strings) -> Result<Self, Error> {
        if strings.len() != shape.element_count() {
            return Err(Error::ElementCount { wanted: shape.element_count(), found: strings.len(), shape });
        }
        Ok(Self { dtype: DType::String, shape, data: Data::Strings(strings) })
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The elements' memory, shared; `None` for strings.
    pub fn fixed(&self) -> Option<&Bytes> {
        match &self.data {
            Data::Fixed(bytes) => Some(bytes),
            Data::Strings(_) => None,
        }
    }

    /// The string elements; `None` for elements of fixed size.
    pub fn strings(&self) -> Option<&Strings> {
        match &self.data {
            Data::Fixed(_) => None,
            Data::Strings(strings) => Some(strings),
        }
    }

    /// Borrows the tensor.
    pub fn view(&self) -> TensorView<'_> {
        match &self.data {
            Data::Fixed(bytes) => TensorView::trusted(self.dtype, &self.shape, bytes),
            Data::Strings(strings) => TensorView::trusted_strings(&self.shape, strings.view()),
        }
    }
}

/// Equal type, shape and elements; floats are compared by their bits.
impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

/// Elements of a vector as bytes.
struct Owned<T>(Vec<T>);

impl<T: Element> AsRef<[u8]> for Owned<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

pub(crate) fn is_aligned(bytes: &[u8], dtype: DType) -> bool {
    bytes.is_empty() || bytes.as_ptr().addr().is_multiple_of(dtype.alignment())
}

/// The same bytes at an address that every element type can be read from.
fn aligned_copy(bytes: &[u8]) -> Bytes {
    let mut words = vec![0u64; bytes.len().div_ceil(size_of::<u64>())];
    if let Some(start) = bytemuck::cast_slice_mut::<u64, u8>(&mut words).get_mut(..bytes.len()) {
        start.copy_from_slice(bytes);
    }
    Bytes::from_owner(Owned(words)).slice(..bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_vector_is_taken_over_without_a_copy() {
        let values = vec![1i64, 2, 3];
        let address = values.as_ptr().addr();
        let tensor = Tensor::from_vec(Shape::new(&[3]).unwrap(), values).unwrap();
        assert_eq!(tensor.fixed().unwrap().as_ptr().addr(), address);
    }

    #[test]
    fn aligned_bytes_are_shared_and_misaligned_bytes_are_copied_once() {
        let words = Bytes::from_owner(Owned(vec![0u64, 1, 2]));
        let aligned = Tensor::from_bytes(DType::F32, Shape::new(&[2]).unwrap(), words.slice(8..16)).unwrap();
        assert_eq!(aligned.fixed().unwrap().as_ptr().addr(), words.as_ptr().addr() + 8);
        let misaligned =
            Tensor::from_bytes(DType::F32, Shape::new(&[2]).unwrap(), words.slice(7..15)).unwrap();
        assert_eq!(misaligned.view().bytes(), Some(&words[7..15]));
        assert!(misaligned.view().as_slice::<f32>().is_ok());
    }

    #[test]
    fn a_tensor_shorter_than_its_shape_is_refused() {
        let error = Tensor::from_bytes(DType::F32, Shape::new(&[2]).unwrap(), Bytes::from_static(&[0; 7]));
        assert_eq!(error.unwrap_err().to_string(), "FP32 tensor of shape [2] needs 8 bytes, got 7");
    }

    #[test]
    fn a_bool_is_zero_or_one() {
        let error =
            Tensor::from_bytes(DType::Bool, Shape::new(&[3]).unwrap(), Bytes::from_static(&[0, 1, 2]));
        assert_eq!(error.unwrap_err(), Error::NotBool { index: 2, value: 2 });
    }

    #[test]
    fn strings_have_no_fixed_size() {
        let error = Tensor::from_bytes(DType::String, Shape::scalar(), Bytes::new());
        assert!(matches!(error, Err(Error::DType { .. })));
    }

    #[test]
    fn elements_are_read_only_as_what_they_are() {
        let tensor = Tensor::from_vec(Shape::new(&[1]).unwrap(), vec![1u32]).unwrap();
        assert_eq!(
            tensor.view().as_slice::<f32>().unwrap_err(),
            Error::DType { wanted: DType::F32, found: DType::U32 }
        );
    }

    proptest! {
        #[test]
        fn an_aligned_copy_is_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let copy = aligned_copy(&bytes);
            prop_assert_eq!(&copy[..], &bytes[..]);
            prop_assert!(is_aligned(&copy, DType::U64));
        }
    }
}
