//! Why a request finds no version that answers.

use std::fmt;

use salver_core_servable::{LookupError, ServableState};
use salver_core_status::{Code, ErrorCode, Quoted, Status};

use crate::on_demand::Late;
use crate::{Catalog, Readiness, VersionStatus};

/// No version that the request could mean is available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    miss: LookupError,
    model: String,
    cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    /// Nobody has heard of the model, or of the version or label.
    Unknown,
    /// Nobody has heard of the model yet: the server is starting.
    Starting,
    /// It is there, and will answer soon.
    Loading,
    /// It is being loaded, and the request's deadline passed.
    Late,
    /// There is no room for it, or nobody to load it; that may pass.
    Refused(Status),
    /// It is there, and failed, or its source did; or the model has no version at all.
    Failed(Option<Status>),
}

impl ResolveError {
    pub(crate) fn new(miss: LookupError, model: &str, catalog: &dyn Catalog) -> Self {
        let cause = match &miss {
            _ if catalog.versions(model).is_none() && catalog.readiness() == Readiness::Starting => {
                Cause::Starting
            }
            LookupError::Label(_) => Cause::Unknown,
            LookupError::Name(_) => match catalog.versions(model) {
                None => Cause::Unknown,
                Some(versions) => of_versions(&versions).unwrap_or(Cause::Failed(catalog.trouble(model))),
            },
            LookupError::Version(_, version) | LookupError::Waiting { version, .. } => {
                let versions = catalog.versions(model).unwrap_or_default();
                let wanted: Vec<_> =
                    versions.into_iter().filter(|status| status.version == *version).collect();
                of_versions(&wanted).unwrap_or(Cause::Unknown)
            }
        };
        Self { miss, model: model.to_owned(), cause }
    }

    /// It was to be loaded, which failed.
    pub(crate) fn failed(miss: LookupError, model: &str, status: Status) -> Self {
        let cause = match status.code() {
            Code::Unavailable | Code::ResourceExhausted => Cause::Refused(status),
            _ => Cause::Failed(Some(status)),
        };
        Self { miss, model: model.to_owned(), cause }
    }

    /// It is being loaded, which nobody waits for any longer.
    pub(crate) fn late(miss: LookupError, model: &str, late: Late) -> Self {
        let cause = match late {
            Late::Deadline => Cause::Late,
            Late::Wait => Cause::Loading,
        };
        Self { miss, model: model.to_owned(), cause }
    }

    /// The same, in the words of Triton, which clients of the Open Inference Protocol know.
    pub fn to_open_inference_status(&self) -> Status {
        if self.cause == Cause::Starting {
            return self.to_status();
        }
        let model = Quoted(&self.model).to_string().replace('`', "'");
        let message = match (&self.miss, &self.cause) {
            (LookupError::Name(_), Cause::Unknown) => {
                format!("Request for unknown model: {model} is not found")
            }
            (LookupError::Name(_), _) => {
                format!("Request for unknown model: {model} has no available versions")
            }
            (LookupError::Version(_, version) | LookupError::Waiting { version, .. }, Cause::Unknown) => {
                format!("Request for unknown model: {model} version {version} is not found")
            }
            (LookupError::Version(_, version) | LookupError::Waiting { version, .. }, _) => {
                format!("Request for unknown model: {model} version {version} is not at ready state")
            }
            (LookupError::Label(_), _) => self.miss.to_string(),
        };
        Status::new(self.code(), format!("{message}{}", self.reason()))
    }

    fn reason(&self) -> String {
        match &self.cause {
            Cause::Unknown | Cause::Starting | Cause::Failed(None) => String::new(),
            Cause::Loading => "; it is being loaded".to_owned(),
            Cause::Late => "; it is being loaded, and the deadline passed".to_owned(),
            Cause::Refused(status) => format!("; it cannot be loaded now: {status}"),
            Cause::Failed(Some(status)) => format!("; it failed: {status}"),
        }
    }
}

/// What the states of the versions that could answer say together; `None` where there are none.
fn of_versions(versions: &[VersionStatus]) -> Option<Cause> {
    let is_coming = |status: &VersionStatus| match status.state {
        // Available: it has become so since the look-up missed it.
        ServableState::Start | ServableState::Loading | ServableState::Available => true,
        ServableState::Unloading | ServableState::End => false,
    };
    if versions.iter().any(is_coming) {
        return Some(Cause::Loading);
    }
    let newest = versions.first()?;
    Some(Cause::Failed(newest.error.clone()))
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not in words of a model that is not there, by which clients of TensorFlow Serving tell that a server has started.
        if self.cause == Cause::Starting {
            return write!(f, "the server is starting: it has no model {} yet", Quoted(&self.model));
        }
        write!(f, "{}{}", self.miss, self.reason())
    }
}

impl std::error::Error for ResolveError {}

impl ErrorCode for ResolveError {
    fn code(&self) -> Code {
        match &self.cause {
            Cause::Starting | Cause::Loading => Code::Unavailable,
            Cause::Late => Code::DeadlineExceeded,
            Cause::Refused(status) => status.code(),
            Cause::Unknown | Cause::Failed(_) => self.miss.code(),
        }
    }
}

impl From<ResolveError> for Status {
    fn from(error: ResolveError) -> Self {
        error.to_status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Readiness;
    use salver_core_servable::{StreamName, Version};

    struct One(&'static str, Vec<VersionStatus>, Option<Status>, Readiness);

    impl Catalog for One {
        fn models(&self) -> Vec<StreamName> {
            vec![self.0.into()]
        }

        fn versions(&self, model: &str) -> Option<Vec<VersionStatus>> {
            (model == self.0).then(|| self.1.clone())
        }

        fn trouble(&self, _model: &str) -> Option<Status> {
            self.2.clone()
        }

        fn readiness(&self) -> Readiness {
            self.3
        }
    }

    fn version(number: i64) -> Version {
        Version::new(number).unwrap()
    }

    fn status(number: i64, state: ServableState, error: Option<Status>) -> VersionStatus {
        VersionStatus::new(version(number), state, error)
    }

    fn name_miss(model: &str, catalog: &One) -> ResolveError {
        ResolveError::new(LookupError::Name(model.into()), model, catalog)
    }

    #[test]
    fn an_unknown_model_is_not_found_in_either_protocol_s_words() {
        let error = name_miss("x", &One("m", Vec::new(), None, Readiness::Ready));
        assert_eq!(error.to_status(), Status::not_found("Servable not found for request: Latest(x)"));
        assert_eq!(
            error.to_open_inference_status(),
            Status::not_found("Request for unknown model: 'x' is not found")
        );
    }

    #[test]
    fn a_server_that_is_starting_does_not_say_that_there_is_no_such_model() {
        for miss in [LookupError::Name("x".into()), LookupError::Version("x".into(), version(1))] {
            let error = ResolveError::new(miss, "x", &One("m", Vec::new(), None, Readiness::Starting));
            let wanted = Status::unavailable("the server is starting: it has no model `x` yet");
            assert_eq!((error.to_status(), error.to_open_inference_status()), (wanted.clone(), wanted));
        }
    }

    #[test]
    fn a_model_that_is_being_loaded_is_unavailable() {
        let error =
            name_miss("m", &One("m", vec![status(1, ServableState::Loading, None)], None, Readiness::Ready));
        assert_eq!(error.code(), Code::Unavailable);
        assert_eq!(error.to_string(), "Servable not found for request: Latest(m); it is being loaded");
    }

    #[test]
    fn a_model_that_failed_says_why() {
        let failed = status(1, ServableState::End, Some(Status::data_loss("bad magic")));
        let error = name_miss("m", &One("m", vec![failed], None, Readiness::Ready));
        assert_eq!(error.code(), Code::NotFound);
        assert_eq!(error.to_string(), "Servable not found for request: Latest(m); it failed: bad magic");
        let lost = name_miss(
            "m",
            &One("m", Vec::new(), Some(Status::not_found("no directory `/x`")), Readiness::Ready),
        );
        assert_eq!(
            lost.to_string(),
            "Servable not found for request: Latest(m); it failed: no directory `/x`"
        );
    }

    #[test]
    fn an_unknown_version_is_named() {
        let catalog = One("m", vec![status(1, ServableState::Available, None)], None, Readiness::Ready);
        let error = ResolveError::new(LookupError::Version("m".into(), version(9)), "m", &catalog);
        assert_eq!(
            error.to_open_inference_status(),
            Status::not_found("Request for unknown model: 'm' version 9 is not found")
        );
    }

    #[test]
    fn a_label_whose_version_is_being_loaded_is_unavailable() {
        let versions =
            vec![status(2, ServableState::Loading, None), status(1, ServableState::Available, None)];
        let miss = LookupError::Waiting { name: "m".into(), label: "stable".into(), version: version(2) };
        let error = ResolveError::new(miss, "m", &One("m", versions, None, Readiness::Ready));
        let text = "Servable not found for request: Specific(m, 2), for which label `stable` waits; it is being loaded";
        assert_eq!(error.to_status(), Status::unavailable(text));
    }

    #[test]
    fn a_load_that_may_succeed_later_keeps_its_code_and_one_that_failed_is_not_found() {
        let failed = |status| ResolveError::failed(LookupError::Name("m".into()), "m", status).to_status();
        let full = failed(Status::resource_exhausted("full"));
        assert_eq!(full.code(), Code::ResourceExhausted);
        assert!(full.message().ends_with("Latest(m); it cannot be loaded now: full"), "{full}");
        let torn = failed(Status::data_loss("torn"));
        assert_eq!(torn, Status::not_found("Servable not found for request: Latest(m); it failed: torn"));
        let late = |late| ResolveError::late(LookupError::Name("m".into()), "m", late).code();
        assert_eq!([late(Late::Wait), late(Late::Deadline)], [Code::Unavailable, Code::DeadlineExceeded]);
    }
}
