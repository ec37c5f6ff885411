//! TensorFlow Serving's predict response.

use salver_core_status::{Quoted, Status};
use salver_core_tensor::TensorView;

use crate::Form;
use crate::write::{Layout, StringForm, write_elements, write_text};

/// How many empty lists an answer without elements may be written as: a shape such as `[1000000000, 0]` has no
/// elements, but a text of gigabytes.
const MAX_EMPTY_LISTS: u64 = 1 << 20;

/// Writes the outputs of a predict call as the answer to a request of this form.
///
/// A single output is written as it is, several as objects by name. String elements of an output whose name ends in
/// `_bytes` are written as `{"b64": ...}`, as in TensorFlow Serving; of any other output only those that are not UTF-8,
/// so that the answer is JSON whatever a model returns.
///
/// # Errors
/// INVALID_ARGUMENT: in [`Form::Row`], an output without rows, or outputs of different numbers of rows.
/// UNIMPLEMENTED where an element type has no JSON form.
pub fn write_predictions(form: Form, outputs: &[(&str, TensorView<'_>)]) -> Result<Vec<u8>, Status> {
    let outputs: Vec<_> = outputs.iter().map(Output::new).collect::<Result<_, _>>()?;
    let elements: usize = outputs.iter().map(|output| output.tensor.len()).sum();
    // A guess that is right for small integers, and a start for the rest.
    let mut out = Vec::with_capacity(elements.saturating_mul(2).saturating_add(64));
    match form {
        Form::Row => {
            out.extend_from_slice(b"{\"predictions\":");
            write_rows(&mut out, &outputs)?;
        }
        Form::Column => {
            out.extend_from_slice(b"{\"outputs\":");
            write_values(&mut out, &outputs, Part::Whole)?;
        }
    }
    out.push(b'}');
    Ok(out)
}

struct Output<'a> {
    name: &'a str,
    tensor: TensorView<'a>,
    strings: StringForm,
}

/// Which part of every output is written.
#[derive(Clone, Copy)]
enum Part {
    Whole,
    Row(usize),
}

impl<'a> Output<'a> {
    fn new(&(name, tensor): &(&'a str, TensorView<'a>)) -> Result<Self, Status> {
        let before_empty =
            tensor.shape().dims().iter().map(|dim| dim.unsigned_abs()).take_while(|dim| *dim > 0);
        let lists = before_empty.fold(1, u64::saturating_mul);
        if tensor.is_empty() && lists > MAX_EMPTY_LISTS {
            let (name, shape) = (Quoted(name), tensor.shape());
            return Err(Status::invalid_argument(format!(
                "output {name} of shape {shape} has no elements, and too many lists of none to write as JSON"
            )));
        }
        let strings = if name.ends_with("_bytes") { StringForm::Base64 } else { StringForm::TextIfUtf8 };
        Ok(Self { name, tensor, strings })
    }

    fn write(&self, out: &mut Vec<u8>, part: Part) -> Result<(), Status> {
        let dims = self.tensor.shape().dims();
        let (dims, range) = match (part, dims) {
            (Part::Row(row), [rows, row_dims @ ..]) => {
                let rows = usize::try_from(*rows).unwrap_or_default();
                let length = self.tensor.len().checked_div(rows).unwrap_or_default();
                (row_dims, row * length..(row + 1) * length)
            }
            (Part::Row(_) | Part::Whole, dims) => (dims, 0..self.tensor.len()),
        };
        let outcome = write_elements(out, self.tensor, range, Layout::Nested(dims), self.strings);
        outcome.map_err(|status| status.context(format_args!("output {}", Quoted(self.name))))
    }
}

fn write_rows(out: &mut Vec<u8>, outputs: &[Output<'_>]) -> Result<(), Status> {
    let mut rows = None;
    for output in outputs {
        let name = Quoted(output.name);
        let Some(&found) = output.tensor.shape().dims().first() else {
            return Err(Status::invalid_argument(format!(
                "output {name} is a scalar, which has no rows: ask with `inputs` in place of `instances`"
            )));
        };
        let wanted = *rows.get_or_insert(found);
        if wanted != found {
            return Err(Status::invalid_argument(format!(
                "output {name} has {found} rows and another has {wanted}: ask with `inputs` in place of `instances`"
            )));
        }
    }
    let rows = rows.and_then(|rows| usize::try_from(rows).ok()).unwrap_or_default();
    if let ([output], 1..) = (outputs, rows) {
        return output.write(out, Part::Whole);
    }
    out.push(b'[');
    for row in 0..rows {
        if row > 0 {
            out.push(b',');
        }
        write_values(out, outputs, Part::Row(row))?;
    }
    out.push(b']');
    Ok(())
}

/// Writes a part of every output: bare where there is one, else as an object.
fn write_values(out: &mut Vec<u8>, outputs: &[Output<'_>], part: Part) -> Result<(), Status> {
    if let [output] = outputs {
        return output.write(out, part);
    }
    out.push(b'{');
    for (index, output) in outputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(out, output.name);
        out.push(b':');
        output.write(out, part)?;
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_tensor::{Shape, Tensor};

    fn tensor(dims: &[i64]) -> Tensor {
        let shape = Shape::new(dims).unwrap();
        let values = (0..shape.element_count()).map(|index| index as f32 / 2.0).collect();
        Tensor::from_vec(shape, values).unwrap()
    }

    fn write(form: Form, outputs: &[(&str, &Tensor)]) -> Result<String, Status> {
        let views: Vec<_> = outputs.iter().map(|(name, tensor)| (*name, tensor.view())).collect();
        Ok(String::from_utf8(write_predictions(form, &views)?).unwrap())
    }

    #[test]
    fn one_output_is_bare_and_several_are_named() {
        let (x, y) = (tensor(&[2]), tensor(&[2, 2]));
        #[track_caller]
        fn check(form: Form, outputs: &[(&str, &Tensor)], expected: &str) {
            assert_eq!(write(form, outputs).unwrap(), expected);
        }
        check(Form::Row, &[("x", &x)], r#"{"predictions":[0.0,0.5]}"#);
        check(Form::Column, &[("x", &x)], r#"{"outputs":[0.0,0.5]}"#);
        check(
            Form::Row,
            &[("x", &x), ("y", &y)],
            r#"{"predictions":[{"x":0.0,"y":[0.0,0.5]},{"x":0.5,"y":[1.0,1.5]}]}"#,
        );
        check(
            Form::Column,
            &[("x", &x), ("y", &y)],
            r#"{"outputs":{"x":[0.0,0.5],"y":[[0.0,0.5],[1.0,1.5]]}}"#,
        );
        check(Form::Row, &[("x", &tensor(&[0, 3]))], r#"{"predictions":[]}"#);
        check(Form::Row, &[("x", &tensor(&[2, 0]))], r#"{"predictions":[[],[]]}"#);
    }

    #[test]
    fn rows_need_the_same_first_dimension_everywhere() {
        let error = write(Form::Row, &[("x", &tensor(&[]))]).unwrap_err();
        assert!(error.message().starts_with("output `x` is a scalar"), "{error}");
        let error = write(Form::Row, &[("x", &tensor(&[2])), ("y", &tensor(&[3]))]).unwrap_err();
        assert!(error.message().starts_with("output `y` has 3 rows and another has 2"), "{error}");
    }

    #[test]
    fn an_empty_tensor_is_no_bomb() {
        let huge = tensor(&[1 << 40, 0]);
        for form in [Form::Row, Form::Column] {
            let error = write(form, &[("x", &huge)]).unwrap_err();
            assert!(error.message().starts_with("output `x` of shape [1099511627776, 0]"), "{error}");
        }
    }

    #[test]
    fn an_element_type_without_a_json_form_is_named() {
        let complex = Tensor::from_vec(Shape::scalar(), vec![[1.0f32, 2.0]]).unwrap();
        let error = write(Form::Column, &[("z", &complex)]).unwrap_err();
        assert_eq!(error, Status::unimplemented("output `z`: COMPLEX64 elements have no JSON form"));
    }
}
