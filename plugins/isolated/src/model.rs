//! A model in a process of its own, as any other.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use salver_core_platform::{Cancellation, LoadRequest, Model, RunRequest};
use salver_core_resource::Allocation;
use salver_core_signature::SignatureSet;
use salver_core_status::Status;
use salver_core_tensor::Tensor;

use crate::lane::Trouble;
use crate::message::Load;
use crate::platform::Spawner;
use crate::supervisor::{Loaded, Recipe, Running, Shared};

/// A loaded model. Dropping it unloads, and waits until its process has ended.
pub(crate) struct IsolatedModel {
    shared: Arc<Shared>,
    signatures: SignatureSet,
    resources: Option<Allocation>,
    supervisor: Option<JoinHandle<()>>,
}

impl IsolatedModel {
    /// Loads a model in a new process.
    pub(crate) fn load(recipe: Recipe, request: &LoadRequest<'_>, spawner: &Spawner) -> Result<Self, Status> {
        let shared = Arc::new(Shared::new(recipe, request.id.clone()));
        let load = Load::new(request);
        let (says, first) = sync_channel(1);
        let supervisor = spawner.spawn({
            let shared = Arc::clone(&shared);
            move || shared.supervise(&load, says)
        })?;
        match wait(&first, &shared, request.cancel) {
            Ok((signatures, resources)) => {
                Ok(Self { shared, signatures, resources, supervisor: Some(supervisor) })
            }
            Err(status) => {
                shared.close();
                // One that panicked has nothing to say that the panic's own message did not.
                let _ = supervisor.join();
                Err(status)
            }
        }
    }

    fn lost(&self, running: &Arc<Running>) -> Status {
        self.shared.lost(running)
    }
}

/// How the first load went.
fn wait(
    first: &Receiver<Result<Loaded, Status>>,
    shared: &Shared,
    cancel: Cancellation<'_>,
) -> Result<Loaded, Status> {
    /// Nobody tells that the load is cancelled.
    const LOOK: Duration = Duration::from_millis(20);
    loop {
        match first.recv_timeout(LOOK) {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => shared.cancel.cancel(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Status::internal("the thread that keeps the model's process is gone"));
            }
        }
    }
}

impl Model for IsolatedModel {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let signature = self.signatures.as_slice().get(request.signature).ok_or_else(|| {
            let (position, model) = (request.signature, &self.shared.id);
            Status::internal(format!("signature {position} was asked for, model `{model}` has none there"))
        })?;
        let running = self.shared.running()?;
        // A lane cannot be had where the process has just ended.
        let Ok(mut lane) = running.lane() else {
            return Err(self.lost(&running));
        };
        match lane.run(signature, request) {
            Ok(outputs) => {
                running.give_back(lane);
                Ok(outputs)
            }
            Err(Trouble::Failed(status)) => {
                running.give_back(lane);
                Err(status)
            }
            Err(Trouble::Refused(status)) => Err(status),
            Err(Trouble::Gone) => Err(self.lost(&running)),
            Err(Trouble::Wrong(what)) => {
                tracing::error!(model = %self.shared.id, what, "a model's process does what it must not, and is ended");
                running.shut();
                Err(self.lost(&running))
            }
        }
    }

    fn resources(&self) -> Option<Allocation> {
        self.resources.clone()
    }
}

impl Drop for IsolatedModel {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(supervisor) = self.supervisor.take() {
            // As above.
            let _ = supervisor.join();
        }
    }
}
