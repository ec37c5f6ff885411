//! Which requests may share a batch.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use salver_core_platform::{OptionValue, Options};
use salver_core_tensor::{DType, Tensor};
use smallvec::SmallVec;

/// What is equal in all requests of a batch. Cheap to clone; its hash is computed once.
#[derive(Clone, Debug)]
pub struct Group(Arc<Hashed>);

#[derive(Debug)]
struct Hashed {
    hash: u64,
    form: Form,
}

/// What a request asks for, without its values.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    /// By position in the signature.
    pub(crate) inputs: SmallVec<[Input; 4]>,
    /// The outputs wanted, by position: ascending, none twice.
    pub(crate) outputs: SmallVec<[usize; 4]>,
    /// The parameters that the model may read.
    pub(crate) parameters: Parameters,
    /// Of a request that must run by itself: its number, which no other has.
    pub(crate) alone: Option<u64>,
}

/// What a request gives for an input.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// Nothing.
    Absent,
    /// What the signature says where nothing is given; the same for all rows, and so not joined.
    Default,
    /// Rows of this form.
    Rows(DType, SmallVec<[i64; 4]>),
    /// Rows of any form of this rank.
    Ragged(DType, usize),
}

/// Parameters that are compared and hashed, floats by their bits.
#[derive(Debug)]
pub(crate) struct Parameters(pub(crate) Options);

impl Group {
    pub(crate) fn new(form: Form, hashes: &impl BuildHasher) -> Self {
        Self(Arc::new(Hashed { hash: hashes.hash_one(&form), form }))
    }

    pub(crate) fn form(&self) -> &Form {
        &self.0.form
    }
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.form == other.0.form)
    }
}

impl Eq for Group {}

impl Hash for Group {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl Input {
    /// The form of a tensor's rows, where it has a dimension that counts them.
    pub(crate) fn of(tensor: &Tensor, is_ragged: bool) -> Option<Self> {
        let (_, dims) = tensor.shape().dims().split_first()?;
        Some(match is_ragged {
            true => Input::Ragged(tensor.dtype(), tensor.shape().rank()),
            false => Input::Rows(tensor.dtype(), SmallVec::from_slice(dims)),
        })
    }

    /// Whether the tensors of many are joined.
    pub(crate) fn is_joined(&self) -> bool {
        matches!(self, Input::Rows(..) | Input::Ragged(..))
    }
}

/// The positions in ascending order, none twice.
pub(crate) fn sorted(outputs: &[usize]) -> SmallVec<[usize; 4]> {
    let mut sorted = SmallVec::from_slice(outputs);
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): ((&str, &OptionValue), (&str, &OptionValue))| {
            a.0 == b.0
                && match (a.1, b.1) {
                    (OptionValue::Float(a), OptionValue::Float(b)) => a.to_bits() == b.to_bits(),
                    (a, b) => a == b,
                }
        };
        self.0.iter().len() == other.0.iter().len() && self.0.iter().zip(other.0.iter()).all(same)
    }
}

impl Eq for Parameters {}

impl Hash for Parameters {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (name, value) in self.0.iter() {
            name.hash(state);
            match value {
                OptionValue::Bool(value) => value.hash(state),
                OptionValue::Int(value) => value.hash(state),
                OptionValue::Float(value) => value.to_bits().hash(state),
                OptionValue::Text(value) => value.hash(state),
            }
        }
    }
}
