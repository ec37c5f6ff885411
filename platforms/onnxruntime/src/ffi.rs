//! The calls into ONNX Runtime that `ort` has no safe form of: one session run by many threads, inputs that are borrowed
//! whatever their type, outputs whose memory is handed on, and shapes told from no shape.
//!
//! ONNX Runtime documents `OrtSession` as safe to run from many threads; `ort` takes `&mut` because some execution
//! providers are not, so the caller takes turns where the device is not the CPU.
#![expect(unsafe_code, reason = "these are calls of C functions")]

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use bytes::Bytes;
use ort::AsPointer as _;
use ort::session::{Session, SharedSessionInner};
use ort::sys::{self, ONNXTensorElementDataType as Element, ONNXType, OrtMemoryInfo, OrtTypeInfo, OrtValue};
use salver_core_signature::ShapeSpec;
use salver_core_tensor::{DType, Shape, Strings, StringsView, Tensor, TensorView};

use crate::Said;

/// A session that many threads run at once.
pub(crate) struct SharedSession {
    session: Arc<SharedSessionInner>,
    /// Says of borrowed memory that it is plain memory.
    memory: Owned<OrtMemoryInfo>,
}

/// An input or output as the model declares it.
#[derive(Debug)]
pub(crate) enum Declared {
    /// A tensor.
    Tensor {
        /// `None` for an element type that no tensor of ours has.
        dtype: Option<DType>,
        /// ONNX's number for the element type.
        number: i32,
        shape: ShapeSpec,
    },
    /// A sequence, a map and the like.
    Other(&'static str),
}

/// Which declaration is asked for, by position.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Input(usize),
    /// An input with an initialiser as its default.
    Initializer(usize),
    Output(usize),
}

/// An input, in memory that is borrowed for `'a` or, for strings, its own.
pub(crate) struct Input<'a> {
    value: Owned<OrtValue>,
    /// Where the borrowed memory is.
    range: Range<usize>,
    borrowed: PhantomData<&'a [u8]>,
}

impl SharedSession {
    pub(crate) fn new(session: &Session) -> Result<Self, Said> {
        let mut memory = ptr::null_mut();
        // SAFETY: `memory` is a place to write to.
        check(unsafe {
            (ort::api().CreateCpuMemoryInfo)(
                sys::OrtAllocatorType::OrtDeviceAllocator,
                sys::OrtMemType::OrtMemTypeDefault,
                &mut memory,
            )
        })?;
        // SAFETY: just created, and released by its own function.
        let memory = unsafe { Owned::new(memory, ort::api().ReleaseMemoryInfo) }?;
        Ok(Self { session: session.inner(), memory })
    }

    /// What the model declares at `place`, which has to be one that it has.
    pub(crate) fn declared(&self, place: Place) -> Result<Declared, Said> {
        let api = ort::api();
        let (get, index) = match place {
            Place::Input(index) => (api.SessionGetInputTypeInfo, index),
            Place::Initializer(index) => (api.SessionGetOverridableInitializerTypeInfo, index),
            Place::Output(index) => (api.SessionGetOutputTypeInfo, index),
        };
        let mut info: *mut OrtTypeInfo = ptr::null_mut();
        // SAFETY: the session lives; ONNX Runtime refuses an index past the end.
        check(unsafe { get(self.session.ptr(), index, &mut info) })?;
        // SAFETY: just created, and released by its own function.
        let info = unsafe { Owned::new(info, api.ReleaseTypeInfo) }?;

        // Numbers are read as numbers: a later ONNX Runtime may have some that the enums lack.
        let mut kind: i32 = ONNXType::ONNX_TYPE_UNKNOWN as i32;
        // SAFETY: `info` lives; the enum is a C `int`.
        check(unsafe { (api.GetOnnxTypeFromTypeInfo)(info.get(), (&raw mut kind).cast()) })?;
        if kind != ONNXType::ONNX_TYPE_TENSOR as i32 {
            return Ok(Declared::Other(kind_name(kind)));
        }
        let mut tensor = ptr::null();
        // SAFETY: `info` lives, and so does what `tensor` points to: it is part of `info`.
        check(unsafe { (api.CastTypeInfoToTensorInfo)(info.get(), &mut tensor) })?;
        let mut number: i32 = 0;
        // SAFETY: `tensor` is part of `info`, which is a tensor's; the enum is a C `int`.
        check(unsafe { (api.GetTensorElementType)(tensor, (&raw mut number).cast()) })?;
        let dtype = DType::ALL.into_iter().find(|dtype| element(*dtype).is_some_and(|e| e as i32 == number));
        // SAFETY: as above.
        let shape = if unsafe { (api.TensorTypeAndShape_HasShape)(tensor) } {
            let mut rank = 0;
            // SAFETY: as above.
            check(unsafe { (api.GetDimensionsCount)(tensor, &mut rank) })?;
            let mut dims = vec![-1; rank];
            // SAFETY: as above; `dims` has room for `rank` dimensions.
            check(unsafe { (api.GetDimensions)(tensor, dims.as_mut_ptr(), rank) })?;
            ShapeSpec::of(&dims)
        } else {
            ShapeSpec::any()
        };
        Ok(Declared::Tensor { dtype, number, shape })
    }

    /// The tensor as an input: borrowed where its elements have a fixed size, copied where they are strings.
    pub(crate) fn input<'a>(&self, tensor: TensorView<'a>) -> Result<Input<'a>, Said> {
        let dims = tensor.shape().dims();
        let Some(element) = element(tensor.dtype()) else {
            return Err(refuse(format!("ONNX has no element type {}", tensor.dtype())));
        };
        let api = ort::api();
        let mut value = ptr::null_mut();
        let Some(bytes) = tensor.bytes() else {
            let mut allocator = ptr::null_mut();
            // SAFETY: `allocator` is a place to write to; what is written lives as long as the process.
            check(unsafe { (api.GetAllocatorWithDefaultOptions)(&mut allocator) })?;
            // SAFETY: the allocator lives; `dims` holds as many dimensions as it is long.
            check(unsafe {
                (api.CreateTensorAsOrtValue)(allocator, dims.as_ptr(), dims.len(), element, &mut value)
            })?;
            // SAFETY: just created, and released by its own function.
            let value = unsafe { Owned::new(value, api.ReleaseValue) }?;
            if let Some(strings) = tensor.strings() {
                fill(&value, strings)?;
            }
            return Ok(Input { value, range: 0..0, borrowed: PhantomData });
        };
        // SAFETY: the bytes are as many as the shape needs, and aligned, as every `TensorView`'s are. They are borrowed
        // for `'a`, as the value returned is. ONNX Runtime takes a mutable pointer, and does not write to inputs.
        check(unsafe {
            (api.CreateTensorWithDataAsOrtValue)(
                self.memory.get(),
                bytes.as_ptr().cast_mut().cast(),
                bytes.len(),
                dims.as_ptr(),
                dims.len(),
                element,
                &mut value,
            )
        })?;
        // SAFETY: just created, and released by its own function.
        let value = unsafe { Owned::new(value, api.ReleaseValue) }?;
        let start = bytes.as_ptr().addr();
        Ok(Input { value, range: start..start.saturating_add(bytes.len()), borrowed: PhantomData })
    }

    /// Runs the model: the outputs named, in that order, in memory that outlives the inputs and the model.
    pub(crate) fn run(
        &self,
        inputs: &[(&CStr, Input<'_>)],
        outputs: &[&CStr],
    ) -> Result<Vec<Result<Tensor, String>>, Said> {
        let input_names: Vec<*const c_char> = inputs.iter().map(|(name, _)| name.as_ptr()).collect();
        let input_values: Vec<*const OrtValue> =
            inputs.iter().map(|(_, input)| input.value.get().cast_const()).collect();
        let output_names: Vec<*const c_char> = outputs.iter().map(|name| name.as_ptr()).collect();
        let mut output_values: Vec<*mut OrtValue> = vec![ptr::null_mut(); outputs.len()];
        // SAFETY: every array is as long as its length says; names and values outlive the call, and so does the
        // session. No run options. Null output values ask ONNX Runtime to make them. Many threads may be here at once.
        check(unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                ptr::null(),
                input_names.as_ptr(),
                input_values.as_ptr(),
                inputs.len(),
                output_names.as_ptr(),
                outputs.len(),
                output_values.as_mut_ptr(),
            )
        })?;
        // All are taken over before any is looked at, so that none is lost.
        // SAFETY: made by the run for its caller, and released by their own function.
        let values =
            output_values.into_iter().map(|value| unsafe { Owned::new(value, ort::api().ReleaseValue) });
        let values: Vec<_> = values.collect();
        Ok(values
            .into_iter()
            .map(|value| self.output(value.map_err(|said| said.to_string())?, inputs))
            .collect())
    }

    /// An output of a run as a tensor.
    fn output(&self, value: Owned<OrtValue>, inputs: &[(&CStr, Input<'_>)]) -> Result<Tensor, String> {
        let api = ort::api();
        let said = |said: Said| said.to_string();
        let (mut number, mut dims, mut rank): (i32, _, _) = (0, ptr::null(), 0);
        // SAFETY: the value lives. What is no tensor is refused.
        check(unsafe {
            (api.GetTensorElementTypeAndShapeDataReference)(
                value.get(),
                (&raw mut number).cast(),
                &mut dims,
                &mut rank,
            )
        })
        .map_err(said)?;
        let dtype = DType::ALL.into_iter().find(|dtype| element(*dtype).is_some_and(|e| e as i32 == number));
        let dtype =
            dtype.ok_or_else(|| format!("has ONNX's element type {number}, which no answer can carry"))?;
        // SAFETY: `dims` points to `rank` dimensions, which are part of the value; it may be null where there are none.
        let dims = if rank == 0 { &[] } else { unsafe { std::slice::from_raw_parts(dims, rank) } };
        let shape = Shape::new(dims).map_err(|error| error.to_string())?;
        let Some(length) = shape.byte_count(dtype) else {
            let strings = read(&value, shape.element_count()).map_err(said)?;
            return Tensor::from_strings(shape, strings).map_err(|error| error.to_string());
        };
        let bytes =
            if length == 0 { Bytes::new() } else { self.memory_of(value, length, inputs).map_err(said)? };
        Tensor::from_bytes(dtype, shape, bytes).map_err(|error| error.to_string())
    }

    /// The `length` bytes of a tensor's elements, not copied but where they are an input's.
    fn memory_of(
        &self,
        value: Owned<OrtValue>,
        length: usize,
        inputs: &[(&CStr, Input<'_>)],
    ) -> Result<Bytes, Said> {
        let mut data = ptr::null_mut();
        // SAFETY: the value lives, and is a tensor of elements of fixed size.
        check(unsafe { (ort::api().GetTensorMutableData)(value.get(), &mut data) })?;
        let start =
            NonNull::new(data.cast::<u8>()).ok_or_else(|| refuse("a tensor without memory".to_owned()))?;
        let memory = OutputMemory { start, length, _value: value, _session: Arc::clone(&self.session) };
        // A graph may return an input as it is; its memory is borrowed, and must not be handed on.
        if inputs.iter().any(|(_, input)| input.range.contains(&start.as_ptr().addr())) {
            return Ok(Bytes::copy_from_slice(memory.as_ref()));
        }
        Ok(Bytes::from_owner(memory))
    }
}

/// Memory that ONNX Runtime wrote an output to; or a weight's, where the graph returns one.
struct OutputMemory {
    start: NonNull<u8>,
    length: usize,
    /// Owns the memory.
    _value: Owned<OrtValue>,
    /// Owns it where it is a weight's, and what the value is released with.
    _session: Arc<SharedSessionInner>,
}

// SAFETY: nobody writes to the memory any more, and a value may be released on any thread.
unsafe impl Send for OutputMemory {}
// SAFETY: as above; all that a shared reference does is read.
unsafe impl Sync for OutputMemory {}

impl AsRef<[u8]> for OutputMemory {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the value's shape and element type need `length` bytes; they live as long as the value does.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

/// Something that ONNX Runtime made and that is ours to release.
struct Owned<T> {
    pointer: NonNull<T>,
    release: unsafe extern "system" fn(*mut T),
}

impl<T> Owned<T> {
    /// Takes `pointer` over.
    ///
    /// # Safety
    /// It is null, or was made by ONNX Runtime for its caller, is nobody else's, and `release` releases its kind.
    unsafe fn new(pointer: *mut T, release: unsafe extern "system" fn(*mut T)) -> Result<Self, Said> {
        match NonNull::new(pointer) {
            Some(pointer) => Ok(Self { pointer, release }),
            None => Err(refuse("ONNX Runtime returned nothing".to_owned())),
        }
    }

    fn get(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: as `new` demands; released this once.
        unsafe { (self.release)(self.pointer.as_ptr()) }
    }
}

// SAFETY: a memory info never changes, and may be released on any thread.
unsafe impl Send for Owned<OrtMemoryInfo> {}
// SAFETY: as above.
unsafe impl Sync for Owned<OrtMemoryInfo> {}

/// Copies the elements into a string tensor of as many.
fn fill(value: &Owned<OrtValue>, strings: StringsView<'_>) -> Result<(), Said> {
    for (index, string) in strings.iter().enumerate() {
        let mut buffer = ptr::null_mut();
        // SAFETY: the value lives, and is a tensor of strings; an index past its end is refused.
        check(unsafe {
            (ort::api().GetResizedStringTensorElementBuffer)(value.get(), index, string.len(), &mut buffer)
        })?;
        if !string.is_empty() {
            // SAFETY: the buffer was just made as long as the string, and is not the string's own memory.
            unsafe { ptr::copy_nonoverlapping(string.as_ptr(), buffer.cast::<u8>(), string.len()) };
        }
    }
    Ok(())
}

/// Copies the `count` elements out of a string tensor.
fn read(value: &Owned<OrtValue>, count: usize) -> Result<Strings, Said> {
    if count == 0 {
        return Ok(Strings::default());
    }
    let mut length = 0;
    // SAFETY: the value lives, and is a tensor of strings.
    check(unsafe { (ort::api().GetStringTensorDataLength)(value.get(), &mut length) })?;
    let mut buffer = vec![0u8; length];
    let mut starts = vec![0usize; count];
    // SAFETY: as above; the buffer is as long as all strings together, and there is a start for each.
    check(unsafe {
        (ort::api().GetStringTensorContent)(
            value.get(),
            buffer.as_mut_ptr().cast(),
            length,
            starts.as_mut_ptr(),
            starts.len(),
        )
    })?;
    let ends = starts.iter().skip(1).copied().chain([length]);
    let spans = starts.iter().zip(ends).map(|(start, end)| (*start, end.saturating_sub(*start))).collect();
    Strings::from_spans(buffer.into(), spans).map_err(|error| refuse(error.to_string()))
}

fn check(status: sys::OrtStatusPtr) -> Result<(), Said> {
    // SAFETY: every status that comes here was just returned by ONNX Runtime, and is nobody else's.
    unsafe { ort::Error::result_from_status(status) }.map_err(Said::from)
}

fn refuse(message: String) -> Said {
    ort::Error::<()>::new(message).into()
}

/// ONNX's element type; `None` where it has none, as for TensorFlow's quantised integers.
fn element(dtype: DType) -> Option<Element> {
    Some(match dtype {
        DType::Bool => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        DType::U8 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        DType::U16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        DType::U32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        DType::U64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        DType::I8 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        DType::I16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        DType::I32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        DType::I64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        DType::F16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        DType::F32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        DType::F64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        DType::String => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
        DType::BF16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
        DType::C64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX64,
        DType::C128 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX128,
        DType::F8E4M3FN => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FN,
        DType::F8E4M3FNUZ => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FNUZ,
        DType::F8E5M2 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2,
        DType::F8E5M2FNUZ => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2FNUZ,
        DType::QI8 | DType::QU8 | DType::QI16 | DType::QU16 | DType::QI32 => return None,
    })
}

/// What a value that is no tensor is, for a message.
fn kind_name(kind: i32) -> &'static str {
    match kind {
        kind if kind == ONNXType::ONNX_TYPE_SEQUENCE as i32 => "a sequence",
        kind if kind == ONNXType::ONNX_TYPE_MAP as i32 => "a map",
        kind if kind == ONNXType::ONNX_TYPE_OPAQUE as i32 => "opaque",
        kind if kind == ONNXType::ONNX_TYPE_SPARSETENSOR as i32 => "a sparse tensor",
        kind if kind == ONNXType::ONNX_TYPE_OPTIONAL as i32 => "an optional value",
        _ => "of an unknown kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{environment, library::LibrarySearch, threads::Spawner};
    use std::num::NonZeroUsize;
    use std::path::{Path, PathBuf};

    #[test]
    fn every_element_type_of_onnx_is_told_apart() {
        let mut numbers: Vec<_> = DType::ALL.into_iter().filter_map(element).map(|e| e as i32).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    }

    /// As in `tests/common`.
    fn library() -> Option<String> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let cache = || variable("SALVER_CACHE").or_else(|| Some(variable("HOME")? + "/.cache/salver"));
        let fetched = || Some(cache()? + "/onnxruntime-1.31.1/libonnxruntime.so.1.31.1");
        let library =
            variable("SALVER_ONNXRUNTIME_LIBRARY").or_else(fetched).filter(|path| Path::new(path).is_file());
        if library.is_none() {
            println!("skipped: no ONNX Runtime; `cargo xtask fetch onnxruntime` gets it");
        }
        library
    }

    #[test]
    fn inputs_are_read_and_outputs_handed_on_where_they_lie_but_an_input_returned_is_copied() {
        let Some(library) = library() else { return };
        let environment =
            environment::open(&LibrarySearch::new(), Some(&library), NonZeroUsize::MIN, &Spawner::start())
                .unwrap();
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/identity/FP32.onnx");
        let session = Session::builder(&environment).unwrap().commit_from_file(file).unwrap();
        let session = SharedSession::new(&session).unwrap();

        let x = Tensor::from_vec(Shape::new(&[2]).unwrap(), vec![1f32, 2.0]).unwrap();
        let address = |tensor: &Tensor| tensor.fixed().unwrap().as_ptr().addr();
        // An input's own value, taken for an output's: its memory is `x`'s, and stays where it is.
        let output = session.output(session.input(x.view()).unwrap().value, &[]).unwrap();
        assert_eq!((address(&output), &output), (address(&x), &x));
        // The same among the outputs of a run whose input it is.
        let inputs = [(c"x", session.input(x.view()).unwrap())];
        let output = session.output(session.input(x.view()).unwrap().value, &inputs).unwrap();
        assert_ne!(address(&output), address(&x));
        assert_eq!(output, x);
    }
}
