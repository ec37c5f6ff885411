//! The Open Inference Protocol's infer response, with the binary extension.

use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, TensorView};

use crate::write::{Layout, StringForm, write_elements, write_text};

/// An infer response to be written.
#[derive(Clone, Debug)]
pub struct InferResponse<'a> {
    /// The model.
    pub model_name: &'a str,
    /// The version that answered.
    pub model_version: &'a str,
    /// The request's id, where it had one.
    pub id: Option<&'a str>,
    /// The outputs.
    pub outputs: Vec<ResponseOutput<'a>>,
}

/// An output to be written.
#[derive(Clone, Copy, Debug)]
pub struct ResponseOutput<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub tensor: TensorView<'a>,
    /// Whether its elements follow the JSON in binary.
    pub is_binary: bool,
}

/// A written response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedResponse {
    /// The JSON, and after it the elements of the binary outputs.
    pub body: Vec<u8>,
    /// How many bytes of it are JSON; `None` where no output is binary, and all of them are.
    pub json_length: Option<usize>,
}

impl InferResponse<'_> {
    /// Writes the response.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where an output that is not asked for in binary has no JSON form: 16-bit floats and strings
    /// that are not UTF-8.
    pub fn write(&self) -> Result<EncodedResponse, Status> {
        let elements = self.outputs.iter().map(|output| match output.tensor.bytes() {
            Some(bytes) if output.is_binary => bytes.len(),
            _ => output.tensor.len().saturating_mul(2),
        });
        let mut out = Vec::with_capacity(elements.fold(256, usize::saturating_add));
        out.extend_from_slice(b"{\"model_name\":");
        write_text(&mut out, self.model_name);
        out.extend_from_slice(b",\"model_version\":");
        write_text(&mut out, self.model_version);
        if let Some(id) = self.id {
            out.extend_from_slice(b",\"id\":");
            write_text(&mut out, id);
        }
        out.extend_from_slice(b",\"outputs\":[");
        for (index, output) in self.outputs.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            output.write_json(&mut out)?;
        }
        out.extend_from_slice(b"]}");
        let json_length = out.len();
        for output in self.outputs.iter().filter(|output| output.is_binary) {
            output.write_binary(&mut out)?;
        }
        let has_binary = self.outputs.iter().any(|output| output.is_binary);
        Ok(EncodedResponse { body: out, json_length: has_binary.then_some(json_length) })
    }
}

impl ResponseOutput<'_> {
    fn write_json(&self, out: &mut Vec<u8>) -> Result<(), Status> {
        out.extend_from_slice(b"{\"name\":");
        write_text(out, self.name);
        out.extend_from_slice(b",\"datatype\":\"");
        out.extend_from_slice(self.tensor.dtype().name().as_bytes());
        out.extend_from_slice(b"\",\"shape\":[");
        for (axis, dim) in self.tensor.shape().dims().iter().enumerate() {
            if axis > 0 {
                out.push(b',');
            }
            out.extend_from_slice(itoa::Buffer::new().format(*dim).as_bytes());
        }
        out.push(b']');
        if self.is_binary {
            out.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
            out.extend_from_slice(itoa::Buffer::new().format(self.binary_size()).as_bytes());
            out.push(b'}');
        } else {
            out.extend_from_slice(b",\"data\":");
            self.write_data(out)?;
        }
        out.push(b'}');
        Ok(())
    }

    fn write_data(&self, out: &mut Vec<u8>) -> Result<(), Status> {
        let name = Quoted(self.name).to_string().replace('`', "'");
        let dtype = self.tensor.dtype();
        if matches!(dtype, DType::F16 | DType::BF16) {
            return Err(Status::invalid_argument(format!(
                "sending {dtype} data via JSON is not supported. Please use the binary data format for output {name}"
            )));
        }
        let range = 0..self.tensor.len();
        let outcome = write_elements(out, self.tensor, range, Layout::Flat, StringForm::Text);
        outcome.map_err(|status| {
            status.context(format_args!("output {name} has no JSON form, please use the binary data format"))
        })
    }

    fn binary_size(&self) -> usize {
        match (self.tensor.bytes(), self.tensor.strings()) {
            (Some(bytes), _) => bytes.len(),
            (None, Some(strings)) => strings.total_bytes() + strings.len() * size_of::<u32>(),
            (None, None) => 0,
        }
    }

    fn write_binary(&self, out: &mut Vec<u8>) -> Result<(), Status> {
        if let Some(bytes) = self.tensor.bytes() {
            out.extend_from_slice(bytes);
        }
        if let Some(strings) = self.tensor.strings() {
            out.extend_from_slice(&strings.to_length_prefixed()?);
        }
        Ok(())
    }
}
