//! A model's signatures, out of the tables and checked.

use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
use salver_core_tensor::{DType, Shape};
use salver_plugins_abi as abi;

use crate::outputs;

/// The most signatures, inputs or outputs that are read: a count beyond it is taken for garbage.
const COUNT_LIMIT: usize = 65_536;

/// Reads signatures.
///
/// # Errors
/// A sentence that says what is wrong.
///
/// # Safety
/// What `signatures` points to, where pointers and counts can be right, is valid during the call.
pub(crate) unsafe fn read(signatures: abi::Signatures) -> Result<SignatureSet, String> {
    // SAFETY: the caller's promise is `list`'s.
    let tables = unsafe { list(signatures.data, signatures.count, "the list of signatures") }?;
    let mut read = Vec::with_capacity(tables.len());
    for table in tables {
        // SAFETY: as above; the same holds for all that the table points to.
        read.push(unsafe { signature(table) }?);
    }
    SignatureSet::new(read).map_err(|error| error.to_string())
}

unsafe fn signature(table: &abi::Signature) -> Result<Signature, String> {
    // SAFETY: the caller's promise is this function's, here and below.
    let name = unsafe { text(table.name, "the name of a signature") }?;
    if name.is_empty() {
        return Err("a signature has no name".to_owned());
    }
    // SAFETY: as above.
    let method = match unsafe { text(table.method, "the method of a signature") }? {
        method if method.is_empty() => Signature::PREDICT.to_owned(),
        method => method,
    };
    // SAFETY: as above.
    let inputs = unsafe { specs(table.inputs, table.input_count, "input") };
    // SAFETY: as above.
    let outputs = unsafe { specs(table.outputs, table.output_count, "output") };
    let within = |what| format!("signature `{name}`: {what}");
    Ok(Signature {
        inputs: inputs.map_err(within)?,
        outputs: outputs.map_err(within)?,
        name: name.clone(),
        method,
    })
}

unsafe fn specs(first: *const abi::TensorSpec, count: usize, kind: &str) -> Result<Vec<TensorSpec>, String> {
    // SAFETY: the caller's promise is this function's, here and below.
    let tables = unsafe { list(first, count, &format!("the list of {kind}s")) }?;
    let mut specs = Vec::with_capacity(tables.len());
    for table in tables {
        // SAFETY: as above.
        let name = unsafe { text(table.name, &format!("the name of an {kind}")) }?;
        if name.is_empty() {
            return Err(format!("an {kind} has no name"));
        }
        // SAFETY: as above.
        let spec = unsafe { spec(table, &name) };
        specs.push(spec.map_err(|what| format!("{kind} `{name}` {what}"))?);
    }
    Ok(specs)
}

unsafe fn spec(table: &abi::TensorSpec, name: &str) -> Result<TensorSpec, String> {
    let dtype = DType::from_u32(table.dtype)
        .ok_or_else(|| format!("has the unknown element type {}", table.dtype))?;
    let shape = match usize::try_from(table.rank) {
        Ok(rank) if rank <= Shape::MAX_RANK => {
            // SAFETY: the caller's promise is this function's.
            let dims = unsafe { abi::array(table.shape, rank) }.map_err(|_| "has a null shape".to_owned())?;
            ShapeSpec::of(dims)
        }
        Err(_) if table.rank == abi::ANY_RANK => ShapeSpec::any(),
        _ => return Err(format!("has {} dimensions, wanted 0 to {}, or -1", table.rank, Shape::MAX_RANK)),
    };
    let spec = TensorSpec::new(name, dtype, shape);
    if table.flags & !abi::OPTIONAL != 0 {
        return Err(format!("has the unknown flags {:#x}", table.flags & !abi::OPTIONAL));
    }
    if table.flags & abi::OPTIONAL == 0 {
        return Ok(spec);
    }
    if table.default_value.is_null() {
        return Ok(spec.optional(None));
    }
    // SAFETY: as above: not null, and so a valid tensor, if it is aligned.
    let table = unsafe { abi::array(table.default_value, 1) }.ok().and_then(<[_]>::first);
    let table = table.ok_or("has a misaligned default")?;
    // SAFETY: as above.
    let default = unsafe { outputs::copy(table) }.map_err(|what| format!("has a default that {what}"))?;
    spec.check(&default).map_err(|error| format!("has a default that does not fit: {error}"))?;
    Ok(spec.optional(Some(default)))
}

/// # Safety
/// As [`abi::array`].
unsafe fn list<'a, T>(first: *const T, count: usize, what: &str) -> Result<&'a [T], String> {
    if count > COUNT_LIMIT {
        return Err(format!("{what} has {count} entries, at most {COUNT_LIMIT} are read"));
    }
    // SAFETY: the caller's promise is this function's.
    unsafe { abi::array(first, count) }.map_err(|_| format!("{what} is null or misaligned"))
}

/// # Safety
/// As [`abi::Str::bytes`].
pub(crate) unsafe fn text(text: abi::Str, what: &str) -> Result<String, String> {
    // SAFETY: the caller's promise is this function's.
    let bytes = unsafe { list(text.data.cast::<u8>(), text.size, what) }?;
    String::from_utf8(bytes.to_owned()).map_err(|_| format!("{what} is not UTF-8"))
}
