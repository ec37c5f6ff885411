//! One call of a model.

use salver_core_status::Status;
use salver_core_tensor::TensorView;

use crate::RunContext;

/// What a model is given to compute.
#[derive(Clone, Copy, Debug)]
pub struct RunRequest<'a> {
    /// Which of the model's signatures, by position.
    pub signature: usize,
    /// The signature's inputs, in its order; `None` for an optional one that is left out. Borrowed for the call.
    pub inputs: &'a [Option<TensorView<'a>>],
    /// Which of the signature's outputs to return, by position, in the order wanted.
    pub outputs: &'a [usize],
    /// Deadline, cancellation, trace, parameters.
    pub context: RunContext<'a>,
}

impl<'a> RunRequest<'a> {
    /// The input at `position` of the signature, for a model that needs it.
    ///
    /// # Errors
    /// INTERNAL where it is absent: the signature said that it may be left out, and the model thinks it may not.
    pub fn input(&self, position: usize) -> Result<TensorView<'a>, Status> {
        self.inputs
            .get(position)
            .copied()
            .flatten()
            .ok_or_else(|| Status::internal(format!("input {position} is needed, and was not given")))
    }
}
