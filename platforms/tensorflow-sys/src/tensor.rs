//! Tensors in TensorFlow's memory.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ffi::{c_int, c_void};

use crate::api::RawTensor;
use crate::status::Status;
use crate::{Error, TensorFlow};

/// `TF_STRING`, the number of the element type of strings; the others are those of `tensorflow/core/framework/types.proto`.
pub const STRING: i32 = 7;

/// `sizeof(TF_TString)`: of `tensorflow/core/platform/ctstring_internal.h`, which asserts it.
const TSTRING_SIZE: usize = 24;

/// A tensor that TensorFlow made, or was given. Its elements do not change.
pub struct Tensor {
    api: &'static TensorFlow,
    pub(crate) raw: *mut RawTensor,
}

// SAFETY: TensorFlow counts references to a tensor's memory atomically, and nobody writes into it.
unsafe impl Send for Tensor {}
// SAFETY: as above; every method only reads.
unsafe impl Sync for Tensor {}

impl Drop for Tensor {
    fn drop(&mut self) {
        // SAFETY: owned, deleted once.
        unsafe { (self.api.functions.delete_tensor)(self.raw) }
    }
}

impl TensorFlow {
    /// A tensor of elements that have a fixed size, copied from `bytes`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for the element type of strings, for more dimensions than there may be, and where TensorFlow has no
    /// memory for it, or for another number of bytes.
    pub fn tensor(&'static self, dtype: i32, dims: &[i64], bytes: &[u8]) -> Result<Tensor, Error> {
        if dtype == STRING {
            return Err(Error::invalid("a tensor of strings is not made of bytes"));
        }
        let rank = rank(dims)?;
        // SAFETY: `dims` has as many elements as it says; what is returned is owned by the tensor below.
        let raw = unsafe { (self.functions.allocate_tensor)(dtype, dims.as_ptr(), rank, bytes.len()) };
        if raw.is_null() {
            return Err(Error::invalid(format!("TensorFlow made no tensor of {} bytes", bytes.len())));
        }
        let tensor = Tensor { api: self, raw };
        if tensor.size() != bytes.len() {
            return Err(Error::invalid(format!(
                "TensorFlow made a tensor of {} bytes, for {}",
                tensor.size(),
                bytes.len()
            )));
        }
        if !bytes.is_empty() {
            // SAFETY: the tensor was just made with room for these bytes, and nobody else has seen it.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), tensor.data().cast_mut(), bytes.len()) };
        }
        Ok(tensor)
    }

    /// A tensor of strings, copied.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for more dimensions than there may be, or where these are not as many as the dimensions say.
    pub fn strings<'a>(
        &'static self,
        dims: &[i64],
        strings: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Result<Tensor, Error> {
        let rank = rank(dims)?;
        let count = strings.len();
        let wanted = dims.iter().try_fold(1_i64, |count, dim| count.checked_mul(*dim));
        if wanted.is_none_or(|wanted| usize::try_from(wanted) != Ok(count)) {
            return Err(Error::invalid(format!("{count} strings do not make a tensor of {dims:?}")));
        }
        let mut array = StringArray::new(self, count);
        strings.take(count).for_each(|string| array.push(string));
        let (data, size, owner) = array.into_raw();
        // SAFETY: `dims` has as many elements as it says; the array is as large as it says, and freed by the function that
        // goes with it, when TensorFlow has no more use for it, on whichever thread.
        let raw = unsafe {
            (self.functions.new_tensor)(STRING, dims.as_ptr(), rank, data, size, free_strings, owner)
        };
        // It deletes what it does not take.
        if raw.is_null() {
            return Err(Error::invalid("TensorFlow made no tensor of strings"));
        }
        Ok(Tensor { api: self, raw })
    }

    /// A tensor from a serialised `TensorProto`.
    ///
    /// # Errors
    /// What TensorFlow says.
    pub fn tensor_of_proto(&'static self, proto: &[u8]) -> Result<Tensor, Error> {
        // SAFETY: a tensor without elements, to be written over; owned by the tensor below.
        let raw = unsafe { (self.functions.allocate_tensor)(3, [0_i64].as_ptr(), 1, 0) };
        if raw.is_null() {
            return Err(Error::internal("TensorFlow made no tensor"));
        }
        let tensor = Tensor { api: self, raw };
        let (status, buffer) = (Status::new(self), OwnedBuffer::of(self, proto));
        // SAFETY: all three are alive for the call.
        unsafe { (self.functions.tensor_from_proto)(buffer.raw, tensor.raw, status.raw) };
        status.check().map(|()| tensor)
    }
}

fn rank(dims: &[i64]) -> Result<c_int, Error> {
    /// `TensorShape::MaxDimensions`.
    const MOST: usize = 254;
    match c_int::try_from(dims.len()) {
        Ok(rank) if dims.len() <= MOST => Ok(rank),
        _ => Err(Error::invalid(format!("{} dimensions are more than TensorFlow's {MOST}", dims.len()))),
    }
}

impl Tensor {
    pub(crate) fn from_raw(api: &'static TensorFlow, raw: *mut RawTensor) -> Option<Self> {
        (!raw.is_null()).then_some(Self { api, raw })
    }

    /// The number of the element type.
    pub fn dtype(&self) -> i32 {
        // SAFETY: the tensor is alive.
        unsafe { (self.api.functions.tensor_type)(self.raw) }
    }

    /// The sizes of the dimensions.
    pub fn dims(&self) -> Vec<i64> {
        let functions = &self.api.functions;
        // SAFETY: the tensor is alive, and has a dimension at each position below its rank.
        unsafe {
            let rank = (functions.num_dims)(self.raw).max(0);
            (0..rank).map(|index| (functions.dim)(self.raw, index)).collect()
        }
    }

    fn size(&self) -> usize {
        // SAFETY: the tensor is alive.
        unsafe { (self.api.functions.tensor_byte_size)(self.raw) }
    }

    fn data(&self) -> *const u8 {
        // SAFETY: the tensor is alive.
        unsafe { (self.api.functions.tensor_data)(self.raw) }.cast_const().cast()
    }

    /// The elements of a tensor whose elements have a fixed size; none of one of strings.
    pub fn bytes(&self) -> &[u8] {
        /// `TF_RESOURCE` and `TF_VARIANT`, whose elements are C++ objects.
        const OBJECTS: [i32; 2] = [20, 21];
        let (size, data) = (self.size(), self.data());
        if size == 0 || data.is_null() || self.dtype() == STRING || OBJECTS.contains(&self.dtype()) {
            return &[];
        }
        // SAFETY: as many bytes as the tensor says, which do not change while it is there.
        unsafe { std::slice::from_raw_parts(data, size) }
    }

    /// The elements of a tensor of strings; none of one of another element type.
    pub fn strings(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let is_strings = self.dtype() == STRING && !self.data().is_null();
        let count = if is_strings { self.size() / TSTRING_SIZE } else { 0 };
        (0..count).map(|index| {
            let functions = &self.api.functions;
            // SAFETY: the tensor's memory is an array of `count` of TensorFlow's strings, which do not change while it is
            // there; a pointer to the bytes of one is valid as long.
            unsafe {
                let string = self.data().add(index * TSTRING_SIZE).cast::<c_void>();
                let (data, size) = ((functions.string_data)(string), (functions.string_size)(string));
                if size == 0 { &[] } else { std::slice::from_raw_parts(data.cast::<u8>(), size) }
            }
        })
    }
}

/// An array of TensorFlow's strings that is being filled.
struct StringArray {
    api: &'static TensorFlow,
    data: *mut u8,
    capacity: usize,
    count: usize,
}

impl StringArray {
    fn layout(capacity: usize) -> Layout {
        // As aligned as TensorFlow wants tensors to be (`EIGEN_MAX_ALIGN_BYTES`), and never of no size. A number that does
        // not fit cannot come from a slice that is in memory.
        Layout::from_size_align((capacity * TSTRING_SIZE).max(TSTRING_SIZE), 64)
            .unwrap_or(Layout::new::<[u64; 3]>())
    }

    fn new(api: &'static TensorFlow, capacity: usize) -> Self {
        let layout = Self::layout(capacity);
        // SAFETY: the layout has a size.
        let data = unsafe { alloc(layout) };
        if data.is_null() {
            handle_alloc_error(layout);
        }
        Self { api, data, capacity, count: 0 }
    }

    /// Adds a string, where there is room.
    fn push(&mut self, bytes: &[u8]) {
        if self.count == self.capacity {
            return;
        }
        let functions = &self.api.functions;
        // SAFETY: there is room for one more at `count`, which is initialised here before it is written to.
        unsafe {
            let string = self.data.add(self.count * TSTRING_SIZE).cast::<c_void>();
            (functions.string_init)(string);
            (functions.string_copy)(string, bytes.as_ptr().cast(), bytes.len());
        }
        self.count += 1;
    }

    /// Its memory, its size, and what [`free_strings`] frees it by.
    fn into_raw(self) -> (*mut c_void, usize, *mut c_void) {
        let (data, size) = (self.data.cast(), self.count * TSTRING_SIZE);
        (data, size, Box::into_raw(Box::new(self)).cast())
    }
}

impl Drop for StringArray {
    fn drop(&mut self) {
        for index in 0..self.count {
            // SAFETY: initialised by `push`, and freed once.
            unsafe { (self.api.functions.string_dealloc)(self.data.add(index * TSTRING_SIZE).cast()) }
        }
        // SAFETY: made by `new` with this layout, and freed once.
        unsafe { dealloc(self.data, Self::layout(self.capacity)) }
    }
}

/// Frees a [`StringArray`] for TensorFlow.
unsafe extern "C" fn free_strings(_data: *mut c_void, _size: usize, owner: *mut c_void) {
    // SAFETY: TensorFlow passes what `into_raw` returned, once.
    drop(unsafe { Box::from_raw(owner.cast::<StringArray>()) });
}

/// A `TF_Buffer` with bytes of its own.
pub(crate) struct OwnedBuffer {
    api: &'static TensorFlow,
    pub(crate) raw: *mut crate::api::Buffer,
}

impl OwnedBuffer {
    pub(crate) fn of(api: &'static TensorFlow, bytes: &[u8]) -> Self {
        // SAFETY: as many bytes as it says, which the function copies.
        let raw = unsafe { (api.functions.new_buffer_from_string)(bytes.as_ptr().cast(), bytes.len()) };
        Self { api, raw }
    }

    pub(crate) fn empty(api: &'static TensorFlow) -> Self {
        // SAFETY: the function takes nothing.
        Self { api, raw: unsafe { (api.functions.new_buffer)() } }
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        // SAFETY: the buffer is alive, and its bytes as long as it is.
        unsafe {
            let buffer = &*self.raw;
            if buffer.data.is_null() || buffer.length == 0 {
                return Vec::new();
            }
            std::slice::from_raw_parts(buffer.data.cast::<u8>(), buffer.length).to_vec()
        }
    }
}

impl Drop for OwnedBuffer {
    fn drop(&mut self) {
        // SAFETY: made above, deleted once.
        unsafe { (self.api.functions.delete_buffer)(self.raw) }
    }
}
