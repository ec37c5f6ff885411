//! Input tensors, viewed where they are.

use salver_core_status::Status;
use salver_core_tensor::{DType, Shape, StringsView, TensorView};
use salver_plugins_abi as abi;
use smallvec::SmallVec;

use crate::context::malformed;

/// How many inputs are viewed without allocating.
const INLINE: usize = 4;

/// The parts of views that no tensor of the tables has ready: shapes, and slices of string elements.
///
/// It is made where it stays, and filled there: moving it would cost more than an empty call.
#[derive(Default)]
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
    pub(crate) unsafe fn read(&mut self, first: *const abi::Tensor, count: usize) -> Result<(), Status> {
        // SAFETY: the caller's promise is this function's.
        self.tensors = unsafe { abi::array(first, count) }.map_err(malformed)?;
        for tensor in self.tensors.iter().filter(|tensor| tensor.dtype != abi::ABSENT) {
            // SAFETY: a valid tensor's shape has `rank` sizes.
            let dims = unsafe { abi::array(tensor.shape, tensor.rank as usize) }.map_err(malformed)?;
            self.shapes.push(Shape::new(dims)?);
            if tensor.dtype == abi::STRING {
                let count = tensor.size / size_of::<abi::Bytes>();
                // SAFETY: a valid tensor of strings has that many elements.
                let elements =
                    unsafe { abi::array(tensor.data.cast::<abi::Bytes>(), count) }.map_err(malformed)?;
                // SAFETY: the elements of a valid tensor are valid.
                let slices = elements.iter().map(|element| unsafe { element.as_slice() });
                self.strings.push(slices.collect::<Result<_, _>>().map_err(malformed)?);
            }
        }
        Ok(())
    }

    /// Adds the views to `views`.
    ///
    /// # Errors
    /// INTERNAL where the server gave what cannot be.
    pub(crate) fn view(&'a self, views: &mut Views<'a>) -> Result<(), Status> {
        let (mut shapes, mut strings) = (self.shapes.iter(), self.strings.iter());
        for tensor in self.tensors {
            if tensor.dtype == abi::ABSENT {
                views.push(None);
                continue;
            }
            let dtype = DType::from_u32(tensor.dtype).ok_or_else(|| {
                Status::internal(format!("the server passed the unknown type {}", tensor.dtype))
            })?;
            // `read` made one shape for each tensor that is there, and one vector for each of strings.
            let missing = || Status::internal("an input was not prepared");
            let shape = shapes.next().ok_or_else(missing)?;
            let view = if dtype == DType::String {
                TensorView::from_strings(shape, StringsView::from_slices(strings.next().ok_or_else(missing)?))
            } else {
                // SAFETY: the tensor's elements are valid by the promise given to `read`.
                let bytes =
                    unsafe { abi::array(tensor.data.cast::<u8>(), tensor.size) }.map_err(malformed)?;
                TensorView::new(dtype, shape, bytes)
            };
            let view =
                view.map_err(|error| Status::internal(format!("the server passed a bad tensor: {error}")))?;
            views.push(Some(view));
        }
        Ok(())
    }
}
