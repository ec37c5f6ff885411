//! Calls about examples: TensorFlow Serving's `Classify` and `Regress`, for any model.
//!
//! An example is a row of named features, serialised as a `tensorflow.Example`. Nobody here looks into one: a model that can be
//! asked about examples takes them as the strings of its one input, and has the outputs that such calls are answered from. What
//! a signature says that its method is does not matter, as in TensorFlow Serving.

use salver_core_platform::RequestContext;
use salver_core_servable::Handle;
use salver_core_signature::Signature;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Shape, Strings, StringsView, Tensor};

use crate::{Answer, Api, Call, Served};

/// Names of inputs and outputs, from TensorFlow's `signature_constants.h`.
const INPUTS: &str = "inputs";
const CLASSES: &str = "classes";
const SCORES: &str = "scores";
const OUTPUTS: &str = "outputs";

/// What is asked about examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Which classes they belong to.
    Classify,
    /// A value of each.
    Regress,
}

impl Method {
    /// The method of this name.
    ///
    /// # Errors
    /// UNIMPLEMENTED where examples are not asked about in that way.
    pub fn from_name(name: &str) -> Result<Self, Status> {
        match name {
            Signature::CLASSIFY => Ok(Self::Classify),
            Signature::REGRESS => Ok(Self::Regress),
            _ => {
                let (name, classify, regress) = (Quoted(name), Signature::CLASSIFY, Signature::REGRESS);
                Err(Status::unimplemented(format!(
                    "Unsupported signature method_name: {name}, wanted `{classify}` or `{regress}`"
                )))
            }
        }
    }

    /// The outputs that answer it.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where `signature` has too many or too few inputs or outputs, FAILED_PRECONDITION where they have
    /// other names.
    fn outputs(self, signature: &Signature) -> Result<Vec<String>, Status> {
        let (name, Signature { inputs, outputs, .. }) = (Quoted(&signature.name), signature);
        let [input] = inputs.as_slice() else {
            let found = inputs.len();
            return Err(Status::invalid_argument(format!(
                "Expected one input Tensor, signature {name} has {found}"
            )));
        };
        let (most, wanted) = match self {
            Self::Classify => (2, "one or two output Tensors"),
            Self::Regress => (1, "one output Tensor"),
        };
        if !(1..=most).contains(&outputs.len()) {
            let found = outputs.len();
            return Err(Status::invalid_argument(format!("Expected {wanted}, signature {name} has {found}")));
        }
        if input.name != INPUTS {
            let found = Quoted(&input.name);
            return Err(Status::failed_precondition(format!(
                "the input of signature {name} is {found}, wanted `{INPUTS}`"
            )));
        }
        let known: &[&str] = match self {
            Self::Classify => &[CLASSES, SCORES],
            Self::Regress => &[OUTPUTS],
        };
        let found: Vec<_> = known.iter().filter(|known| outputs.iter().any(|o| o.name == **known)).collect();
        if found.is_empty() {
            let wanted = known.join("` or `");
            return Err(Status::failed_precondition(format!(
                "signature {name} has no output `{wanted}`, wanted to answer from"
            )));
        }
        Ok(found.into_iter().map(|name| (*name).to_owned()).collect())
    }
}

/// A way to ask one version about examples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    method: Method,
    signature: usize,
    outputs: Vec<String>,
}

impl Question {
    /// Asks by the signature of this name, the default one where it is empty.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where there is no such signature, or it has too many or too few inputs or outputs,
    /// FAILED_PRECONDITION where they have other names.
    pub fn new(served: &Served, method: Method, signature: &str) -> Result<Self, Status> {
        let (index, signature) = served.signatures().get(signature).ok_or_else(|| {
            let name = Quoted(signature).to_string();
            let name = name.trim_matches('`');
            Status::invalid_argument(format!("No signature was found with the name: {name}"))
        })?;
        Ok(Self { method, signature: index, outputs: method.outputs(signature)? })
    }

    /// What is asked.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Which signature is called, by position.
    pub fn signature(&self) -> usize {
        self.signature
    }

    /// The call that asks about `examples`.
    pub fn call(self, api: Api, served: Handle<Served>, examples: Tensor, context: RequestContext) -> Call {
        let inputs = vec![(INPUTS.to_owned(), examples)];
        Call { api, served, signature: self.signature, inputs, outputs: self.outputs, context }
    }
}

/// The input of a call about `examples`, which have the features of `context` too unless they have features of that name
/// themselves.
///
/// Both are serialised. One message behind another is a message with the fields of both, the later ones first: the context is
/// written in front of every example, and may take `most_bytes` in all.
///
/// # Errors
/// INVALID_ARGUMENT where there is no example; RESOURCE_EXHAUSTED where the context takes more.
pub fn examples(examples: Strings, context: &[u8], most_bytes: usize) -> Result<Tensor, Status> {
    let count = examples.len();
    if count == 0 {
        return Err(Status::invalid_argument("Input is empty."));
    }
    let shape = Shape::new(&[i64::try_from(count).unwrap_or(i64::MAX)])?;
    if context.is_empty() {
        return Ok(Tensor::from_strings(shape, examples)?);
    }
    let added = context.len().saturating_mul(count);
    if added > most_bytes {
        return Err(Status::resource_exhausted(format!(
            "a context of {} bytes with each of {count} examples takes {added} bytes, at most {most_bytes} are allowed",
            context.len()
        )));
    }
    let view = examples.view();
    let mut buffer = Vec::with_capacity(added.saturating_add(view.total_bytes()));
    let mut spans = Vec::with_capacity(count);
    for example in view.iter() {
        spans.push((buffer.len(), context.len() + example.len()));
        buffer.extend_from_slice(context);
        buffer.extend_from_slice(example);
    }
    Ok(Tensor::from_strings(shape, Strings::from_spans(buffer.into(), spans)?)?)
}

/// The classes that examples belong to. Of every example there are as many.
#[derive(Clone, Copy, Debug)]
pub struct Classification<'a> {
    examples: usize,
    classes: usize,
    labels: Option<StringsView<'a>>,
    scores: Option<&'a [f32]>,
}

impl<'a> Classification<'a> {
    /// Of each example, its classes: the label, empty where the model has none, and the score, 0 where it has none.
    pub fn rows(self) -> impl ExactSizeIterator<Item = impl ExactSizeIterator<Item = (&'a [u8], f32)>> {
        (0..self.examples).map(move |example| {
            let first = example * self.classes;
            (first..first + self.classes).map(move |index| {
                let label = self.labels.and_then(|labels| labels.get(index));
                let score = self.scores.and_then(|scores| scores.get(index));
                (label.unwrap_or_default(), score.copied().unwrap_or_default())
            })
        })
    }
}

impl Answer {
    /// The classes of so many examples.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the outputs are not labels or scores of so many examples and equally many classes.
    pub fn classification(&self, examples: usize) -> Result<Classification<'_>, Status> {
        let mut found = Classification { examples, classes: 0, labels: None, scores: None };
        let mut classes = None;
        for (spec, tensor) in self.outputs() {
            let name = spec.name.as_str();
            let dims = tensor.shape().dims();
            let &[rows, columns] = dims else {
                return Err(Status::invalid_argument(format!(
                    "Expected output `{name}` of shape [batch_size num_classes], got {}",
                    tensor.shape()
                )));
            };
            of_batch(name, rows, examples)?;
            if *classes.get_or_insert(columns) != columns {
                return Err(Status::invalid_argument(format!(
                    "outputs `{CLASSES}` and `{SCORES}` should have as many classes, one has {columns}, the other {}",
                    classes.unwrap_or_default()
                )));
            }
            if name == CLASSES {
                found.labels =
                    Some(tensor.view().strings().ok_or_else(|| of_type(name, tensor, DType::String))?);
            } else {
                let scores = tensor.view().as_slice::<f32>();
                found.scores = Some(scores.map_err(|_| of_type(name, tensor, DType::F32))?);
            }
        }
        // The dimensions of a tensor that is there.
        found.classes = classes.and_then(|classes| usize::try_from(classes).ok()).unwrap_or_default();
        Ok(found)
    }

    /// The values of so many examples.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the output is not one value of each.
    pub fn regression(&self, examples: usize) -> Result<&[f32], Status> {
        let Some((spec, tensor)) = self.outputs().next() else {
            return Err(Status::internal(format!("output `{OUTPUTS}` is missing")));
        };
        let (&[rows] | &[rows, 1]) = tensor.shape().dims() else {
            return Err(Status::invalid_argument(format!(
                "Expected output `{}` of shape [batch_size] or [batch_size 1], got {}",
                spec.name,
                tensor.shape()
            )));
        };
        of_batch(&spec.name, rows, examples)?;
        tensor.view().as_slice().map_err(|_| of_type(&spec.name, tensor, DType::F32))
    }
}

fn of_batch(output: &str, found: i64, wanted: usize) -> Result<(), Status> {
    if usize::try_from(found) == Ok(wanted) {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("Expected output `{output}` of batch size {wanted}, got {found}")))
}

fn of_type(output: &str, tensor: &Tensor, wanted: DType) -> Status {
    Status::invalid_argument(format!("Expected output `{output}` of {wanted}, got {}", tensor.dtype()))
}

#[cfg(test)]
mod tests;
