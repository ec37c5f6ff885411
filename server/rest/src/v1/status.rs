//! Where models' versions stand, as TensorFlow Serving tells it: the JSON form of its messages, in which 64-bit
//! integers are strings.

use std::collections::BTreeMap;
use std::time::Duration;

use salver_core_servable::{LoadTimings, Phase, ServableState, StreamName, Version, VersionChoice};
use salver_core_status::{Quoted, Status};
use salver_server_inference::{Api, Catalog, Inference, LabelStatus, VersionStatus};
use serde::Serialize;

use super::batching::BatchingDocument;
use crate::target::Target;

/// Every model.
#[derive(Serialize)]
pub(crate) struct ListDocument {
    models: Vec<ModelDocument>,
}

#[derive(Serialize)]
struct ModelDocument {
    name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, LabelDocument>,
    #[serde(flatten)]
    status: StatusDocument,
}

/// What a label stands for, and what it is to stand for once that is available.
#[derive(Serialize)]
struct LabelDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    wanted: String,
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
    /// Only where every model is told about, which TensorFlow Serving does not do: its messages have no such field.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<LoadDocument>,
    /// There too, where the version's requests are run together.
    #[serde(skip_serializing_if = "Option::is_none")]
    batching: Option<BatchingDocument>,
}

/// How a version's load goes, or went.
#[derive(Serialize)]
struct LoadDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fetch_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_up_seconds: Option<f64>,
}

#[derive(Serialize)]
struct ErrorDocument {
    error_code: &'static str,
    error_message: String,
}

/// The versions of every model.
pub(crate) fn of_all(catalog: &dyn Catalog) -> ListDocument {
    let model = |name: StreamName| {
        let versions = catalog.versions(name.as_str()).unwrap_or_default();
        let mut status = document(&versions);
        for (document, status) in status.model_version_status.iter_mut().zip(&versions) {
            document.load = load(status);
            document.batching = catalog.batching(name.as_str(), status.version).map(BatchingDocument::from);
        }
        let labels = catalog.labels(name.as_str()).into_iter().map(|(name, label)| (name, of_label(label)));
        ModelDocument { name: name.to_string(), labels: labels.collect(), status }
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
        choice @ VersionChoice::Label(label) => Some(labelled(inference, &target.model, choice, label)?),
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

/// The version that a label stands for; where none is loaded, the one that a request would load.
fn labelled(
    inference: &Inference,
    model: &str,
    choice: VersionChoice<'_>,
    label: &str,
) -> Result<Version, Status> {
    let error = match inference.resolve(Api::TfServingRest, model, choice) {
        Ok(served) => return Ok(served.id().version),
        Err(error) => error,
    };
    let catalog = inference.catalog();
    let wanted = catalog.labels(model).get(label).map(|label| label.wanted);
    let versions = catalog.versions(model).unwrap_or_default();
    let found =
        versions.iter().find(|status| Some(status.version) == wanted && catalog.answers(model, status));
    found.map(|status| status.version).ok_or_else(|| error.into())
}

fn of_label(label: LabelStatus) -> LabelDocument {
    LabelDocument {
        version: label.attached.map(|version| version.to_string()),
        wanted: label.wanted.to_string(),
    }
}

/// What is known of a version's load; `None` where nothing is.
fn load(status: &VersionStatus) -> Option<LoadDocument> {
    let progress = status.progress.unwrap_or_default();
    let timings = if status.progress.is_some() { progress.timings } else { status.timings };
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let phase = progress.phase.map(|phase| match phase {
        Phase::Fetch => "fetch",
        Phase::Load => "load",
        Phase::WarmUp => "warm_up",
    });
    let is_counted = progress.done_bytes > 0 || progress.total_bytes.is_some();
    let document = LoadDocument {
        phase,
        done_bytes: is_counted.then_some(progress.done_bytes),
        total_bytes: progress.total_bytes,
        fetch_seconds: seconds(timings.fetch),
        load_seconds: seconds(timings.load),
        warm_up_seconds: seconds(timings.warm_up),
    };
    (phase.is_some() || timings != LoadTimings::default()).then_some(document)
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
        load: None,
        batching: None,
    };
    StatusDocument { model_version_status: versions.iter().map(version).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_servable::LoadProgress;
    use salver_server_inference::Readiness;

    struct Fetching;

    impl Catalog for Fetching {
        fn models(&self) -> Vec<StreamName> {
            vec!["m".into()]
        }

        fn versions(&self, _model: &str) -> Option<Vec<VersionStatus>> {
            let version = |number| Version::new(number).unwrap();
            let fetch = Some(Duration::from_millis(1500));
            let progress = LoadProgress {
                phase: Some(Phase::Load),
                done_bytes: 0,
                total_bytes: None,
                timings: LoadTimings { fetch, ..LoadTimings::default() },
            };
            let loading = VersionStatus::new(version(2), ServableState::Loading, None);
            let load = Some(Duration::from_millis(250));
            let available = VersionStatus::new(version(1), ServableState::Available, None);
            Some(vec![
                VersionStatus { progress: Some(progress), ..loading },
                VersionStatus { timings: LoadTimings { load, ..LoadTimings::default() }, ..available },
            ])
        }

        fn labels(&self, _model: &str) -> BTreeMap<String, LabelStatus> {
            let (wanted, attached) = (Version::new(2).unwrap(), Version::new(1));
            [("stable".to_owned(), LabelStatus { wanted, attached })].into()
        }

        fn trouble(&self, _model: &str) -> Option<Status> {
            None
        }

        fn readiness(&self) -> Readiness {
            Readiness::Starting
        }
    }

    #[test]
    fn the_list_of_models_tells_labels_and_how_loads_go() {
        let ok = serde_json::json!({"error_code": "OK", "error_message": ""});
        let wanted = serde_json::json!({"models": [{
            "name": "m",
            "labels": {"stable": {"version": "1", "wanted": "2"}},
            "model_version_status": [
                {"version": "2", "state": "LOADING", "status": ok, "load": {"phase": "load", "fetch_seconds": 1.5}},
                {"version": "1", "state": "AVAILABLE", "status": ok, "load": {"load_seconds": 0.25}},
            ],
        }]});
        assert_eq!(serde_json::to_value(of_all(&Fetching)).unwrap(), wanted);
    }
}
