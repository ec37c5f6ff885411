//! The step: one more token for each of several sequences. Run by the queue alone.

use salver_plugins_sdk::{
    DType, Model, RunRequest, ShapeSpec, Signature, SignatureSet, Status, Tensor, TensorSpec,
};

use crate::network::Network;

/// `token` of shape `[sequences]` and `state` of shape `[sequences, numbers]`; both come out as they are after the step.
pub(crate) struct Step {
    network: Network,
    signatures: SignatureSet,
}

impl Step {
    pub(crate) fn new(network: Network) -> Result<Self, Status> {
        let state = i64::try_from(network.state()).unwrap_or(i64::MAX);
        let specs = || {
            let token = TensorSpec::new("token", DType::I32, ShapeSpec::of(&[-1]));
            vec![token, TensorSpec::new("state", DType::I16, ShapeSpec::of(&[-1, state]))]
        };
        let signatures = SignatureSet::new(vec![Signature::predict(specs(), specs())])?;
        Ok(Self { network, signatures })
    }
}

impl Model for Step {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let (tokens, state) = (request.input(0)?, request.input(1)?);
        let mut states = state.as_slice::<i16>()?.to_vec();
        let next = self.network.step(tokens.as_slice()?, &mut states);
        let next = Tensor::from_vec(tokens.shape().clone(), next)?;
        let states = Tensor::from_vec(state.shape().clone(), states)?;
        // Whoever asks wants both, in either order.
        let outputs = [next, states];
        Ok(request.outputs.iter().filter_map(|position| outputs.get(*position).cloned()).collect())
    }
}
