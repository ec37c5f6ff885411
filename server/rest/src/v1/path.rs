//! TensorFlow Serving's paths.
//!
//! The fixed parts are read in any case. A model or label is any text without `/` and `:`, percent-encoded where it
//! has them.

use http::Method;
use salver_core_servable::Version;
use salver_core_status::{Quoted, Status};

use crate::target::{Choice, Target, name};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Every model and where its versions stand; TensorFlow Serving has no such list.
    List,
    /// Where a model's versions stand.
    Status(Target),
    /// A model's signatures.
    Metadata(Target),
    /// A run of a model.
    Predict(Target),
    /// Which classes examples belong to.
    Classify(Target),
    /// A value of each example.
    Regress(Target),
}

/// Reads the path of a request.
///
/// # Errors
/// INVALID_ARGUMENT, in TensorFlow Serving's words, where it is none of the interface's.
pub(crate) fn parse(method: &Method, path: &str) -> Result<Action, Status> {
    let malformed = || {
        let shown = Quoted(path).to_string();
        Status::invalid_argument(format!("Malformed request: {method} {}", shown.trim_matches('`')))
    };
    let mut parts: Vec<&str> = path.split('/').collect();
    let [root, v1, models, ref mut rest @ ..] = parts[..] else { return Err(malformed()) };
    if !root.is_empty() || !v1.eq_ignore_ascii_case("v1") || !models.eq_ignore_ascii_case("models") {
        return Err(malformed());
    }
    match *method {
        Method::GET | Method::HEAD => match rest {
            [] => Ok(Action::List),
            [target @ .., last] if !target.is_empty() && last.eq_ignore_ascii_case("metadata") => {
                target_of(target)?.map(Action::Metadata).ok_or_else(malformed)
            }
            target => target_of(target)?.map(Action::Status).ok_or_else(malformed),
        },
        Method::POST => {
            let [.., last] = rest else { return Err(malformed()) };
            let (part, verb) = last.rsplit_once(':').ok_or_else(malformed)?;
            *last = part;
            let target = target_of(rest)?.ok_or_else(malformed)?;
            match verb {
                _ if verb.eq_ignore_ascii_case("predict") => Ok(Action::Predict(target)),
                _ if verb.eq_ignore_ascii_case("classify") => Ok(Action::Classify(target)),
                _ if verb.eq_ignore_ascii_case("regress") => Ok(Action::Regress(target)),
                _ => Err(malformed()),
            }
        }
        _ => Err(malformed()),
    }
}

/// The model and version of `NAME`, `NAME/versions/NUMBER` or `NAME/labels/LABEL`; `None` for anything else.
fn target_of(parts: &[&str]) -> Result<Option<Target>, Status> {
    let plain = |part: &str| if part.contains(':') { None } else { name(part) };
    let (model, version) = match *parts {
        [model] => (model, Some(Choice::Latest)),
        [model, kind, number] if kind.eq_ignore_ascii_case("versions") => {
            if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return Ok(None);
            }
            // Only digits: what fails to be read is too large.
            let version = number.parse().ok().and_then(Version::new).ok_or_else(|| {
                let number = Quoted(number);
                Status::invalid_argument(format!(
                    "Failed to convert version: {number} is above {}, the largest there can be",
                    i64::MAX
                ))
            })?;
            (model, Some(Choice::Specific(version)))
        }
        [model, kind, label] if kind.eq_ignore_ascii_case("labels") => {
            (model, plain(label).map(Choice::Label))
        }
        _ => return Ok(None),
    };
    Ok(plain(model).zip(version).map(|(model, version)| Target { model, version }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(model: &str, version: Choice) -> Target {
        Target { model: model.to_owned(), version }
    }

    fn version(number: i64) -> Choice {
        Choice::Specific(Version::new(number).unwrap())
    }

    #[test]
    fn paths_name_a_model_a_version_or_label_and_what_to_do() {
        let label = |label: &str| Choice::Label(label.to_owned());
        let get = |path| parse(&Method::GET, path).unwrap();
        let post = |path| parse(&Method::POST, path).unwrap();
        assert_eq!(get("/v1/models"), Action::List);
        assert_eq!(get("/v1/models/m"), Action::Status(target("m", Choice::Latest)));
        assert_eq!(get("/v1/models/metadata"), Action::Status(target("metadata", Choice::Latest)));
        assert_eq!(get("/v1/models/m/metadata"), Action::Metadata(target("m", Choice::Latest)));
        assert_eq!(get("/v1/models/m/versions/2"), Action::Status(target("m", version(2))));
        assert_eq!(get("/v1/models/m/versions/2/metadata"), Action::Metadata(target("m", version(2))));
        assert_eq!(get("/v1/models/m/labels/stable"), Action::Status(target("m", label("stable"))));
        assert_eq!(post("/v1/models/m:predict"), Action::Predict(target("m", Choice::Latest)));
        assert_eq!(post("/v1/models/m/versions/007:predict"), Action::Predict(target("m", version(7))));
        assert_eq!(post("/v1/models/m/labels/a%20b:predict"), Action::Predict(target("m", label("a b"))));
        assert_eq!(post("/v1/models/a%2Fb%3Ac:predict"), Action::Predict(target("a/b:c", Choice::Latest)));
        assert_eq!(post("/V1/Models/M/Versions/1:PREDICT"), Action::Predict(target("M", version(1))));
        assert_eq!(post("/v1/models/m:classify"), Action::Classify(target("m", Choice::Latest)));
        assert_eq!(post("/v1/models/m/versions/2:regress"), Action::Regress(target("m", version(2))));
    }

    #[test]
    fn any_other_path_or_method_is_malformed() {
        let paths = [
            (Method::POST, "/v1/models/m"),
            (Method::POST, "/v1/models/m:run"),
            (Method::POST, "/v1/models/:predict"),
            (Method::POST, "/v1/models/m/versions/1/labels/x:predict"),
            (Method::POST, "/v1/models/m/versions/1"),
            (Method::POST, "/v1/models/m/versions/x:predict"),
            (Method::POST, "/v1/models/m/versions/-1:predict"),
            (Method::POST, "/v1/models/m/versions/:predict"),
            (Method::POST, "/v1/models/m/labels/:predict"),
            (Method::POST, "/v1/models/%ff:predict"),
            (Method::POST, "/v1/models"),
            (Method::POST, "/v1/models/a:b:predict"),
            (Method::GET, "/v1/models/"),
            (Method::GET, "/v1/models/m/"),
            (Method::GET, "/v1/models/m:predict"),
            (Method::GET, "/v1/models/m/versions/1/labels/x"),
            (Method::GET, "/v1/model/m"),
            (Method::GET, "/v1"),
            (Method::GET, "/v1/"),
            (Method::DELETE, "/v1/models/m"),
        ];
        for (method, path) in paths {
            let expected = Status::invalid_argument(format!("Malformed request: {method} {path}"));
            assert_eq!(parse(&method, path), Err(expected));
        }
    }

    #[test]
    fn a_version_past_every_version_is_named() {
        let error = parse(&Method::GET, "/v1/models/m/versions/9223372036854775808").unwrap_err();
        assert_eq!(
            error.message(),
            "Failed to convert version: `9223372036854775808` is above 9223372036854775807, the largest there can be"
        );
        let long = format!("/v1/models/m/versions/{}", "9".repeat(60_000));
        assert!(parse(&Method::GET, &long).unwrap_err().message().len() < 300);
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "/v1/models(/[a-z%:0-9A-F/]{0,12}){0,4}(:predict)?") {
            let _ = parse(&Method::GET, &path);
            let _ = parse(&Method::POST, &path);
        }
    }
}
