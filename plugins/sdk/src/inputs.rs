//! Input tensors, viewed where they are.

use salver_core_status::Status;
use salver_core_tensor::{DType, Shape, StringsView, TensorView};
use salver_plugins_abi as abi;
use smallvec::SmallVec;

use crate::context::malformed;

/// How many inputs are viewed without allocating.
const INLINE: usize = 4;

/// The parts of views that no tensor of the tables has ready: shapes, and slices of string elements.
pub(crate) struct Parts<'a> {
    tensors: &'a [abi::Tensor],
    /// One for each tensor that is there.
    shapes: SmallVec<[Shape; INLINE]>,
    /// One for each tensor of strings.
    strings: Vec<Vec<&'a [u8]>>,
}

/// The views, in the order of the tensors; `None` for one that is absent.
pub(crate) type Views<'a> = SmallVec<[Option<TensorView<'a>>; INLINE]>;

impl<'a> Parts<'a> {
    /// # Safety
    /// `first` points to `count` tensors that are valid during `'a`.
    ///
    /// # Errors
    /// INTERNAL where the server gave what cannot be.
    pub(crate) unsafe fn new(first: *const abi::Tensor, count: usize) -> Result<Self, Status> {
        // SAFETY: the caller's promise is this function's.
        let tensors = unsafe { abi::array(first, count) }.map_err(malformed)?;
        let (mut shapes, mut strings) = (SmallVec::new(), Vec::new());
        for tensor in tensors.iter().filter(|tensor| tensor.dtype != abi::ABSENT) {
            // SAFETY: a valid tensor's shape has `rank` sizes.
            let dims = unsafe { abi::array(tensor.shape, tensor.rank as usize) }.map_err(malformed)?;
            shapes.push(Shape::new(dims)?);
            if tensor.dtype == abi::STRING {
                let count = tensor.size / size_of::<abi::Bytes>();
                // SAFETY: a valid tensor of strings has that many elements.
                let elements =
                    unsafe { abi::array(tensor.data.cast::<abi::Bytes>(), count) }.map_err(malformed)?;
                // SAFETY: the elements of a valid tensor are valid.
                let slices = elements.iter().map(|element| unsafe { element.as_slice() });
                strings.push(slices.collect::<Result<_, _>>().map_err(malformed)?);
            }
        }
        Ok(Self { tensors, shapes, strings })
    }

    /// # Errors
    /// INTERNAL where the server gave what cannot be.
    pub(crate) fn views(&'a self) -> Result<Views<'a>, Status> {
        let (mut shapes, mut strings) = (self.shapes.iter(), self.strings.iter());
        let view = |tensor: &abi::Tensor| -> Result<Option<TensorView<'a>>, Status> {
            if tensor.dtype == abi::ABSENT {
                return Ok(None);
            }
            let dtype = DType::from_u32(tensor.dtype).ok_or_else(|| {
                Status::internal(format!("the server passed the unknown type {}", tensor.dtype))
            })?;
            // `new` made one shape for each tensor that is there, and one vector for each of strings.
            let missing = || Status::internal("an input was not prepared");
            let shape = shapes.next().ok_or_else(missing)?;
            let view = if dtype == DType::String {
                TensorView::from_strings(shape, StringsView::from_slices(strings.next().ok_or_else(missing)?))
            } else {
                // SAFETY: the tensor's elements are valid by the promise given to `new`.
                let bytes =
                    unsafe { abi::array(tensor.data.cast::<u8>(), tensor.size) }.map_err(malformed)?;
                TensorView::new(dtype, shape, bytes)
            };
            Ok(Some(
                view.map_err(|error| Status::internal(format!("the server passed a bad tensor: {error}")))?,
            ))
        };
        self.tensors.iter().map(view).collect()
    }
}
