//! Which model, version and signature: model specs, version strings and states.

use salver_core_servable::{ServableId, ServableState, Version, VersionChoice};
use salver_core_status::{Code, Quoted, Status};
use salver_proto::tensorflow::serving::model_spec::VersionChoice as SpecChoice;
use salver_proto::tensorflow::serving::model_version_status::State;
use salver_proto::tensorflow::serving::{ModelSpec, ModelVersionStatus, StatusProto};

use crate::truncated;

/// The version that a TensorFlow Serving request means.
///
/// # Errors
/// NOT_FOUND for a negative version, which nothing has.
pub fn version_choice(spec: &ModelSpec) -> Result<VersionChoice<'_>, Status> {
    match &spec.version_choice {
        None => Ok(VersionChoice::Latest),
        Some(SpecChoice::VersionLabel(label)) => Ok(VersionChoice::Label(label)),
        Some(SpecChoice::Version(number)) => {
            let version = Version::new(*number).ok_or_else(|| {
                let name = Quoted(&spec.name);
                Status::not_found(format!("model {name} has no version {number}: versions are 0 or more"))
            })?;
            Ok(VersionChoice::Specific(version))
        }
    }
}

/// The version that an Open Inference request means; the latest where `text` is empty.
///
/// # Errors
/// INVALID_ARGUMENT, in Triton's words, where `text` is not a number, or a negative one.
pub fn parse_version(text: &str) -> Result<VersionChoice<'static>, Status> {
    if text.is_empty() {
        return Ok(VersionChoice::Latest);
    }
    let version = text.parse().ok().and_then(Version::new).ok_or_else(|| {
        let shown = Quoted(text).to_string().replace('`', "'");
        Status::invalid_argument(format!("failed to get model version from specified version string {shown}"))
    })?;
    Ok(VersionChoice::Specific(version))
}

/// The model spec of a TensorFlow Serving reply: who answered, by which signature.
pub fn model_spec(id: &ServableId, signature: &str) -> ModelSpec {
    ModelSpec {
        name: id.name.as_str().to_owned(),
        signature_name: signature.to_owned(),
        version_choice: Some(SpecChoice::Version(id.version.number())),
    }
}

/// Where a version stands, as TensorFlow Serving tells it.
pub fn model_version_status(
    version: Version,
    state: ServableState,
    error: Option<&Status>,
) -> ModelVersionStatus {
    let state = match state {
        ServableState::Start => State::Start,
        ServableState::Loading => State::Loading,
        ServableState::Available => State::Available,
        ServableState::Unloading => State::Unloading,
        ServableState::End => State::End,
    };
    let status = StatusProto {
        // The codes are those of gRPC in either numbering.
        error_code: error.map_or(Code::OK, |error| error.code() as u32) as i32,
        error_message: error.map_or(String::new(), |error| truncated(error.message()).into_owned()),
    };
    ModelVersionStatus { version: version.number(), state: state as i32, status: Some(status) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_proto::tensorflow::error::Code as ProtoCode;

    #[test]
    fn a_version_string_is_a_number_or_empty() {
        let nine = VersionChoice::Specific(Version::new(9).unwrap());
        assert_eq!(parse_version("9"), Ok(nine));
        assert_eq!(parse_version(""), Ok(VersionChoice::Latest));
        for wrong in ["x", "-1", "9223372036854775808", " 1", "1.0"] {
            let text = format!("failed to get model version from specified version string '{wrong}'");
            assert_eq!(parse_version(wrong), Err(Status::invalid_argument(text)));
        }
    }

    #[test]
    fn a_model_spec_may_name_a_version_a_label_or_neither() {
        let spec = |choice| ModelSpec { name: "m".into(), version_choice: choice, ..ModelSpec::default() };
        assert_eq!(version_choice(&spec(None)), Ok(VersionChoice::Latest));
        let label = spec(Some(SpecChoice::VersionLabel("stable".into())));
        assert_eq!(version_choice(&label), Ok(VersionChoice::Label("stable")));
        let version = spec(Some(SpecChoice::Version(0)));
        assert_eq!(version_choice(&version), Ok(VersionChoice::Specific(Version::new(0).unwrap())));
        let negative = spec(Some(SpecChoice::Version(-3)));
        assert_eq!(version_choice(&negative).unwrap_err().code(), Code::NotFound);
    }

    #[test]
    fn a_failed_version_carries_its_code_and_message() {
        let failure = Status::data_loss("bad magic");
        let status = model_version_status(Version::new(3).unwrap(), ServableState::End, Some(&failure));
        assert_eq!((status.version, status.state()), (3, State::End));
        let status = status.status.unwrap();
        assert_eq!((status.error_code(), status.error_message.as_str()), (ProtoCode::DataLoss, "bad magic"));
    }
}
