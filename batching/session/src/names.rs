//! What the queues of a session are called where they are measured and logged.

use salver_core_servable::ServableId;

/// What the queues of a session are called.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) model: String,
    pub(crate) version: String,
    /// Of a step inside a model: its name.
    pub(crate) step: Option<String>,
}

impl Names {
    /// The queues of a whole model.
    pub(crate) fn of(id: &ServableId) -> Self {
        Self { model: id.name.to_string(), version: id.version.to_string(), step: None }
    }

    /// The queue of a signature: its name, after the step's where there is one.
    pub(crate) fn queue(&self, signature: &str) -> String {
        match &self.step {
            None => signature.to_owned(),
            Some(step) => format!("{step}/{signature}"),
        }
    }
}
