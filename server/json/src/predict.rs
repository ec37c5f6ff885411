//! TensorFlow Serving's predict request.
//!
//! It is read in two steps, because the element types come from the signature that it names: [`PredictRequest::read`]
//! checks the syntax and finds the values, [`PredictRequest::inputs`] reads them. As in TensorFlow Serving, keys that
//! nobody knows and bytes after the object are ignored. Unlike it, 16-bit floats and UINT16 are read, narrow integers
//! are checked against their range, and inputs that the signature calls optional may be left out.

use jiter::Peek;
use salver_core_signature::{Signature, TensorSpec};
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Tensor};

use crate::column::{Column, column, no_json_form};
use crate::reader::{Raw, Reader};

/// How a request's or an answer's tensors lie in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A list of instances, each with a value of every tensor: `instances`, answered by `predictions`.
    Row,
    /// Every tensor as a whole: `inputs`, answered by `outputs`.
    Column,
}

/// A predict request whose tensors are found but not read yet.
#[derive(Clone, Debug)]
pub struct PredictRequest<'j> {
    signature_name: String,
    form: Form,
    values: Raw<'j>,
}

/// A key of the request.
#[derive(Clone, Copy)]
enum Key {
    SignatureName,
    Values(Form),
    Other,
}

impl<'j> PredictRequest<'j> {
    /// Checks the syntax of `body` and finds where the tensors are.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: not JSON, not an object, or not exactly one of `instances` and `inputs`.
    pub fn read(body: &'j [u8]) -> Result<Self, Status> {
        let classify = |key: &str| match key {
            "signature_name" => Key::SignatureName,
            "instances" => Key::Values(Form::Row),
            "inputs" => Key::Values(Form::Column),
            _ => Key::Other,
        };
        let mut reader = Reader::new(body);
        let mut signature_name = None;
        let mut values = None;
        let peek = reader.peek()?;
        let mut next = reader.enter_object(peek, classify)?;
        while let Some(key) = next {
            let peek = reader.peek()?;
            let at = reader.position();
            match key {
                Key::SignatureName => {
                    let name = reader.string(peek, str::to_owned);
                    let name =
                        name.map_err(|status| status.context("'signature_name' key must be a string value"))?;
                    if signature_name.replace(name).is_some() {
                        return Err(Status::invalid_argument("`signature_name` is there twice"));
                    }
                }
                Key::Values(form) => {
                    if values.replace((form, reader.raw()?)).is_some() {
                        return Err(Status::invalid_argument(format!(
                            "wanted exactly one of `instances` and `inputs`, found a second at byte {at}"
                        )));
                    }
                }
                Key::Other => reader.skip(peek)?,
            }
            next = reader.next_key(classify)?;
        }
        let Some((form, values)) = values else {
            return Err(Status::invalid_argument(
                "neither `instances` nor `inputs` is there, wanted one of them",
            ));
        };
        Ok(Self { signature_name: signature_name.unwrap_or_default(), form, values })
    }

    /// The signature that the request names; empty where it names none.
    pub fn signature_name(&self) -> &str {
        &self.signature_name
    }

    /// The form of the request, which the answer takes too.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Reads the tensors, as many as there are, in the element types of `signature`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the values do not make up tensors, UNIMPLEMENTED where an element type has no JSON form.
    pub fn inputs(&self, signature: &Signature) -> Result<Vec<(String, Tensor)>, Status> {
        let reader = Reader::of(self.values);
        match self.form {
            Form::Row => read_rows(reader, &signature.inputs),
            Form::Column => read_columns(reader, &signature.inputs),
        }
    }
}

fn column_of(spec: &TensorSpec) -> Result<Box<dyn Column>, Status> {
    column(spec.dtype).ok_or_else(|| of_input(no_json_form(spec.dtype), spec))
}

fn of_input(status: Status, spec: &TensorSpec) -> Status {
    status.context(format_args!("input {}", Quoted(&spec.name)))
}

/// Whether an object may be a value: base64 of the only input, even of one called `b64`, as in TensorFlow Serving.
fn may_be_base64(specs: &[TensorSpec]) -> bool {
    matches!(specs, [spec] if spec.dtype == DType::String)
}

fn read_rows(mut reader: Reader<'_>, specs: &[TensorSpec]) -> Result<Vec<(String, Tensor)>, Status> {
    let mut columns: Vec<_> = specs.iter().map(column_of).collect::<Result<_, _>>()?;
    let may_be_base64 = may_be_base64(specs);
    let mut is_named = None;
    let mut row = 0;
    let peek = reader.peek()?;
    let mut next = reader.enter_list(peek).map_err(|status| status.context("`instances`"))?;
    if next.is_none() {
        return Err(Status::invalid_argument("`instances` is empty, wanted one instance or more"));
    }
    while let Some(peek) = next {
        let is_object = peek == Peek::Object && !(may_be_base64 && reader.is_base64());
        if *is_named.get_or_insert(is_object) != is_object {
            let at = reader.position();
            return Err(Status::invalid_argument(format!(
                "instance {row} at byte {at}: some instances are objects and some are plain values"
            )));
        }
        let outcome = match columns.as_mut_slice() {
            columns if is_object => read_row(&mut reader, peek, specs, columns, row),
            [column] => column.read_nested(&mut reader, peek),
            _ => Err(reader.unexpected(peek, "an object, since the signature has several inputs")),
        };
        outcome.map_err(|status| status.context(format_args!("instance {row}")))?;
        row += 1;
        next = reader.next_item()?;
    }
    let mut inputs = Vec::with_capacity(specs.len());
    for (spec, column) in specs.iter().zip(columns) {
        if column.values() > 0 {
            let tensor = column.into_rows().map_err(|status| of_input(status, spec))?;
            inputs.push((spec.name.clone(), tensor));
        }
    }
    Ok(inputs)
}

/// Reads an instance that is an object: exactly the signature's inputs, by name.
fn read_row(
    reader: &mut Reader<'_>,
    peek: Peek,
    specs: &[TensorSpec],
    columns: &mut [Box<dyn Column>],
    row: usize,
) -> Result<(), Status> {
    let find = |key: &str| {
        let index = specs.iter().position(|spec| spec.name == key);
        index.ok_or_else(|| {
            Status::invalid_argument(format!("{} is none of the signature's inputs", Quoted(key)))
        })
    };
    let mut next = reader.enter_object(peek, find)?;
    while let Some(index) = next {
        let index = index?;
        let (Some(spec), Some(column)) = (specs.get(index), columns.get_mut(index)) else {
            return Err(Status::internal("an input without a column"));
        };
        if column.values() != row {
            let problem =
                if column.values() > row { "is there twice" } else { "is not in the instances before" };
            return Err(Status::invalid_argument(format!("input {} {problem}", Quoted(&spec.name))));
        }
        let peek = reader.peek()?;
        column.read_nested(reader, peek).map_err(|status| of_input(status, spec))?;
        next = reader.next_key(find)?;
    }
    for (spec, column) in specs.iter().zip(&*columns) {
        let may_be_missing = spec.is_optional && column.values() == 0;
        if column.values() == row && !may_be_missing {
            return Err(Status::invalid_argument(format!("input {} is missing", Quoted(&spec.name))));
        }
    }
    Ok(())
}

fn read_columns(mut reader: Reader<'_>, specs: &[TensorSpec]) -> Result<Vec<(String, Tensor)>, Status> {
    let peek = reader.peek()?;
    let is_object = peek == Peek::Object && !(may_be_base64(specs) && reader.is_base64());
    match specs {
        _ if is_object => read_named_columns(reader, peek, specs),
        [spec] => {
            let tensor = read_column(&mut reader, peek, spec)?;
            Ok(vec![(spec.name.clone(), tensor)])
        }
        _ => Err(reader
            .unexpected(peek, "an object, since the signature has several inputs")
            .context("`inputs`")),
    }
}

fn read_named_columns(
    mut reader: Reader<'_>,
    peek: Peek,
    specs: &[TensorSpec],
) -> Result<Vec<(String, Tensor)>, Status> {
    let find = |key: &str| specs.iter().find(|spec| spec.name == key);
    let mut inputs: Vec<(String, Tensor)> = Vec::with_capacity(specs.len());
    let mut next = reader.enter_object(peek, find)?;
    while let Some(spec) = next {
        let peek = reader.peek()?;
        match spec {
            None => reader.skip(peek)?,
            Some(spec) if inputs.iter().any(|(name, _)| *name == spec.name) => {
                return Err(of_input(Status::invalid_argument("is there twice"), spec));
            }
            Some(spec) => {
                let tensor = read_column(&mut reader, peek, spec)?;
                inputs.push((spec.name.clone(), tensor));
            }
        }
        next = reader.next_key(find)?;
    }
    Ok(inputs)
}

fn read_column(reader: &mut Reader<'_>, peek: Peek, spec: &TensorSpec) -> Result<Tensor, Status> {
    let mut column = column_of(spec)?;
    let outcome = column.read_nested(reader, peek).and_then(|()| column.into_value());
    outcome.map_err(|status| of_input(status, spec))
}

#[cfg(test)]
mod tests;
