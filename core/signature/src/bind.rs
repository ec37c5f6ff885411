//! The check of a request against a signature.

use salver_core_tensor::{Shape, Tensor};

use crate::error::InputMismatch;
use crate::{Error, Signature, TensorSpec};

impl Signature {
    /// Puts a request's inputs into the order of the signature's, checked; `None` stands where an optional input
    /// without a default is left out.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: [`Error::Inputs`], [`Error::Twice`], [`Error::DType`] or [`Error::Shape`].
    pub fn bind(&self, inputs: Vec<(String, Tensor)>) -> Result<Vec<Option<Tensor>>, Error> {
        let found = inputs.len();
        let mut bound: Vec<Option<Tensor>> = vec![None; self.inputs.len()];
        let mut unexpected = Vec::new();
        for (name, tensor) in inputs {
            let slot = self.inputs.iter().zip(&mut bound).find(|(spec, _)| spec.name == name);
            let Some((spec, slot)) = slot else {
                unexpected.push(name);
                continue;
            };
            if slot.is_some() {
                return Err(Error::Twice { kind: "input", name });
            }
            spec.check(&tensor)?;
            *slot = Some(tensor);
        }
        let mut missing = Vec::new();
        for (spec, slot) in self.inputs.iter().zip(&mut bound) {
            if slot.is_none() {
                slot.clone_from(&spec.default);
                if !spec.is_optional {
                    missing.push(spec.name.clone());
                }
            }
        }
        if missing.is_empty() && unexpected.is_empty() {
            return Ok(bound);
        }
        Err(Error::Inputs(InputMismatch { wanted: self.inputs.len(), found, missing, unexpected }))
    }

    /// The positions of the outputs named, in that order; of all outputs where none is named.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: [`Error::UnknownOutput`] or [`Error::Twice`].
    pub fn select_outputs<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<usize>, Error> {
        if names.is_empty() {
            return Ok((0..self.outputs.len()).collect());
        }
        let mut selected = Vec::with_capacity(names.len().min(self.outputs.len()));
        for name in names {
            let name = name.as_ref();
            let Some(index) = self.outputs.iter().position(|output| output.name == name) else {
                let known = self.outputs.iter().map(|output| output.name.clone()).collect();
                return Err(Error::UnknownOutput { output: name.to_owned(), known });
            };
            if selected.contains(&index) {
                return Err(Error::Twice { kind: "output", name: name.to_owned() });
            }
            selected.push(index);
        }
        Ok(selected)
    }
}

impl TensorSpec {
    /// Whether `tensor` may be this input.
    ///
    /// # Errors
    /// [`Error::DType`] or [`Error::Shape`].
    pub fn check(&self, tensor: &Tensor) -> Result<(), Error> {
        if tensor.dtype() != self.dtype {
            return Err(Error::DType { input: self.name.clone(), wanted: self.dtype, found: tensor.dtype() });
        }
        self.check_shape(tensor.shape())
    }

    /// Whether a tensor of `shape` may be this input.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn check_shape(&self, shape: &Shape) -> Result<(), Error> {
        if self.allows(shape) {
            return Ok(());
        }
        Err(Error::Shape { input: self.name.clone(), wanted: self.shape.clone(), found: shape.clone() })
    }

    /// Whether a tensor of `shape` may be this input or output, as far as is known before the model has seen it.
    pub fn allows(&self, shape: &Shape) -> bool {
        self.is_shape_advisory || self.shape.allows(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ShapeSpec, SignatureSet};
    use salver_core_tensor::DType;

    fn signature() -> Signature {
        let optional = Tensor::from_vec(Shape::scalar(), vec![0.5f32]).unwrap();
        Signature::predict(
            vec![
                TensorSpec::new("a", DType::I64, ShapeSpec::of(&[-1, 2])),
                TensorSpec::new("b", DType::F32, ShapeSpec::any()).optional(Some(optional)),
            ],
            vec![
                TensorSpec::new("x", DType::F32, ShapeSpec::any()),
                TensorSpec::new("y", DType::F32, ShapeSpec::any()),
            ],
        )
    }

    fn a(rows: i64, columns: i64) -> (String, Tensor) {
        let shape = Shape::new(&[rows, columns]).unwrap();
        let values = vec![0i64; shape.element_count()];
        ("a".to_owned(), Tensor::from_vec(shape, values).unwrap())
    }

    #[track_caller]
    fn refused(inputs: Vec<(String, Tensor)>, message: &str) {
        assert_eq!(signature().bind(inputs).unwrap_err().to_string(), message);
    }

    #[test]
    fn inputs_come_in_the_order_of_the_signature_and_defaults_stand_in() {
        let b = ("b".to_owned(), Tensor::from_vec(Shape::scalar(), vec![2.0f32]).unwrap());
        let bound = signature().bind(vec![b.clone(), a(1, 2)]).unwrap();
        assert_eq!(bound[1].as_ref(), Some(&b.1));
        let bound = signature().bind(vec![a(0, 2)]).unwrap();
        assert_eq!(bound[1].as_ref().unwrap().view().as_slice::<f32>().unwrap(), [0.5]);
    }

    #[test]
    fn a_wrong_request_is_told_what_was_found_and_what_was_wanted() {
        refused(vec![], "expected 2 inputs but got 0: missing `a`");
        refused(
            vec![("c".to_owned(), a(1, 2).1)],
            "expected 2 inputs but got 1: missing `a`, unexpected `c`",
        );
        refused(vec![a(1, 2), a(1, 2)], "input `a` is there twice");
        refused(vec![a(1, 3)], "input `a` has shape [1, 3], the model expects [-1, 2]");
        let float = Tensor::from_vec(Shape::new(&[1, 2]).unwrap(), vec![0f32; 2]).unwrap();
        refused(vec![("a".to_owned(), float)], "input `a` has data type FP32, the model expects INT64");
    }

    #[test]
    fn a_shape_that_is_advisory_holds_nobody_to_it() {
        let strict = TensorSpec::new("x", DType::F32, ShapeSpec::of(&[-1, 1]));
        let vector = Tensor::from_vec(Shape::new(&[3]).unwrap(), vec![1f32, 2., 3.]).unwrap();
        assert!(matches!(strict.check(&vector), Err(Error::Shape { .. })));
        let advisory = strict.with_advisory_shape();
        assert_eq!(advisory.check(&vector), Ok(()));
        let ints = Tensor::from_vec(Shape::new(&[3]).unwrap(), vec![1i64, 2, 3]).unwrap();
        assert!(matches!(advisory.check(&ints), Err(Error::DType { .. })));
    }

    #[test]
    fn outputs_are_selected_by_name_or_all() {
        let signature = signature();
        assert_eq!(signature.select_outputs::<&str>(&[]).unwrap(), [0, 1]);
        assert_eq!(signature.select_outputs(&["y", "x"]).unwrap(), [1, 0]);
        let unknown = signature.select_outputs(&["z"]).unwrap_err();
        assert_eq!(unknown.to_string(), "output `z` is not one of the model's: `x`, `y`");
        assert!(matches!(signature.select_outputs(&["x", "x"]), Err(Error::Twice { .. })));
    }

    #[test]
    fn a_set_needs_a_signature_and_unique_names() {
        assert_eq!(SignatureSet::new(Vec::new()).unwrap_err(), Error::NoSignature);
        assert!(matches!(SignatureSet::new(vec![signature(), signature()]), Err(Error::Twice { .. })));
        let set = SignatureSet::new(vec![signature()]).unwrap();
        assert_eq!(set.get("").unwrap().0, 0);
        assert_eq!(set.get("serving_default").unwrap().0, 0);
        assert!(set.get("other").is_none());
    }
}
