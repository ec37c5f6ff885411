//! Where models' versions stand, as TensorFlow Serving tells it: the JSON form of its messages, in which 64-bit
//! integers are strings.

use salver_core_servable::{ServableState, VersionChoice};
use salver_core_status::{Quoted, Status};
use salver_server_inference::{Api, Catalog, Inference, VersionStatus};
use serde::Serialize;

use crate::target::Target;

/// Every model.
#[derive(Serialize)]
pub(crate) struct ListDocument {
    models: Vec<ModelDocument>,
}

#[derive(Serialize)]
struct ModelDocument {
    name: String,
    #[serde(flatten)]
    status: StatusDocument,
}

/// `GetModelStatusResponse`.
#[derive(Serialize)]
pub(crate) struct StatusDocument {
    model_version_status: Vec<VersionDocument>,
}

#[derive(Serialize)]
struct VersionDocument {
    version: String,
    state: &'static str,
    status: ErrorDocument,
}

#[derive(Serialize)]
struct ErrorDocument {
    error_code: &'static str,
    error_message: String,
}

/// The versions of every model.
pub(crate) fn of_all(catalog: &dyn Catalog) -> ListDocument {
    let model = |name: salver_core_servable::StreamName| ModelDocument {
        status: document(&catalog.versions(name.as_str()).unwrap_or_default()),
        name: name.to_string(),
    };
    ListDocument { models: catalog.models().into_iter().map(model).collect() }
}

/// The versions of a model, newest first and ended ones too, or the one that the request names.
///
/// # Errors
/// NOT_FOUND where there is none; INVALID_ARGUMENT where there is no such label.
pub(crate) fn of(inference: &Inference, target: &Target) -> Result<StatusDocument, Status> {
    let wanted = match target.choice() {
        VersionChoice::Latest => None,
        VersionChoice::Specific(version) => Some(version),
        choice @ VersionChoice::Label(_) => {
            let served = inference.resolve(Api::TfServingRest, &target.model, choice)?;
            Some(served.id().version)
        }
    };
    let catalog = inference.catalog();
    let mut versions = catalog.versions(&target.model).unwrap_or_default();
    versions.retain(|status| wanted.is_none_or(|wanted| status.version == wanted));
    if versions.is_empty() {
        let name = Quoted(&target.model).to_string();
        let name = name.trim_matches('`');
        let mut message = match wanted {
            None => format!("Could not find any versions of model {name}"),
            Some(version) => format!("Could not find version {version} of model {name}"),
        };
        if let Some(trouble) = catalog.trouble(&target.model) {
            message = format!("{message}; {trouble}");
        }
        return Err(Status::not_found(message));
    }
    Ok(document(&versions))
}

fn document(versions: &[VersionStatus]) -> StatusDocument {
    let version = |status: &VersionStatus| VersionDocument {
        version: status.version.to_string(),
        state: match status.state {
            ServableState::Start => "START",
            ServableState::Loading => "LOADING",
            ServableState::Available => "AVAILABLE",
            ServableState::Unloading => "UNLOADING",
            ServableState::End => "END",
        },
        status: ErrorDocument {
            error_code: status.error.as_ref().map_or("OK", |error| error.code().name()),
            error_message: status.error.as_ref().map_or_else(String::new, |error| error.message().to_owned()),
        },
    };
    StatusDocument { model_version_status: versions.iter().map(version).collect() }
}
