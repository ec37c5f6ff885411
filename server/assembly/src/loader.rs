//! Loads one version of a model with the platform that is right for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use salver_core_loader::{Cancellation, LoadContext, Loader};
use salver_core_observe::{Metric, Observer};
use salver_core_platform::LoadRequest;
use salver_core_servable::ServableId;
use salver_core_status::{Code, Status};
use salver_server_config::ModelSettings;
use salver_server_inference::{Served, ServedOptions};

use crate::Platforms;

/// What all loaders share.
pub(crate) struct LoaderContext {
    pub(crate) platforms: Platforms,
    pub(crate) served: ServedOptions,
    pub(crate) observer: Arc<dyn Observer>,
}

/// Loads the version whose files are in one directory.
pub(crate) struct ModelLoader {
    context: Arc<LoaderContext>,
    directory: PathBuf,
}

impl ModelLoader {
    pub(crate) fn new(context: Arc<LoaderContext>, directory: PathBuf) -> Self {
        Self { context, directory }
    }

    fn load_model(&self, id: &ServableId, cancel: Cancellation<'_>) -> Result<Served, Status> {
        let settings = match self.directory.parent() {
            Some(model) => ModelSettings::read(model)?,
            None => ModelSettings::default(),
        };
        let (platform, options) =
            self.context.platforms.choose(&self.directory, settings.platform.as_deref())?;
        let options = options.overlaid(&settings.options);
        let request = LoadRequest { id, directory: &self.directory, options: &options, cancel };
        let model = platform.load(&request).map_err(|status| {
            status.context(format_args!("platform {}, `{}`", platform.name(), self.directory.display()))
        })?;
        let observer = Arc::clone(&self.context.observer);
        Ok(Served::new(id, model, platform.name(), self.context.served, observer))
    }
}

impl Loader for ModelLoader {
    type Servable = Served;

    fn load(&mut self, context: &LoadContext<'_>) -> Result<Served, Status> {
        let (id, cancel) = (context.id, context.cancel);
        let start = Instant::now();
        let outcome = self.load_model(id, cancel);
        let took = start.elapsed();
        let (model, version) = (id.name.as_str(), id.version.to_string());
        let code = outcome.as_ref().err().map_or("OK", |status| Code::name(status.code()));
        let observer = &self.context.observer;
        observer.instrument(Metric::Loads, &[model, &version, code]).record(1.0);
        observer.instrument(Metric::LoadDuration, &[model, &version]).record(took.as_secs_f64());
        match &outcome {
            Ok(served) => tracing::info!(%id, platform = served.platform(), ?took, "loaded"),
            Err(status) => tracing::error!(%id, code = status.code().name(), error = %status, "load failed"),
        }
        outcome
    }

    fn unload(&mut self, served: Served) {
        let start = Instant::now();
        drop(served);
        tracing::info!(directory = %self.directory.display(), took = ?start.elapsed(), "unloaded");
    }
}
