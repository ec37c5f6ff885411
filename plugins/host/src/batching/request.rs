//! What a plugin asks of a queue, out of the tables and checked.

use std::borrow::Cow;
use std::sync::atomic::AtomicU32;

use salver_core_platform::{Cancellation, OptionValue, Options, RunContext, TraceContext};
use salver_core_servable::{ServableId, Version};
use salver_core_signature::{Signature, SignatureSet};
use salver_core_tensor::Tensor;
use salver_plugins_abi as abi;

use crate::outputs;

/// The most entries of a list that are read: a count beyond it is taken for garbage.
const COUNT_LIMIT: usize = 65_536;

/// The longest name of a step that is taken.
const NAME_LIMIT: usize = 64;

/// A step that is to be run.
pub(super) struct Asked<'a> {
    pub(super) signature: usize,
    /// Copied: a batch may outlast the call of a request that was given up.
    pub(super) inputs: Vec<Option<Tensor>>,
    pub(super) outputs: Vec<usize>,
    pub(super) context: Context<'a>,
}

/// The context of the run that a step is part of.
pub(super) struct Context<'a> {
    table: &'a abi::RunRequest,
    cancel: Cancellation<'a>,
    request_id: Cow<'a, str>,
    parameters: Options,
}

impl<'a> Asked<'a> {
    /// Reads a request for a step that has these signatures.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence.
    ///
    /// # Safety
    /// What `table` points to, where pointers and sizes can be right, is valid during `'a`.
    pub(super) unsafe fn read(table: &'a abi::RunRequest, signatures: &SignatureSet) -> Result<Self, String> {
        let position = table.signature as usize;
        let signature = signatures.as_slice().get(position);
        let signature = signature.ok_or_else(|| format!("named signature {position}, which it has not"))?;
        // SAFETY: the caller's promise is this function's, here and below.
        let inputs = unsafe { inputs(table, signature) }?;
        // SAFETY: as above.
        let listed = unsafe { list(table.outputs, table.output_count, "outputs") }?;
        let mut outputs = Vec::with_capacity(listed.len());
        for position in listed {
            let position = *position as usize;
            if position >= signature.outputs.len() || outputs.contains(&position) {
                let count = signature.outputs.len();
                return Err(format!("wanted output {position} where there are {count}, or twice"));
            }
            outputs.push(position);
        }
        let cancel = match table.cancelled {
            word if word.is_null() => Cancellation::NEVER,
            word if !word.is_aligned() => return Err("gave a flag that is misaligned".to_owned()),
            // SAFETY: as above; it is only read here, as a `Cancellation` does.
            word => Cancellation::by_word(unsafe { AtomicU32::from_ptr(word.cast_mut()) }),
        };
        let context = Context {
            table,
            cancel,
            // SAFETY: as above.
            request_id: unsafe { table.request_id.to_text() },
            // SAFETY: as above.
            parameters: unsafe { options(table.params, table.param_count) }?,
        };
        Ok(Self { signature: position, inputs, outputs, context })
    }
}

impl Context<'_> {
    pub(super) fn lend(&self) -> RunContext<'_> {
        let abi::RunRequest { trace_id, span_id, trace_flags: flags, deadline_ns, .. } = *self.table;
        RunContext {
            deadline: abi::instant_at(deadline_ns),
            cancel: self.cancel,
            trace: TraceContext { trace_id, span_id, flags },
            request_id: &self.request_id,
            parameters: &self.parameters,
        }
    }
}

/// What a step is of, what it is called, and the settings of its queue.
///
/// # Errors
/// What is wrong, as the end of a sentence.
///
/// # Safety
/// What `table` points to, where pointers and sizes can be right, is valid during the call.
pub(super) unsafe fn step(table: &abi::StepV1) -> Result<(ServableId, String, Options), String> {
    // SAFETY: the caller's promise is this function's, here and below.
    let model = unsafe { text(table.model, "a step's model") }?;
    let version =
        Version::new(table.version).ok_or_else(|| format!("named version {} of a model", table.version))?;
    // SAFETY: as above.
    let name = unsafe { text(table.name, "a step") }?;
    if !(1..=NAME_LIMIT).contains(&name.len()) {
        return Err(format!("named a step with {} bytes, wanted 1 to {NAME_LIMIT}", name.len()));
    }
    // SAFETY: as above.
    let options = unsafe { options(table.options, table.option_count) }?;
    Ok((ServableId::new(model, version), name, options))
}

unsafe fn inputs(table: &abi::RunRequest, signature: &Signature) -> Result<Vec<Option<Tensor>>, String> {
    // SAFETY: the caller's promise is this function's, here and below.
    let tables = unsafe { list(table.inputs, table.input_count, "inputs") }?;
    if tables.len() != signature.inputs.len() {
        return Err(format!("gave {} inputs, wanted {}", tables.len(), signature.inputs.len()));
    }
    let mut inputs = Vec::with_capacity(tables.len());
    for (table, spec) in tables.iter().zip(&signature.inputs) {
        let of = |what: String| format!("gave input `{}`, which {what}", spec.name);
        if table.dtype == abi::ABSENT {
            if !spec.is_optional {
                return Err(of("is not optional, as absent".to_owned()));
            }
            inputs.push(spec.default.clone());
            continue;
        }
        // SAFETY: as above.
        let tensor = unsafe { outputs::copy(table) }.map_err(of)?;
        spec.check(&tensor).map_err(|error| of(format!("does not fit: {error}")))?;
        inputs.push(Some(tensor));
    }
    Ok(inputs)
}

unsafe fn options(first: *const abi::Param, count: usize) -> Result<Options, String> {
    // SAFETY: the caller's promise is this function's, here and below.
    let params = unsafe { list(first, count, "parameters") }?;
    let mut options = Options::new();
    for param in params {
        // SAFETY: as above.
        let name = unsafe { text(param.name, "a parameter") }?;
        let value = match param.kind {
            abi::PARAM_BOOL => OptionValue::Bool(param.integer != 0),
            abi::PARAM_INT => OptionValue::Int(param.integer),
            abi::PARAM_FLOAT => OptionValue::Float(param.number),
            // SAFETY: as above.
            abi::PARAM_TEXT => OptionValue::Text(unsafe { text(param.text, "a parameter's text") }?),
            kind => return Err(format!("gave a parameter of the unknown kind {kind}")),
        };
        options.set(name, value);
    }
    Ok(options)
}

/// # Safety
/// As [`abi::array`].
unsafe fn list<'a, T>(first: *const T, count: usize, what: &str) -> Result<&'a [T], String> {
    if count > COUNT_LIMIT {
        return Err(format!("gave {count} {what}, at most {COUNT_LIMIT} are read"));
    }
    // SAFETY: the caller's promise is this function's.
    unsafe { abi::array(first, count) }.map_err(|_| format!("gave {what} that are null or misaligned"))
}

/// # Safety
/// As [`abi::Str::bytes`].
unsafe fn text(text: abi::Str, what: &str) -> Result<String, String> {
    // SAFETY: the caller's promise is this function's.
    let bytes = unsafe { list(text.data.cast::<u8>(), text.size, "bytes") }?;
    String::from_utf8(bytes.to_owned()).map_err(|_| format!("named {what} in bytes that are not UTF-8"))
}

/// What `pointer` leads to.
///
/// # Safety
/// As [`abi::array`].
pub(super) unsafe fn one<'a, T>(pointer: *const T, what: &str) -> Result<&'a T, String> {
    // SAFETY: the caller's promise is this function's.
    let found = unsafe { abi::array(pointer, 1) }.ok().and_then(<[_]>::first);
    found.ok_or_else(|| format!("gave null, or what is misaligned, for {what}"))
}
