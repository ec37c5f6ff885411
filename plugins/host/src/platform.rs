//! A plugin's platform, as any other.

use std::ffi::c_void;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use salver_core_platform::{LoadRequest, Model, Platform, Probe};
use salver_core_resource::Estimate;
use salver_core_status::Status;
use salver_plugins_abi as abi;

use crate::details::Details;
use crate::instance::Recipe;
use crate::memory::Memory;
use crate::model::PluginModel;
use crate::sink::Said;

/// A [`abi::PlatformV1`] whose functions are all there.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The plugin's name, for messages.
    pub(crate) plugin: Arc<str>,
    pub(crate) context: *const c_void,
    pub(crate) probe: unsafe extern "C" fn(*const c_void, abi::Str, *const abi::TextSink) -> u32,
    pub(crate) load: unsafe extern "C" fn(
        *const c_void,
        *const abi::LoadRequest,
        *mut abi::LoadedModel,
        *const abi::ErrorSink,
    ) -> u32,
    /// Where the plugin says what its models take.
    pub(crate) memory: Option<Memory>,
    /// Where it says more of inputs and outputs.
    pub(crate) details: Option<Details>,
}

// SAFETY: the contract allows every function of a platform's table to be called from any thread, many at once.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

/// A platform of a plugin.
#[derive(Debug)]
pub(crate) struct PluginPlatform {
    pub(crate) name: String,
    pub(crate) table: Table,
}

impl Platform for PluginPlatform {
    fn name(&self) -> &str {
        &self.name
    }

    fn probe(&self, directory: &Path) -> Probe {
        let directory = directory.as_os_str().as_bytes();
        let directory = abi::Str { data: directory.as_ptr().cast(), size: directory.len() };
        let mut said = Said::default();
        let sink = said.text_sink();
        // SAFETY: all that is passed is alive for the call, and the context is the table's own.
        let matched = unsafe { (self.table.probe)(self.table.context, directory, &raw const sink) };
        match (matched, said.into_text()) {
            (1, file) => Probe::Match { file },
            (0, reason) => Probe::NoMatch { reason },
            (other, _) => Probe::NoMatch { reason: format!("the plugin answered {other}, wanted 0 or 1") },
        }
    }

    fn load(&self, request: &LoadRequest<'_>) -> Result<Box<dyn Model>, Status> {
        let recipe = Recipe {
            table: self.table.clone(),
            id: request.id.clone(),
            directory: request.directory.to_owned(),
            options: request.options.clone(),
        };
        match PluginModel::load(recipe, request.cancel) {
            Ok(model) => Ok(Box::new(model)),
            Err(failure) => Err(failure.status),
        }
    }

    fn estimate(&self, request: &LoadRequest<'_>) -> Result<Option<Estimate>, Status> {
        let estimate = |memory: Memory| memory.estimate(&self.table.plugin, request);
        self.table.memory.map_or(Ok(None), estimate).map_err(|failure| failure.status)
    }

    fn trim(&self) {
        let trim = |memory: Memory| memory.trim(&self.table.plugin);
        if let Err(failure) = self.table.memory.map_or(Ok(()), trim) {
            tracing::warn!(platform = self.name, error = %failure.status, "memory was not given back");
        }
    }
}
