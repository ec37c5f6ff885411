use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use salver_batching_parameters::{Parameters, QueuePolicyParameters};
use salver_batching_session::Pools;
use salver_core_observe::{NoObserver, Observer};
use salver_core_platform::{OptionValue, Options};
use salver_core_servable::{Tenancy, Version};
use salver_core_signature::{ShapeSpec, Signature, TensorSpec};
use salver_core_tensor::{DType, Shape};

use super::*;
use crate::{Api, GateOptions, ServedOptions, run, with_timeout};

/// Refuses everything. Of its signatures the second cannot be batched.
struct Fussy(SignatureSet);

impl Model for Fussy {
    fn signatures(&self) -> &SignatureSet {
        &self.0
    }

    fn run(&self, _: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        Err(Status::invalid_argument("not to my taste"))
    }
}

/// Two levels of priority; requests of the second may say how long they wait.
fn served(is_batched: bool) -> Tenancy<Served> {
    let spec = |name, dims: &[i64]| TensorSpec::new(name, DType::F32, ShapeSpec::of(dims));
    let rows = Signature::predict(vec![spec("x", &[-1])], vec![spec("y", &[-1])]);
    let scalar = Signature::predict(vec![spec("x", &[])], vec![spec("y", &[])]);
    let signatures =
        SignatureSet::new(vec![rows, Signature { name: "scalar".to_owned(), ..scalar }]).unwrap();
    let id = ServableId::new("m", Version::new(1).unwrap());
    let observer: Arc<dyn Observer> = Arc::new(NoObserver);
    let gate = GateOptions { max_running: 1, max_waiting: 1 };
    let options = ServedOptions { inline_limit: Duration::ZERO, gate };
    let mut served = Served::new(&id, Box::new(Fussy(signatures)), "fake", options, Arc::clone(&observer));
    if is_batched {
        let policy = QueuePolicyParameters { allow_timeout_override: Some(true), ..Default::default() };
        let said = Parameters {
            num_batch_threads: Some(1),
            priority_levels: Some(2),
            priority_queue_policy: Some(BTreeMap::from([(2, policy)])),
            ..Parameters::default()
        };
        served = served.batched(&id, said.resolve().unwrap().unwrap(), &Pools::default(), &observer).unwrap();
    }
    Tenancy::new(id, Arc::new(served), 1, || {})
}

#[test]
fn a_timeout_is_for_the_queue_where_the_request_will_wait_in_one_that_lets_it_say_so() {
    let (batched, plain) = (served(true), served(false));
    let start = Instant::now();
    let soon = Some(start + Duration::from_micros(5));
    let deadline = |tenancy: &Tenancy<Served>, signature, priority| {
        let mut parameters = Options::new();
        parameters.set("timeout", OptionValue::Int(5));
        parameters.set("priority", OptionValue::Int(priority));
        with_timeout(&tenancy.handle(0), signature, None, &parameters, start)
    };
    assert_eq!(deadline(&batched, 0, 2), Ok(None));
    assert_eq!(deadline(&batched, 0, 9), Ok(None), "there is no lower level than the last");
    assert_eq!(deadline(&batched, 0, 1), Ok(soon));
    assert_eq!(deadline(&batched, 0, 0), Ok(soon), "the first level is the default");
    assert_eq!(deadline(&batched, 1, 2), Ok(soon), "a signature that is not batched has no queue");
    assert_eq!(deadline(&plain, 0, 2), Ok(soon));
}

#[tokio::test]
async fn an_error_says_whose_it_is_whether_the_request_was_batched_or_not() {
    for is_batched in [true, false] {
        let tenancy = served(is_batched);
        let x = Tensor::from_vec(Shape::new(&[1]).unwrap(), vec![1.0f32]).unwrap();
        let call = || crate::Call {
            api: Api::Embedded,
            served: tenancy.handle(0),
            signature: 0,
            inputs: vec![("x".to_owned(), x.clone())],
            outputs: Vec::new(),
            context: RequestContext::default(),
        };
        let wanted = Status::invalid_argument("model `m:1`: not to my taste");
        assert_eq!(run::run(call()).await.err().as_ref(), Some(&wanted), "{is_batched}");
        let blocking = tokio::task::spawn_blocking({
            let call = call();
            move || run::run_blocking(call).err()
        });
        assert_eq!(blocking.await.unwrap(), Some(wanted), "{is_batched}");
    }
}
