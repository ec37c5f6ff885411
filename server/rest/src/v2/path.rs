//! The Open Inference Protocol's paths.

use http::{Method, StatusCode, header};
use salver_core_servable::Version;
use salver_core_status::{Quoted, Status};

use crate::failure::Failure;
use crate::target::{Choice, Target, name};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Whether the server runs.
    Live,
    /// Whether it wants requests.
    Ready,
    /// What it is.
    Server,
    /// What a model takes and returns.
    Model(Target),
    /// Whether a model answers.
    ModelReady(Target),
    /// A run of a model.
    Infer(Target),
}

/// Reads the path of a request.
///
/// # Errors
/// 404 where it is none of the interface's, 405 where it is with another method, 400 in Triton's words where the
/// version is not a number.
pub(crate) fn parse(method: &Method, path: &str) -> Result<Action, Failure> {
    let unknown = || Failure::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", Quoted(path)));
    let parts: Vec<&str> = path.split('/').collect();
    let ["", "v2", rest @ ..] = &parts[..] else { return Err(unknown()) };
    let of_target: fn(Target) -> Action;
    let parts = match rest {
        [] => return get(method, path, Action::Server),
        ["health", "live"] => return get(method, path, Action::Live),
        ["health", "ready"] => return get(method, path, Action::Ready),
        ["models", parts @ .., "ready"] if !parts.is_empty() => {
            of_target = Action::ModelReady;
            parts
        }
        ["models", parts @ .., "infer"] if !parts.is_empty() => {
            of_target = Action::Infer;
            parts
        }
        ["models", parts @ ..] => {
            of_target = Action::Model;
            parts
        }
        _ => return Err(unknown()),
    };
    let (model, version) = match *parts {
        [model] => (model, Choice::Latest),
        [model, "versions", version] => (model, parse_version(version)?),
        _ => return Err(unknown()),
    };
    let model = name(model).ok_or_else(unknown)?;
    match of_target(Target { model, version }) {
        Action::Infer(target) if method == Method::POST => Ok(Action::Infer(target)),
        Action::Infer(_) => Err(wrong_method(method, path, "POST")),
        action => get(method, path, action),
    }
}

fn get(method: &Method, path: &str, action: Action) -> Result<Action, Failure> {
    match *method {
        Method::GET | Method::HEAD => Ok(action),
        _ => Err(wrong_method(method, path, "GET")),
    }
}

fn wrong_method(method: &Method, path: &str, wanted: &'static str) -> Failure {
    let message =
        format!("Method Not Allowed: {} {}, wanted {wanted}", Quoted(method.as_str()), Quoted(path));
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, message).with_header(header::ALLOW, wanted)
}

fn parse_version(text: &str) -> Result<Choice, Failure> {
    let version = text.parse().ok().and_then(Version::new).ok_or_else(|| {
        let shown = Quoted(text).to_string().replace('`', "'");
        let message = format!("failed to get model version from specified version string {shown}");
        Failure::v2(Status::invalid_argument(message))
    })?;
    Ok(Choice::Specific(version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use proptest::prelude::*;

    fn target(model: &str, version: Option<i64>) -> Target {
        let version =
            version.map_or(Choice::Latest, |number| Choice::Specific(Version::new(number).unwrap()));
        Target { model: model.to_owned(), version }
    }

    #[test]
    fn paths_name_a_model_a_version_and_what_to_do() {
        let get = |path| parse(&Method::GET, path).unwrap();
        assert_eq!(get("/v2"), Action::Server);
        assert_eq!(get("/v2/health/live"), Action::Live);
        assert_eq!(get("/v2/health/ready"), Action::Ready);
        assert_eq!(get("/v2/models/m"), Action::Model(target("m", None)));
        assert_eq!(get("/v2/models/m/versions/3"), Action::Model(target("m", Some(3))));
        assert_eq!(get("/v2/models/a%20b/ready"), Action::ModelReady(target("a b", None)));
        assert_eq!(get("/v2/models/ready"), Action::Model(target("ready", None)));
        assert_eq!(get("/v2/models/infer/versions/1/ready"), Action::ModelReady(target("infer", Some(1))));
        let infer = parse(&Method::POST, "/v2/models/m/versions/1/infer").unwrap();
        assert_eq!(infer, Action::Infer(target("m", Some(1))));
        assert_eq!(parse(&Method::POST, "/v2/models/m:x/infer").unwrap(), Action::Infer(target("m:x", None)));
    }

    #[track_caller]
    fn refused(method: Method, path: &str, status: u16) {
        let response = parse(&method, path).unwrap_err().into_response();
        assert_eq!(response.status(), status, "{method} {path}");
    }

    #[test]
    fn other_paths_are_not_found_and_other_methods_not_allowed() {
        for path in ["/v2/", "/v2/health", "/v2/models", "/v2/models/", "/v2/models/m/", "/v2/models//infer"]
        {
            refused(Method::GET, path, 404);
        }
        for path in
            ["/v2/models/m/stats", "/v2/repository/index", "/v2/models/%ff/infer", "/v2/models/a/b/infer"]
        {
            refused(Method::POST, path, 404);
        }
        refused(Method::GET, "/v2/models/m/infer", 405);
        refused(Method::PUT, "/v2/models/m/infer", 405);
        refused(Method::POST, "/v2/health/live", 405);
        refused(Method::POST, "/v2/models/m", 405);
        for version in ["x", "-1", "", "9223372036854775808"] {
            refused(Method::POST, &format!("/v2/models/m/versions/{version}/infer"), 400);
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "/v2(/models|/versions|/infer|/ready|/[a-z0-9%:]{0,4}){0,6}") {
            let _ = parse(&Method::POST, &path);
        }
    }
}
