//! The model that requests see: a loop around the queue.

use std::time::Instant;

use salver_plugins_sdk::{
    BatchQueue, DType, Model, Options, RunContext, RunRequest, Shape, ShapeSpec, Signature, SignatureSet,
    Status, StepRequest, Tensor, TensorSpec,
};

/// The token that ends a sequence.
const END: i32 = 0;

/// How many tokens an answer has at most, where a request says nothing.
const MOST: i64 = 64;

/// `prompt`, the tokens to go on from, and `most`, how many to add at most; `tokens` are those that were added, with the one
/// that ends the sequence where it came.
pub(crate) struct Decoder {
    queue: Box<dyn BatchQueue>,
    vocabulary: usize,
    /// How many numbers the step keeps of a sequence.
    state: usize,
    signatures: SignatureSet,
}

impl Decoder {
    pub(crate) fn new(queue: Box<dyn BatchQueue>, vocabulary: usize, state: usize) -> Result<Self, Status> {
        let most = Tensor::from_vec(Shape::scalar(), vec![MOST])?;
        let prompt = TensorSpec::new("prompt", DType::I32, ShapeSpec::of(&[-1]));
        let most = TensorSpec::new("most", DType::I64, ShapeSpec::of(&[])).optional(Some(most));
        let tokens = TensorSpec::new("tokens", DType::I32, ShapeSpec::of(&[-1]));
        let signatures = SignatureSet::new(vec![Signature::predict(vec![prompt, most], vec![tokens])])?;
        Ok(Self { queue, vocabulary, state, signatures })
    }

    /// One step of one sequence, together with those of other requests that are decoding now.
    fn step(&self, token: i32, state: Tensor, context: RunContext<'_>) -> Result<(i32, Tensor), Status> {
        let token = Tensor::from_vec(Shape::new(&[1])?, vec![token])?;
        let inputs = vec![Some(token), Some(state)];
        let outputs = self.queue.run(StepRequest { signature: 0, inputs, outputs: &[0, 1], context })?;
        let Ok([next, state]) = <[Tensor; 2]>::try_from(outputs) else {
            return Err(Status::internal("the step did not return two outputs"));
        };
        let next = next.view().as_slice::<i32>()?.first().copied();
        Ok((next.ok_or_else(|| Status::internal("the step returned no token"))?, state))
    }
}

impl Model for Decoder {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let prompt = request.input(0)?;
        let prompt = prompt.as_slice::<i32>()?;
        let known = |token: &&i32| usize::try_from(**token).is_ok_and(|token| token < self.vocabulary);
        if let Some(token) = prompt.iter().find(|token| !known(token)) {
            let vocabulary = self.vocabulary;
            return Err(Status::invalid_argument(format!(
                "prompt holds the token {token}, tokens are below {vocabulary}"
            )));
        }
        let most = request.input(1)?.as_slice::<i64>()?.first().copied().unwrap_or(MOST);
        // Steps that say the same share batches: what else a request says is not for them.
        let context = RunContext { parameters: Options::none(), ..request.context };
        let width = i64::try_from(self.state).unwrap_or(i64::MAX);
        let mut state = Tensor::from_vec(Shape::new(&[1, width])?, vec![0i16; self.state])?;
        let mut next = END;
        for token in prompt {
            (next, state) = self.step(*token, state, context)?;
        }
        let mut tokens = Vec::new();
        while !prompt.is_empty() && (tokens.len() as i64) < most {
            tokens.push(next);
            if next == END {
                break;
            }
            context.check(Instant::now())?;
            (next, state) = self.step(next, state, context)?;
        }
        let length = i64::try_from(tokens.len()).unwrap_or(i64::MAX);
        Ok(vec![Tensor::from_vec(Shape::new(&[length])?, tokens)?])
    }
}
