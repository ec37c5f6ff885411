//! The form of `echo.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use salver_core_signature::{ShapeSpec, Signature, TensorSpec};
use salver_core_status::{Code, Quoted, Status};
use salver_core_tensor::{DType, Shape, Strings, Tensor, bf16, f16};
use serde::Deserialize;

use crate::wait::Wait;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) load: LoadConfig,
    #[serde(default)]
    pub(crate) signatures: BTreeMap<String, SignatureConfig>,
}

/// What happens at load.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoadConfig {
    wait_for: Option<PathBuf>,
    #[serde(default)]
    delay_ms: u64,
    fail: Option<String>,
}

/// One signature, and what its runs do.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignatureConfig {
    method: Option<String>,
    #[serde(default)]
    inputs: Vec<InputConfig>,
    /// From the name of an output to that of the input it returns.
    outputs: Option<BTreeMap<String, String>>,
    tag: Option<String>,
    wait_for: Option<PathBuf>,
    #[serde(default)]
    delay_ms: u64,
    fail: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputConfig {
    name: String,
    dtype: String,
    shape: Option<Vec<i64>>,
    #[serde(default)]
    optional: bool,
    default: Option<toml::Value>,
}

impl Config {
    /// Reads the text of the file; a file without signatures has the empty default one.
    pub(crate) fn parse(text: &str) -> Result<Self, Status> {
        let mut config: Config = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = 1 + before.matches('\n').count();
            Status::invalid_argument(format!("line {line}: {}", error.message()))
        })?;
        if config.signatures.is_empty() {
            config.signatures.insert(Signature::DEFAULT_NAME.to_owned(), SignatureConfig::default());
        }
        Ok(config)
    }
}

impl LoadConfig {
    /// `directory`: of the version, to which a path that is not absolute is relative.
    pub(crate) fn wait(&self, directory: &Path) -> Wait {
        wait(directory, self.wait_for.as_deref(), self.delay_ms)
    }

    pub(crate) fn failure(&self) -> Result<Option<Status>, Status> {
        self.fail.as_deref().map(|text| parse_failure("load.fail", text)).transpose()
    }
}

impl SignatureConfig {
    /// As [`LoadConfig::wait`].
    pub(crate) fn wait(&self, directory: &Path) -> Wait {
        wait(directory, self.wait_for.as_deref(), self.delay_ms)
    }

    pub(crate) fn failure(&self) -> Result<Option<Status>, Status> {
        self.fail.as_deref().map(|text| parse_failure("fail", text)).transpose()
    }

    /// The signature, and for each of its outputs the input it returns; `None` for the tag.
    pub(crate) fn declare(&self, name: &str) -> Result<(Signature, Vec<Option<usize>>), Status> {
        let inputs = self.inputs.iter().map(InputConfig::declare).collect::<Result<Vec<_>, _>>()?;
        let mut outputs = Vec::new();
        let mut sources = Vec::new();
        let mut declare = |output: &str, input: usize, spec: &TensorSpec| {
            outputs.push(TensorSpec::new(output, spec.dtype, spec.shape.clone()));
            sources.push(Some(input));
        };
        match &self.outputs {
            None => inputs.iter().enumerate().for_each(|(input, spec)| declare(&spec.name, input, spec)),
            Some(renamed) => {
                for (output, input) in renamed {
                    let found = inputs.iter().enumerate().find(|(_, spec)| spec.name == *input);
                    let Some((position, spec)) = found else {
                        let (output, input) = (Quoted(output), Quoted(input));
                        let message =
                            format!("outputs: output {output} is to return {input}, which is no input");
                        return Err(Status::invalid_argument(message));
                    };
                    declare(output, position, spec);
                }
            }
        }
        if let Some(tag) = &self.tag {
            outputs.push(TensorSpec::new(tag, DType::I64, ShapeSpec::of(&[-1])));
            sources.push(None);
        }
        let method = self.method.as_deref().unwrap_or(Signature::PREDICT).to_owned();
        Ok((Signature { name: name.to_owned(), method, inputs, outputs }, sources))
    }
}

impl InputConfig {
    fn declare(&self) -> Result<TensorSpec, Status> {
        let wrong =
            |what: String| Status::invalid_argument(format!("inputs: input {}: {what}", Quoted(&self.name)));
        let dtype = DType::from_name(&self.dtype).ok_or_else(|| {
            let known = DType::ALL.map(DType::name).join(", ");
            wrong(format!("dtype {} is none of {known}", Quoted(&self.dtype)))
        })?;
        let dims = self.shape.as_deref();
        let spec = TensorSpec::new(&self.name, dtype, dims.map_or_else(ShapeSpec::any, ShapeSpec::of));
        match &self.default {
            None if self.optional => Ok(spec.optional(None)),
            None => Ok(spec),
            Some(_) if !self.optional => Err(wrong("has a default, and is not optional".to_owned())),
            Some(value) => {
                let dims: Vec<i64> =
                    dims.unwrap_or_default().iter().map(|dim| if *dim < 0 { 1 } else { *dim }).collect();
                let tensor = Shape::new(&dims)
                    .map_err(Status::from)
                    .and_then(|shape| fill(dtype, shape, value))
                    .map_err(|status| wrong(format!("default: {status}")))?;
                Ok(spec.optional(Some(tensor)))
            }
        }
    }
}

/// A tensor whose every element is `value`.
fn fill(dtype: DType, shape: Shape, value: &toml::Value) -> Result<Tensor, Status> {
    /// What a default may have, so that a typing error in a shape costs no memory.
    const MOST_ELEMENTS: usize = 1 << 20;
    let count = shape.element_count();
    if count > MOST_ELEMENTS {
        return Err(Status::invalid_argument(format!(
            "{count} elements, at most {MOST_ELEMENTS} are allowed"
        )));
    }
    let wrong = || Status::invalid_argument(format!("{value} is not a {dtype}"));
    let float =
        || value.as_float().or_else(|| value.as_integer().map(|integer| integer as f64)).ok_or_else(wrong);
    macro_rules! integers {
        ($type:ty) => {{
            let integer = value.as_integer().and_then(|integer| <$type>::try_from(integer).ok());
            Tensor::from_vec(shape, vec![integer.ok_or_else(wrong)?; count])
        }};
    }
    Ok(match dtype {
        DType::Bool => Tensor::from_vec(shape, vec![value.as_bool().ok_or_else(wrong)?; count]),
        DType::U8 => integers!(u8),
        DType::U16 => integers!(u16),
        DType::U32 => integers!(u32),
        DType::U64 => integers!(u64),
        DType::I8 => integers!(i8),
        DType::I16 => integers!(i16),
        DType::I32 => integers!(i32),
        DType::I64 => integers!(i64),
        DType::F16 => Tensor::from_vec(shape, vec![f16::from_f64(float()?); count]),
        DType::BF16 => Tensor::from_vec(shape, vec![bf16::from_f64(float()?); count]),
        DType::F32 => Tensor::from_vec(shape, vec![float()? as f32; count]),
        DType::F64 => Tensor::from_vec(shape, vec![float()?; count]),
        DType::String => {
            let text = value.as_str().ok_or_else(wrong)?;
            Tensor::from_strings(shape, Strings::from_iter(std::iter::repeat_n(text, count)))
        }
        other => return Err(Status::unimplemented(format!("no defaults of {other}"))),
    }?)
}

fn wait(directory: &Path, file: Option<&Path>, delay_ms: u64) -> Wait {
    Wait { file: file.map(|file| directory.join(file)), delay: Duration::from_millis(delay_ms) }
}

/// Reads `CODE message`.
fn parse_failure(key: &str, text: &str) -> Result<Status, Status> {
    let (name, message) = text.split_once(' ').unwrap_or((text, "as configured"));
    let code = Code::ALL.into_iter().find(|code| code.name() == name);
    let wrong = || {
        format!("{key}: {} is no code; wanted `CODE message`, as in `UNAVAILABLE out of tea`", Quoted(name))
    };
    Ok(Status::new(code.ok_or_else(|| Status::invalid_argument(wrong()))?, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, message: &str) {
        let declare = |config: Config| {
            config.load.failure()?;
            config.signatures.iter().try_for_each(|(name, signature)| {
                signature.failure()?;
                signature.declare(name).map(drop)
            })
        };
        let status = Config::parse(text).and_then(declare).unwrap_err();
        assert!(status.message().starts_with(message), "{status}");
    }

    #[test]
    fn a_mistake_is_told_with_its_key_and_what_was_wanted() {
        refused("lod = 1", "line 1: unknown field `lod`");
        refused("\n[signatures.a]\ninptus = []", "line 3: unknown field `inptus`");
        refused("[signatures.a]\ninputs = [{ name = 'x' }]", "line 2: missing field `dtype`");
        refused(
            "[signatures.a]\ninputs = [{ name = 'x', dtype = 'F32' }]",
            "inputs: input `x`: dtype `F32` is none of BOOL,",
        );
        refused(
            "[signatures.a]\noutputs = { y = 'x' }",
            "outputs: output `y` is to return `x`, which is no input",
        );
        refused("[signatures.a]\nfail = 'OOPS'", "fail: `OOPS` is no code; wanted `CODE message`");
        refused("load = { fail = 'oops at all' }", "load.fail: `oops` is no code");
    }

    #[test]
    fn a_default_that_is_not_of_its_type_is_refused() {
        let with = |dtype: &str, shape: &str, value: &str| {
            format!(
                "[signatures.a]\ninputs = [{{ name = 'x', dtype = '{dtype}', shape = {shape}, optional = true, default = {value} }}]"
            )
        };
        refused(&with("UINT8", "[]", "256"), "inputs: input `x`: default: 256 is not a UINT8");
        refused(&with("FP32", "[]", "'a'"), "inputs: input `x`: default: \"a\" is not a FP32");
        refused(&with("INT64", "[2000000]", "1"), "inputs: input `x`: default: 2000000 elements");
        refused(&with("COMPLEX64", "[]", "1"), "inputs: input `x`: default: no defaults of COMPLEX64");
    }

    #[test]
    fn a_default_fills_the_shape() {
        let text = "[signatures.a]\ninputs = [{ name = 'x', dtype = 'FP16', shape = [-1, 2], optional = true, default = 1 }]";
        let config = Config::parse(text).unwrap();
        let (signature, _) = config.signatures["a"].declare("a").unwrap();
        let default = signature.inputs[0].default.clone().unwrap();
        assert_eq!(default.shape().dims(), [1, 2]);
        assert_eq!(default.view().as_slice::<f16>().unwrap(), [f16::ONE; 2]);
    }
}
