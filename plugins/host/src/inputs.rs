//! A request in the form of the tables. What is there already is pointed to, not copied.

use std::os::unix::ffi::OsStrExt;

use salver_core_platform::{Cancellation, LoadRequest, OptionValue, Options, RunRequest};
use salver_core_signature::Signature;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::TensorView;
use salver_plugins_abi as abi;
use smallvec::SmallVec;

/// A request in the form of the tables, and what it points to beside the request itself.
///
/// It is large, and most of it is never written: it is made where it stays, and filled there, since moving it would cost
/// more than the call it is for.
#[derive(Debug, Default)]
pub(crate) struct Described {
    inputs: SmallVec<[abi::Tensor; 8]>,
    /// Where the elements of string tensors are; the tables point into it.
    strings: Vec<Vec<abi::Bytes>>,
    outputs: SmallVec<[u32; 8]>,
    params: Vec<abi::Param>,
}

impl Described {
    /// Describes `request` for `signature`, which is the one it names.
    ///
    /// # Errors
    /// INTERNAL where inputs or outputs are not what the signature says: whoever asks has to check that, and a plugin
    /// in C relies on it.
    #[inline]
    pub(crate) fn fill(&mut self, signature: &Signature, request: &RunRequest<'_>) -> Result<(), Status> {
        if request.inputs.len() != signature.inputs.len() {
            let (found, wanted) = (request.inputs.len(), signature.inputs.len());
            return Err(Status::internal(format!("{found} inputs were bound, wanted {wanted}")));
        }
        for (view, spec) in request.inputs.iter().zip(&signature.inputs) {
            match view {
                Some(view) if view.dtype() == spec.dtype => self.push(view),
                None if spec.is_optional => self.inputs.push(abi::Tensor::NONE),
                _ => {
                    let name = Quoted(&spec.name);
                    return Err(Status::internal(format!("input {name} was bound without being checked")));
                }
            }
        }
        for position in request.outputs {
            match u32::try_from(*position) {
                Ok(number) if *position < signature.outputs.len() => self.outputs.push(number),
                _ => {
                    let count = signature.outputs.len();
                    return Err(Status::internal(format!(
                        "output {position} was asked for, there are {count}"
                    )));
                }
            }
        }
        if request.context.parameters.iter().len() > 0 {
            self.params = params(request.context.parameters);
        }
        Ok(())
    }

    /// Adds a tensor, which the table points into.
    pub(crate) fn push(&mut self, view: &TensorView<'_>) {
        let shape = view.shape().dims();
        let (data, size) = match (view.bytes(), view.strings()) {
            (Some(bytes), _) => (bytes.as_ptr().cast(), bytes.len()),
            (None, strings) => {
                let elements = strings.iter().flat_map(|strings| strings.iter());
                let elements: Vec<_> = elements.map(abi::Bytes::new).collect();
                let place = (elements.as_ptr().cast(), size_of_val(elements.as_slice()));
                self.strings.push(elements);
                place
            }
        };
        // A shape has at most 254 dimensions.
        let (dtype, rank, shape) = (view.dtype() as u32, shape.len() as u32, shape.as_ptr());
        self.inputs.push(abi::Tensor { dtype, rank, shape, data, size });
    }

    /// The tensors that were added, valid as long as they are and `self` is neither changed nor moved.
    pub(crate) fn tensors(&self) -> &[abi::Tensor] {
        &self.inputs
    }

    /// The table, valid as long as `self` and `request` are.
    #[inline]
    pub(crate) fn table(&self, request: &RunRequest<'_>) -> abi::RunRequest {
        let context = &request.context;
        // Not copied where there are none: both were written just now, one by one, and are read as one.
        let (params, param_count) = match self.params.len() {
            0 => (std::ptr::NonNull::<abi::Param>::dangling().as_ptr().cast_const(), 0),
            count => (self.params.as_ptr(), count),
        };
        abi::RunRequest {
            // The caller found a signature at this position, of which a plugin has at most 65,536.
            signature: request.signature as u32,
            inputs: self.inputs.as_ptr(),
            input_count: self.inputs.len(),
            outputs: self.outputs.as_ptr(),
            output_count: self.outputs.len(),
            deadline_ns: context.deadline.map_or(0, abi::monotonic_ns),
            cancelled: cancel_word(context.cancel),
            trace_id: context.trace.trace_id,
            span_id: context.trace.span_id,
            trace_flags: context.trace.flags,
            request_id: abi::Str::new(context.request_id),
            params,
            param_count,
        }
    }
}

/// A load's request in the form of the tables; it points into `request` and `options`, which are its options.
pub(crate) fn load_request(request: &LoadRequest<'_>, options: &[abi::Param]) -> abi::LoadRequest {
    let directory = request.directory.as_os_str().as_bytes();
    abi::LoadRequest {
        name: abi::Str::new(request.id.name.as_str()),
        version: request.id.version.number(),
        directory: abi::Str { data: directory.as_ptr().cast(), size: directory.len() },
        options: options.as_ptr(),
        option_count: options.len(),
        cancelled: cancel_word(request.cancel),
    }
}

/// Settings in the form of the tables; they point into `options`.
pub(crate) fn params(options: &Options) -> Vec<abi::Param> {
    let param = |(name, value): (&str, &OptionValue)| {
        let (kind, integer, number, text) = match value {
            OptionValue::Bool(value) => (abi::PARAM_BOOL, i64::from(*value), 0.0, ""),
            OptionValue::Int(value) => (abi::PARAM_INT, *value, 0.0, ""),
            OptionValue::Float(value) => (abi::PARAM_FLOAT, 0, *value, ""),
            OptionValue::Text(value) => (abi::PARAM_TEXT, 0, 0.0, value.as_str()),
        };
        abi::Param { name: abi::Str::new(name), kind, integer, number, text: abi::Str::new(text) }
    };
    options.iter().map(param).collect()
}

/// Where a plugin reads whether it should give up.
fn cancel_word(cancellation: Cancellation<'_>) -> *const u32 {
    cancellation.word().map_or(std::ptr::null(), |word| word.as_ptr().cast_const())
}
