//! What the Open Inference Protocol asks of models, the same over either transport.

use salver_core_servable::{Version, VersionChoice};
use salver_core_signature::Signature;
use salver_core_status::Status;

use crate::{Inference, Served};

/// The extensions of the protocol that there are.
pub const EXTENSIONS: [&str; 2] = ["binary_tensor_data", "parameters"];

impl Inference {
    /// The versions of a model that answer requests, oldest first, as Triton lists them.
    pub fn available_versions(&self, model: &str) -> Vec<Version> {
        let versions = self.catalog().versions(model).unwrap_or_default();
        let answering = versions.iter().rev().filter(|status| self.catalog().answers(model, status));
        answering.map(|status| status.version).collect()
    }

    /// Whether a version that the choice could mean answers requests. A model that nobody has heard of is not, and that
    /// is no error.
    pub fn is_ready(&self, model: &str, choice: VersionChoice<'_>) -> bool {
        let versions = self.available_versions(model);
        match choice {
            VersionChoice::Specific(version) => versions.contains(&version),
            VersionChoice::Latest | VersionChoice::Label(_) => !versions.is_empty(),
        }
    }
}

impl Served {
    /// The signature that the protocol, which has no word for signatures, means; and its position.
    ///
    /// # Errors
    /// INTERNAL where there is none, which a set of signatures rules out.
    pub fn default_signature(&self) -> Result<(usize, &Signature), Status> {
        self.signatures().get("").ok_or_else(|| Status::internal("the model has no signature"))
    }
}
