//! Resolves, checks and runs a request, free of transport.
//!
//! [`Inference`] is what every interface of the server talks to. Its way for a request: [`Inference::resolve_or_load`]
//! turns a name and a version into a handle; the caller reads the request's tensors, knowing the signature where it must; and
//! [`Inference::run`] binds the tensors to the signature, finds a thread, runs the model and returns its [`Answer`],
//! whose tensors are still the model's memory. Interfaces differ only in what they do before and after.
//!
//! A future that is dropped sets the request's [`CancelFlag`](salver_core_platform::CancelFlag): a request that waits
//! for a thread is then never run, and one that runs can notice.

mod batched;
mod catalog;
mod examples;
mod gate;
mod instruments;
mod on_demand;
mod open_inference;
mod pace;
mod resolve;
mod run;
mod served;
mod timeout;

pub use catalog::{Catalog, LabelStatus, Readiness, VersionStatus};
pub use examples::{Classification, Method, Question, examples};
pub use gate::GateOptions;
pub use instruments::Api;
pub use on_demand::{Done, NotLoaded, OnDemand, Wish};
pub use open_inference::EXTENSIONS;
pub use resolve::ResolveError;
pub use run::{Answer, Call};
pub use salver_batching_session::{BatchingStatus, NotBatched, SignatureStatus};
pub use served::{Served, ServedOptions};
pub use timeout::{PRIORITY, priority, with_priority, with_timeout};

use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_core_observe::{Metric, Observer};
use salver_core_servable::{Handle, Lookup, LookupError, VersionChoice};
use salver_core_status::Status;

/// Answers requests for the models that are loaded. Share it behind an [`Arc`].
pub struct Inference {
    lookup: Arc<dyn Lookup<Served>>,
    catalog: Arc<dyn Catalog>,
    observer: Arc<dyn Observer>,
    /// Who loads what is asked for, and how long a request waits for that.
    on_demand: Option<(Arc<dyn OnDemand>, Duration)>,
}

impl Inference {
    /// Answers from `lookup`; `catalog` tells about versions that cannot answer, and why.
    pub fn new(
        lookup: Arc<dyn Lookup<Served>>,
        catalog: Arc<dyn Catalog>,
        observer: Arc<dyn Observer>,
    ) -> Arc<Self> {
        Arc::new(Self { lookup, catalog, observer, on_demand: None })
    }

    /// The same where versions are loaded by `on_demand` when they are asked for; a request waits so long for that.
    pub fn on_demand(
        lookup: Arc<dyn Lookup<Served>>,
        catalog: Arc<dyn Catalog>,
        observer: Arc<dyn Observer>,
        on_demand: Arc<dyn OnDemand>,
        wait: Duration,
    ) -> Arc<Self> {
        Arc::new(Self { lookup, catalog, observer, on_demand: Some((on_demand, wait)) })
    }

    /// What is known of models and their versions, loaded or not.
    pub fn catalog(&self) -> &dyn Catalog {
        &*self.catalog
    }

    /// The handle of a version that is loaded. Wait-free where there is one.
    ///
    /// # Errors
    /// [`ResolveError`]: NOT_FOUND, UNAVAILABLE or INVALID_ARGUMENT. Its `Display` is TensorFlow Serving's text;
    /// [`ResolveError::to_open_inference_status`] is Triton's.
    pub fn resolve(
        &self,
        api: Api,
        name: &str,
        version: VersionChoice<'_>,
    ) -> Result<Handle<Served>, ResolveError> {
        self.lookup.get(name, version).map_err(|miss| self.unresolved(api, self.miss(miss, name)))
    }

    /// The same, where versions are loaded on demand after it is: waits for that, without holding up the thread, until
    /// the deadline or as long as a request may wait. A future that is dropped leaves the load alone.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), and: DEADLINE_EXCEEDED; UNAVAILABLE where it waited long enough, the load goes on;
    /// RESOURCE_EXHAUSTED where there is no room for the model.
    pub async fn resolve_or_load(
        &self,
        api: Api,
        name: &str,
        version: VersionChoice<'_>,
        deadline: Option<Instant>,
    ) -> Result<Handle<Served>, ResolveError> {
        let miss = match self.lookup.get(name, version) {
            Ok(handle) => return Ok(handle),
            Err(miss) => miss,
        };
        let Some((on_demand, wait)) = &self.on_demand else {
            return Err(self.unresolved(api, self.miss(miss, name)));
        };
        let error = match on_demand::load(&**on_demand, *wait, name, version, deadline).await {
            Ok(Ok(handle)) => return Ok(handle),
            Ok(Err(NotLoaded::Unknown(miss))) => self.miss(miss, name),
            Ok(Err(NotLoaded::Failed(miss, status))) => ResolveError::failed(miss, name, status),
            Err(late) => ResolveError::late(miss, name, late),
        };
        Err(self.unresolved(api, error))
    }

    fn miss(&self, miss: LookupError, name: &str) -> ResolveError {
        ResolveError::new(miss, name, self.catalog())
    }

    /// Counts a request that finds no version.
    fn unresolved(&self, api: Api, error: ResolveError) -> ResolveError {
        let code = salver_core_status::ErrorCode::code(&error);
        self.observer.instrument(Metric::UnresolvedRequests, &[api.name(), code.name()]).record(1.0);
        error
    }

    /// Runs a call to its answer.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the inputs do not fit the signature or the model refuses them, DEADLINE_EXCEEDED,
    /// CANCELLED, UNAVAILABLE where too many requests wait already, and whatever the model fails with.
    pub async fn run(&self, call: Call) -> Result<Answer, Status> {
        run::run(call).await
    }

    /// The same on the calling thread, which may block: for programs that call from threads of their own. No thread is woken
    /// for it, and as many runs go on at once as there are callers, batched signatures apart. The deadline ends the wait for a
    /// batch, and is the model's to keep from there on.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_blocking(&self, call: Call) -> Result<Answer, Status> {
        run::run_blocking(call)
    }
}
