//! What a module takes and returns, from what it says itself, and what `model.toml` says of it.

use salver_core_signature::{ShapeSpec, TensorSpec};
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Shape, Tensor};
use serde::Deserialize;

use crate::archive::{Argument, ArgumentKind};
use crate::values;

/// What is said under `[signature]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    #[serde(default)]
    inputs: Vec<SaidTensor>,
    pub(crate) outputs: Option<Vec<SaidTensor>>,
}

/// What is said of an input or output.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaidTensor {
    pub(crate) name: String,
    pub(crate) dtype: Option<String>,
    pub(crate) shape: Option<Vec<i64>>,
    default: Option<toml::Value>,
}

impl Said {
    /// Reads what is said; nothing where there is nothing.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that says what is wrong in it.
    pub(crate) fn read(text: Option<&str>) -> Result<Self, Status> {
        toml::from_str(text.unwrap_or_default()).map_err(|error| {
            let error = error.to_string().trim().replace('\n', " ");
            Status::invalid_argument(format!("[signature]: {error}"))
        })
    }

    /// The inputs, in the order of `forward`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT that says what is missing, or does not fit the module.
    pub(crate) fn inputs(&self, arguments: &[Argument]) -> Result<Vec<TensorSpec>, Status> {
        let (said, wanted) = (self.inputs.len(), arguments.len());
        if said > wanted || (said != 0 && said < wanted && !all_left_out(arguments.get(said..))) {
            return Err(Status::invalid_argument(format!(
                "[signature] has {said} inputs, but `forward` takes {wanted}: {}",
                shown(arguments)
            )));
        }
        let in_order = self.in_order(arguments);
        let inputs = arguments.iter().enumerate().take_while(|(index, argument)| {
            // What nothing is said of and no request can carry keeps its default, and so does what comes after it.
            *index < said || !(argument.has_default && matches!(argument.kind, ArgumentKind::Other(_)))
        });
        inputs.map(|(index, argument)| input(argument, in_order.get(index).copied(), arguments)).collect()
    }

    /// The inputs as they are written; in `forward`'s order where they are called what its first arguments are.
    fn in_order(&self, arguments: &[Argument]) -> Vec<&SaidTensor> {
        let called = |argument: &Argument| self.inputs.iter().find(|said| said.name == argument.name);
        let by_name: Option<Vec<_>> = arguments.iter().take(self.inputs.len()).map(called).collect();
        by_name.unwrap_or_else(|| self.inputs.iter().collect())
    }
}

fn all_left_out(arguments: Option<&[Argument]>) -> bool {
    arguments.unwrap_or_default().iter().all(|argument| argument.has_default)
}

/// `x: Tensor, sr: int`.
fn shown(arguments: &[Argument]) -> String {
    let one = |argument: &Argument| format!("{}: {}", argument.name, kind_name(&argument.kind));
    arguments.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn kind_name(kind: &ArgumentKind) -> &str {
    match kind {
        ArgumentKind::Tensor => "Tensor",
        ArgumentKind::Int => "int",
        ArgumentKind::Float => "float",
        ArgumentKind::Bool => "bool",
        ArgumentKind::OptionalTensor => "Optional[Tensor]",
        ArgumentKind::Other(written) => written,
    }
}

fn input(
    argument: &Argument,
    said: Option<&SaidTensor>,
    arguments: &[Argument],
) -> Result<TensorSpec, Status> {
    let name = said.map_or(&argument.name, |said| &said.name);
    let number = match &argument.kind {
        ArgumentKind::Int => Some(DType::I64),
        ArgumentKind::Float => Some(DType::F64),
        ArgumentKind::Bool => Some(DType::Bool),
        ArgumentKind::Tensor | ArgumentKind::OptionalTensor => None,
        ArgumentKind::Other(written) => {
            return Err(Status::unimplemented(format!(
                "argument {} of `forward` is {}, which no request can carry",
                Quoted(&argument.name),
                Quoted(written)
            )));
        }
    };
    let dtype = match (said.and_then(|said| said.dtype.as_deref()), number) {
        (Some(text), number) => {
            let dtype = read_dtype(name, text)?;
            if let Some(number) = number.filter(|number| *number != dtype) {
                let kind = kind_name(&argument.kind);
                return Err(Status::invalid_argument(format!(
                    "[signature]: dtype of {} is {dtype}, but it is {kind} in `forward`: {number} was wanted",
                    Quoted(name)
                )));
            }
            dtype
        }
        (None, Some(number)) => number,
        (None, None) => return Err(nothing_said(name, arguments)),
    };
    let shape = match (said.and_then(|said| said.shape.as_deref()), number) {
        (_, Some(_)) => ShapeSpec::of(&[]),
        (Some(dims), None) => ShapeSpec::of(dims),
        (None, None) => ShapeSpec::any(),
    };
    let default = said.and_then(|said| said.default.as_ref());
    let default = default.map(|value| read_default(name, value, dtype, &shape)).transpose()?;
    let spec = TensorSpec::new(name, dtype, shape);
    let may_be_left_out = argument.has_default || argument.kind == ArgumentKind::OptionalTensor;
    Ok(if default.is_some() || may_be_left_out { spec.optional(default) } else { spec })
}

fn nothing_said(name: &str, arguments: &[Argument]) -> Status {
    let lines = arguments.iter().map(|argument| match argument.kind {
        ArgumentKind::Tensor | ArgumentKind::OptionalTensor => {
            format!("{{ name = \"{}\", dtype = \"FP32\", shape = [-1] }}", argument.name)
        }
        _ => format!("{{ name = \"{}\" }}", argument.name),
    });
    let lines = lines.collect::<Vec<_>>().join(", ");
    Status::invalid_argument(format!(
        "the element type of input {} is not known: TorchScript does not say it. Say it in `model.toml` beside the \
         versions, such as: [signature] inputs = [{lines}]",
        Quoted(name)
    ))
}

pub(crate) fn read_dtype(name: &str, text: &str) -> Result<DType, Status> {
    let dtype = DType::from_name(text);
    dtype.filter(|dtype| values::kind(*dtype).is_some()).ok_or_else(|| {
        let names: Vec<_> =
            DType::ALL.into_iter().filter(|dtype| values::kind(*dtype).is_some()).map(DType::name).collect();
        Status::invalid_argument(format!(
            "[signature]: dtype of {} is {}, wanted one of {}",
            Quoted(name),
            Quoted(text),
            names.join(", ")
        ))
    })
}

/// A default is a number or boolean, which stands in every element; -1 in the shape counts as 1.
fn read_default(name: &str, value: &toml::Value, dtype: DType, shape: &ShapeSpec) -> Result<Tensor, Status> {
    let wrong = || {
        Status::invalid_argument(format!(
            "[signature]: default of {} is `{value}`, wanted a number or boolean for every element, of {dtype}",
            Quoted(name)
        ))
    };
    let dims: Vec<i64> = shape.dims().unwrap_or_default().iter().map(|dim| dim.abs()).collect();
    let shape = Shape::new(&dims)?;
    let count = shape.element_count();
    let number = match value {
        toml::Value::Integer(number) => *number as f64,
        toml::Value::Float(number) => *number,
        toml::Value::Boolean(value) => f64::from(u8::from(*value)),
        _ => return Err(wrong()),
    };
    let integer = value.as_integer();
    Ok(match dtype {
        DType::F32 => Tensor::from_vec(shape, vec![number as f32; count])?,
        DType::F64 => Tensor::from_vec(shape, vec![number; count])?,
        DType::I64 => Tensor::from_vec(shape, vec![integer.ok_or_else(wrong)?; count])?,
        DType::I32 => {
            let number = integer.and_then(|number| i32::try_from(number).ok()).ok_or_else(wrong)?;
            Tensor::from_vec(shape, vec![number; count])?
        }
        DType::Bool => {
            let value = value.as_bool().ok_or_else(wrong)?;
            Tensor::from_bytes(dtype, shape, vec![u8::from(value); count].into())?
        }
        _ => return Err(wrong()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(name: &str, kind: ArgumentKind, has_default: bool) -> Argument {
        Argument { name: name.to_owned(), kind, has_default }
    }

    fn silero() -> [Argument; 2] {
        [argument("x", ArgumentKind::Tensor, false), argument("sr", ArgumentKind::Int, false)]
    }

    #[test]
    fn numbers_are_known_and_tensors_are_said() {
        let text = r#"inputs = [{ name = "audio", dtype = "FP32", shape = [-1, 512] }, { name = "sr", default = 16000 }]"#;
        let inputs = Said::read(Some(text)).unwrap().inputs(&silero()).unwrap();
        assert_eq!(inputs[0], TensorSpec::new("audio", DType::F32, ShapeSpec::of(&[-1, 512])));
        let default = Tensor::from_vec(Shape::scalar(), vec![16000_i64]).unwrap();
        assert_eq!(inputs[1], TensorSpec::new("sr", DType::I64, ShapeSpec::of(&[])).optional(Some(default)));
    }

    #[test]
    fn inputs_that_are_called_what_arguments_are_may_be_in_any_order() {
        let names = |text: &str| {
            let inputs = Said::read(Some(text)).unwrap().inputs(&silero()).unwrap();
            inputs.into_iter().map(|input| (input.name, input.dtype)).collect::<Vec<_>>()
        };
        let turned = r#"inputs = [{ name = "sr" }, { name = "x", dtype = "FP32" }]"#;
        let wanted = |x: &str, sr: &str| [(x.to_owned(), DType::F32), (sr.to_owned(), DType::I64)];
        assert_eq!(names(turned), wanted("x", "sr"));
        let other = r#"inputs = [{ name = "sr", dtype = "FP32" }, { name = "rate" }]"#;
        assert_eq!(names(other), wanted("sr", "rate"));
    }

    #[test]
    fn what_is_missing_is_shown_as_it_could_be_written() {
        let error = Said::default().inputs(&silero()).unwrap_err();
        let wanted =
            r#"[signature] inputs = [{ name = "x", dtype = "FP32", shape = [-1] }, { name = "sr" }]"#;
        assert!(error.message().ends_with(wanted), "{error}");
    }

    #[test]
    fn what_does_not_fit_the_module_is_refused() {
        let read = |text: &str| {
            let said = Said::read(Some(text)).and_then(|said| said.inputs(&silero()));
            said.unwrap_err().message().to_owned()
        };
        let few = read(r#"inputs = [{ name = "x", dtype = "FP32" }]"#);
        assert_eq!(few, "[signature] has 1 inputs, but `forward` takes 2: x: Tensor, sr: int");
        let kind = read(r#"inputs = [{ name = "x", dtype = "FP32" }, { name = "sr", dtype = "FP32" }]"#);
        assert!(kind.contains("it is int in `forward`: INT64 was wanted"), "{kind}");
        let strings = read(r#"inputs = [{ name = "x", dtype = "BYTES" }, { name = "sr" }]"#);
        assert!(strings.contains("dtype of `x` is `BYTES`, wanted one of BOOL"), "{strings}");
        assert!(read("input = []").contains("unknown field `input`"));
    }
}
