//! The Open Inference Protocol's infer response, with the binary extension.

use bytes::Bytes;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Tensor};

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
    pub tensor: &'a Tensor,
    /// Whether its elements follow the JSON in binary.
    pub is_binary: bool,
}

/// A written response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedResponse {
    /// The JSON.
    pub json: Vec<u8>,
    /// The elements of each binary output, to follow the JSON in this order; not copied. `None` where no output is
    /// binary, and the JSON is all there is.
    pub tail: Option<Vec<Bytes>>,
}

impl InferResponse<'_> {
    /// Writes the response.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where an output that is not asked for in binary has no JSON form: 16-bit floats and strings
    /// that are not UTF-8.
    pub fn write(&self) -> Result<EncodedResponse, Status> {
        let in_json = self.outputs.iter().filter(|output| !output.is_binary);
        let elements = in_json.map(|output| output.tensor.shape().element_count());
        // A guess that is right for small integers, and a start for the rest.
        let guess = elements.fold(128, usize::saturating_add).saturating_mul(2);
        let mut out = Vec::with_capacity(guess);
        out.extend_from_slice(b"{\"model_name\":");
        write_text(&mut out, self.model_name);
        out.extend_from_slice(b",\"model_version\":");
        write_text(&mut out, self.model_version);
        if let Some(id) = self.id {
            out.extend_from_slice(b",\"id\":");
            write_text(&mut out, id);
        }
        out.extend_from_slice(b",\"outputs\":[");
        let mut tail = None;
        for (index, output) in self.outputs.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            if let Some(elements) = output.write(&mut out)? {
                tail.get_or_insert_with(Vec::new).push(elements);
            }
        }
        out.extend_from_slice(b"]}");
        Ok(EncodedResponse { json: out, tail })
    }
}

impl ResponseOutput<'_> {
    /// Writes the output; its elements, where they are binary and follow later.
    fn write(&self, out: &mut Vec<u8>) -> Result<Option<Bytes>, Status> {
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
        let elements = self.is_binary.then(|| self.elements()).transpose()?;
        if let Some(elements) = &elements {
            out.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
            out.extend_from_slice(itoa::Buffer::new().format(elements.len()).as_bytes());
            out.push(b'}');
        } else {
            out.extend_from_slice(b",\"data\":");
            self.write_data(out)?;
        }
        out.push(b'}');
        Ok(elements)
    }

    fn write_data(&self, out: &mut Vec<u8>) -> Result<(), Status> {
        let name = Quoted(self.name).to_string().replace('`', "'");
        let dtype = self.tensor.dtype();
        if matches!(dtype, DType::F16 | DType::BF16) {
            return Err(Status::invalid_argument(format!(
                "sending {dtype} data via JSON is not supported. Please use the binary data format for output {name}"
            )));
        }
        let tensor = self.tensor.view();
        let outcome = write_elements(out, tensor, 0..tensor.len(), Layout::Flat, StringForm::Text);
        outcome.map_err(|status| {
            status.context(format_args!("output {name} has no JSON form, please use the binary data format"))
        })
    }

    /// The elements in binary.
    fn elements(&self) -> Result<Bytes, Status> {
        match (self.tensor.fixed(), self.tensor.strings()) {
            (Some(bytes), _) => Ok(bytes.clone()),
            (None, Some(strings)) => Ok(strings.view().to_length_prefixed()?),
            (None, None) => Ok(Bytes::new()),
        }
    }
}
