//! Declared inputs and outputs.

use std::fmt;

use salver_core_tensor::{DType, Shape, Tensor};

use crate::Error;

/// The shapes a tensor may have: each dimension a size, or -1 for any; or no restriction, not even on the rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeSpec(Option<Vec<i64>>);

impl ShapeSpec {
    /// Shapes of these dimensions; a negative dimension allows any size, and is kept as -1.
    pub fn of(dims: &[i64]) -> Self {
        Self(Some(dims.iter().map(|dim| (*dim).max(-1)).collect()))
    }

    /// Every shape.
    pub fn any() -> Self {
        Self(None)
    }

    /// The dimensions, -1 for any size; `None` where the rank is free too.
    pub fn dims(&self) -> Option<&[i64]> {
        self.0.as_deref()
    }

    /// Whether a tensor of `shape` fits.
    pub fn allows(&self, shape: &Shape) -> bool {
        self.0.as_ref().is_none_or(|dims| {
            dims.len() == shape.rank()
                && dims.iter().zip(shape.dims()).all(|(wanted, found)| *wanted < 0 || wanted == found)
        })
    }
}

/// Shows as `[-1, 3]`, or `any` where the rank is free.
impl fmt::Display for ShapeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(dims) => write!(f, "{dims:?}"),
            None => f.write_str("any"),
        }
    }
}

/// One input or output of a signature.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// What requests call it.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// The shapes it may have.
    pub shape: ShapeSpec,
    /// The shape is what the model was made for, and no more: a tensor of another one is left to the model, which may well
    /// take it, or return it.
    pub is_shape_advisory: bool,
    /// What the framework calls it, such as `x:0` of a TensorFlow graph; `None` where that is `name`.
    pub graph_name: Option<String>,
    /// Of an input: a request may leave it out.
    pub is_optional: bool,
    /// Of an optional input: what stands in for it; a model runs without the input where there is none.
    pub default: Option<Tensor>,
}

impl TensorSpec {
    /// A required input, or an output.
    pub fn new(name: impl Into<String>, dtype: DType, shape: ShapeSpec) -> Self {
        Self {
            name: name.into(),
            dtype,
            shape,
            is_shape_advisory: false,
            graph_name: None,
            is_optional: false,
            default: None,
        }
    }

    /// What the framework calls it.
    pub fn name_in_graph(&self) -> &str {
        self.graph_name.as_ref().unwrap_or(&self.name)
    }

    /// The same, of tensors whose shape is the model's business.
    #[must_use]
    pub fn with_advisory_shape(mut self) -> Self {
        self.is_shape_advisory = true;
        self
    }

    /// The same, called `graph_name` by the framework.
    #[must_use]
    pub fn in_graph(mut self, graph_name: impl Into<String>) -> Self {
        self.graph_name = Some(graph_name.into());
        self
    }

    /// The same, left out at will.
    #[must_use]
    pub fn optional(mut self, default: Option<Tensor>) -> Self {
        self.is_optional = true;
        self.default = default;
        self
    }
}

/// One way to call a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// What requests call it.
    pub name: String,
    /// TensorFlow Serving's method name, such as [`Signature::PREDICT`].
    pub method: String,
    /// The inputs, in the order in which a model is given them.
    pub inputs: Vec<TensorSpec>,
    /// The outputs, in the order that positions of outputs refer to.
    pub outputs: Vec<TensorSpec>,
}

impl Signature {
    /// The name of the signature that a request means when it names none.
    pub const DEFAULT_NAME: &str = "serving_default";

    /// The method name of a signature that takes and returns any tensors.
    pub const PREDICT: &str = "tensorflow/serving/predict";

    /// The method name of a signature that takes serialised examples and returns their classes.
    pub const CLASSIFY: &str = "tensorflow/serving/classify";

    /// The method name of a signature that takes serialised examples and returns a value of each.
    pub const REGRESS: &str = "tensorflow/serving/regress";

    /// The default signature of a model that has only one.
    pub fn predict(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Self {
        Self { name: Self::DEFAULT_NAME.to_owned(), method: Self::PREDICT.to_owned(), inputs, outputs }
    }
}

/// The signatures of a model: at least one, no name twice.
#[derive(Clone, Debug, PartialEq)]
pub struct SignatureSet {
    signatures: Vec<Signature>,
    default: usize,
}

impl SignatureSet {
    /// A set of signatures. The default one is called [`Signature::DEFAULT_NAME`], or is the first where none is.
    ///
    /// # Errors
    /// [`Error::NoSignature`] for an empty set; [`Error::Twice`] where two signatures, two inputs of one signature or
    /// two outputs of one signature have the same name.
    pub fn new(signatures: Vec<Signature>) -> Result<Self, Error> {
        if signatures.is_empty() {
            return Err(Error::NoSignature);
        }
        unique("signature", signatures.iter().map(|signature| &signature.name))?;
        for signature in &signatures {
            unique("input", signature.inputs.iter().map(|input| &input.name))?;
            unique("output", signature.outputs.iter().map(|output| &output.name))?;
        }
        let default = signatures.iter().position(|s| s.name == Signature::DEFAULT_NAME).unwrap_or(0);
        Ok(Self { signatures, default })
    }

    /// The position and the signature of this name; of the default one where `name` is empty.
    pub fn get(&self, name: &str) -> Option<(usize, &Signature)> {
        let index = match name {
            "" => self.default,
            name => self.signatures.iter().position(|signature| signature.name == name)?,
        };
        Some((index, self.signatures.get(index)?))
    }

    /// All signatures, in the order that positions refer to.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Signature> {
        self.signatures.iter()
    }

    /// All signatures, in the order that positions refer to.
    pub fn as_slice(&self) -> &[Signature] {
        &self.signatures
    }
}

fn unique<'a>(kind: &'static str, names: impl Iterator<Item = &'a String>) -> Result<(), Error> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::Twice { kind, name: name.clone() });
        }
    }
    Ok(())
}
