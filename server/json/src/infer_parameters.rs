//! The `parameters` of an infer request, of its inputs and of its outputs.

use jiter::Peek;
use salver_core_platform::{OptionValue, Options};
use salver_core_status::{Quoted, Status};

use crate::reader::Reader;

/// The parameters of a request.
#[derive(Default)]
pub(crate) struct RequestParameters {
    /// Those for the server and the model.
    pub(crate) options: Options,
    /// `binary_data_output`: how outputs that are not asked for by name are written.
    pub(crate) is_binary_by_default: bool,
}

pub(crate) fn read_request_parameters(
    reader: &mut Reader<'_>,
    peek: Peek,
) -> Result<RequestParameters, Status> {
    let mut parameters = RequestParameters::default();
    for_each(reader, peek, |reader, peek, name| {
        if name.starts_with("triton_") {
            return Err(Status::invalid_argument("names that begin with 'triton_' are reserved"));
        }
        if name == "binary_data_output" {
            parameters.is_binary_by_default = reader.boolean(peek)?;
            return Ok(());
        }
        let value = read_value(reader, peek)?;
        // The protocol's words for no sequence are 0 and the empty text.
        if name == "sequence_id" && value != OptionValue::Int(0) && value != OptionValue::Text(String::new())
        {
            return Err(Status::unimplemented("sequences are not supported"));
        }
        parameters.options.set(name, value);
        Ok(())
    })?;
    Ok(parameters)
}

/// The input's `binary_data_size`.
pub(crate) fn read_input_parameters(reader: &mut Reader<'_>, peek: Peek) -> Result<Option<usize>, Status> {
    let mut binary_data_size = None;
    for_each(reader, peek, |reader, peek, name| match name {
        "binary_data_size" => {
            let at = reader.position();
            let size = reader.integer(peek)?;
            let size = usize::try_from(size);
            let size =
                size.map_err(|_| Status::invalid_argument(format!("no size in bytes at byte {at}")))?;
            binary_data_size = Some(size);
            Ok(())
        }
        name if is_shared_memory(name) => Err(no_shared_memory()),
        _ => reader.skip(peek),
    })?;
    Ok(binary_data_size)
}

/// The output's `binary_data`.
pub(crate) fn read_output_parameters(reader: &mut Reader<'_>, peek: Peek) -> Result<bool, Status> {
    let mut is_binary = false;
    for_each(reader, peek, |reader, peek, name| match name {
        "binary_data" => {
            is_binary = reader.boolean(peek)?;
            Ok(())
        }
        "classification" => Err(Status::unimplemented("the classification extension is not supported")),
        name if is_shared_memory(name) => Err(no_shared_memory()),
        _ => reader.skip(peek),
    })?;
    Ok(is_binary)
}

/// Gives every parameter to `take`, whose failures then name it.
fn for_each(
    reader: &mut Reader<'_>,
    peek: Peek,
    mut take: impl FnMut(&mut Reader<'_>, Peek, &str) -> Result<(), Status>,
) -> Result<(), Status> {
    let invalid = |status: Status| status.context("Unable to parse 'parameters'");
    let mut next = reader.enter_object(peek, str::to_owned).map_err(invalid)?;
    while let Some(name) = next {
        let peek = reader.peek().map_err(invalid)?;
        take(reader, peek, &name)
            .map_err(|status| status.context(format_args!("parameter {}", Quoted(&name))))?;
        next = reader.next_key(str::to_owned).map_err(invalid)?;
    }
    Ok(())
}

fn read_value(reader: &mut Reader<'_>, peek: Peek) -> Result<OptionValue, Status> {
    match peek {
        Peek::True | Peek::False => reader.boolean(peek).map(OptionValue::Bool),
        Peek::String => reader.string(peek, str::to_owned).map(OptionValue::Text),
        peek if peek.is_num() => match reader.integer(peek).map(i64::try_from) {
            Ok(Ok(integer)) => Ok(OptionValue::Int(integer)),
            Ok(Err(_)) => Err(Status::invalid_argument("the integer is out of the range of 64 bits, signed")),
            // Not an integer, and not consumed.
            Err(_) => reader.float(peek).map(OptionValue::Float),
        },
        _ => Err(reader.unexpected(peek, "true or false, a number or a string")),
    }
}

fn is_shared_memory(name: &str) -> bool {
    matches!(name, "shared_memory_region" | "shared_memory_byte_size" | "shared_memory_offset")
}

fn no_shared_memory() -> Status {
    Status::unimplemented("the shared memory extensions are not supported")
}
