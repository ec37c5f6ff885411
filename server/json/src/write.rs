//! Tensors as JSON text, appended to one buffer.

use std::ops::Range;

use base64::Engine;
use salver_core_status::Status;
use salver_core_tensor::{DType, StringsView, TensorView, bf16, f16};

use crate::column::no_json_form;
use crate::element::BASE64;
use crate::number::Number;

/// How string elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StringForm {
    /// As JSON strings, and as base64 where an element is not UTF-8.
    TextIfUtf8,
    /// As base64, all of them.
    Base64,
    /// As JSON strings; an element that is not UTF-8 is a failure.
    Text,
}

/// How lists are put around a tensor's elements.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout<'a> {
    /// A list of all elements.
    Flat,
    /// Lists in lists, by these dimensions, which have as many elements as are written.
    Nested(&'a [i64]),
}

/// Writes the elements in `range`, in row-major order.
pub(crate) fn write_elements(
    out: &mut Vec<u8>,
    tensor: TensorView<'_>,
    range: Range<usize>,
    layout: Layout<'_>,
    strings: StringForm,
) -> Result<(), Status> {
    fn numbers<T: Number>(
        out: &mut Vec<u8>,
        tensor: TensorView<'_>,
        range: Range<usize>,
        layout: Layout<'_>,
    ) -> Result<(), Status> {
        let elements = tensor.as_slice::<T>()?;
        write_layout(out, layout, range, &mut |out, index| {
            if let Some(element) = elements.get(index) {
                element.write(out);
            }
            Ok(())
        })
    }
    match tensor.dtype() {
        DType::Bool => numbers::<bool>(out, tensor, range, layout),
        DType::U8 => numbers::<u8>(out, tensor, range, layout),
        DType::U16 => numbers::<u16>(out, tensor, range, layout),
        DType::U32 => numbers::<u32>(out, tensor, range, layout),
        DType::U64 => numbers::<u64>(out, tensor, range, layout),
        DType::I8 => numbers::<i8>(out, tensor, range, layout),
        DType::I16 => numbers::<i16>(out, tensor, range, layout),
        DType::I32 => numbers::<i32>(out, tensor, range, layout),
        DType::I64 => numbers::<i64>(out, tensor, range, layout),
        DType::F16 => numbers::<f16>(out, tensor, range, layout),
        DType::F32 => numbers::<f32>(out, tensor, range, layout),
        DType::F64 => numbers::<f64>(out, tensor, range, layout),
        DType::BF16 => numbers::<bf16>(out, tensor, range, layout),
        DType::String => {
            let view = tensor.strings().unwrap_or(StringsView::from_slices(&[]));
            write_layout(out, layout, range, &mut |out, index| {
                write_bytes(out, view.get(index).unwrap_or_default(), index, strings)
            })
        }
        dtype => Err(no_json_form(dtype)),
    }
}

fn write_layout<W>(
    out: &mut Vec<u8>,
    layout: Layout<'_>,
    range: Range<usize>,
    write: &mut W,
) -> Result<(), Status>
where
    W: FnMut(&mut Vec<u8>, usize) -> Result<(), Status>,
{
    match layout {
        Layout::Flat => write_list(out, range, write),
        Layout::Nested([]) => write(out, range.start),
        Layout::Nested([_]) => write_list(out, range, write),
        Layout::Nested(dims) => write_lists(out, dims, range, write),
    }
}

fn write_lists<W>(out: &mut Vec<u8>, dims: &[i64], range: Range<usize>, write: &mut W) -> Result<(), Status>
where
    W: FnMut(&mut Vec<u8>, usize) -> Result<(), Status>,
{
    let [outer, inner @ ..] = dims else {
        return write(out, range.start);
    };
    if inner.is_empty() {
        return write_list(out, range, write);
    }
    let count = usize::try_from(*outer).unwrap_or_default();
    // Zero where an inner dimension is: then every inner list is written of no elements.
    let step = range.len().checked_div(count).unwrap_or_default();
    out.push(b'[');
    for index in 0..count {
        if index > 0 {
            out.push(b',');
        }
        let start = range.start + index * step;
        write_lists(out, inner, start..start + step, write)?;
    }
    out.push(b']');
    Ok(())
}

fn write_list<W>(out: &mut Vec<u8>, range: Range<usize>, write: &mut W) -> Result<(), Status>
where
    W: FnMut(&mut Vec<u8>, usize) -> Result<(), Status>,
{
    out.push(b'[');
    let start = range.start;
    for index in range {
        if index > start {
            out.push(b',');
        }
        write(out, index)?;
    }
    out.push(b']');
    Ok(())
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8], index: usize, form: StringForm) -> Result<(), Status> {
    let text = match form {
        StringForm::Base64 => None,
        StringForm::Text | StringForm::TextIfUtf8 => std::str::from_utf8(bytes).ok(),
    };
    match (text, form) {
        (Some(text), _) => write_text(out, text),
        (None, StringForm::Text) => {
            return Err(Status::invalid_argument(format!("string element {index} is not UTF-8")));
        }
        (None, StringForm::Base64 | StringForm::TextIfUtf8) => {
            write_base64(out, bytes);
        }
    }
    Ok(())
}

/// Writes `{"b64": "..."}` through a small buffer, without an allocation of its own.
pub(crate) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    // A multiple of three, so that only the last piece is padded.
    const PIECE: usize = 3 * 256;
    let mut buffer = [0; PIECE / 3 * 4];
    out.extend_from_slice(b"{\"b64\":\"");
    for piece in bytes.chunks(PIECE) {
        // The buffer holds any piece.
        let length = BASE64.encode_slice(piece, &mut buffer).unwrap_or_default();
        out.extend_from_slice(buffer.get(..length).unwrap_or_default());
    }
    out.extend_from_slice(b"\"}");
}

/// Writes a JSON string.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(length) = rest.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')) {
        let (plain, special) = rest.split_at(length);
        out.extend_from_slice(plain);
        let [byte, after @ ..] = special else { break };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_tensor::{Shape, Strings, Tensor};

    #[track_caller]
    fn check(tensor: &Tensor, strings: StringForm, expected: &str) {
        let mut out = Vec::new();
        let (view, dims) = (tensor.view(), tensor.shape().dims());
        write_elements(&mut out, view, 0..view.len(), Layout::Nested(dims), strings).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    fn integers(dims: &[i64]) -> Tensor {
        let shape = Shape::new(dims).unwrap();
        let values = (0..shape.element_count() as i32).collect();
        Tensor::from_vec(shape, values).unwrap()
    }

    #[test]
    fn lists_nest_by_the_shape() {
        check(&integers(&[]), StringForm::Text, "0");
        check(&integers(&[3]), StringForm::Text, "[0,1,2]");
        check(&integers(&[2, 3]), StringForm::Text, "[[0,1,2],[3,4,5]]");
        check(&integers(&[2, 1, 2]), StringForm::Text, "[[[0,1]],[[2,3]]]");
        check(&integers(&[2, 0]), StringForm::Text, "[[],[]]");
        check(&integers(&[0, 2]), StringForm::Text, "[]");
    }

    #[test]
    fn strings_are_escaped() {
        let strings: Strings = ["a\"\\\n\r\t\u{1}\u{1f}é/"].into_iter().collect();
        let tensor = Tensor::from_strings(Shape::scalar(), strings).unwrap();
        check(&tensor, StringForm::Text, r#""a\"\\\n\r\t\u0001\u001fé/""#);
    }

    #[test]
    fn strings_that_are_not_utf8_are_base64_or_refused() {
        let long = [0xffu8; 1000];
        let strings: Strings = [&b"ok"[..], b"\xff"].into_iter().collect();
        let tensor = Tensor::from_strings(Shape::new(&[2]).unwrap(), strings).unwrap();
        check(&tensor, StringForm::TextIfUtf8, r#"["ok",{"b64":"/w=="}]"#);
        check(&tensor, StringForm::Base64, r#"[{"b64":"b2s="},{"b64":"/w=="}]"#);
        let error = write_elements(&mut Vec::new(), tensor.view(), 0..2, Layout::Flat, StringForm::Text);
        assert_eq!(error.unwrap_err().message(), "string element 1 is not UTF-8");
        let mut out = Vec::new();
        write_base64(&mut out, &long);
        let text = out.strip_prefix(b"{\"b64\":\"").and_then(|rest| rest.strip_suffix(b"\"}")).unwrap();
        assert_eq!(BASE64.decode(text).unwrap(), long);
    }
}
