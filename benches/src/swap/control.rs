//! Says over gRPC which models a server should have, and asks where they stand.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use prost::Message;
use salver_proto::tensorflow::serving::file_system_storage_path_source_config::ServableVersionPolicy;
use salver_proto::tensorflow::serving::file_system_storage_path_source_config::servable_version_policy::{
    PolicyChoice, Specific,
};
use salver_proto::tensorflow::serving::model_server_config::Config;
use salver_proto::tensorflow::serving::model_version_status::State;
use salver_proto::tensorflow::serving::{
    GetModelStatusRequest, GetModelStatusResponse, ModelConfig, ModelConfigList, ModelServerConfig,
    ModelSpec, ReloadConfigRequest, ReloadConfigResponse,
};
use tempfile::NamedTempFile;

use crate::client::{Connection, Request, Transport};
use crate::process::Server;
use crate::{built, messages};

/// How long a version may take to come or go.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of no models, until it is told of some.
pub(super) fn server() -> anyhow::Result<Server> {
    let list = NamedTempFile::new().context("making a list of models")?;
    std::fs::write(list.path(), "model_config_list {}")?;
    let mut serve = built::serve_command()?;
    serve.arg("--model-config-file").arg(list.path());
    // It has read the list when it says where it listens.
    Server::spawn(serve)
}

/// A list of one model, of which one version is wanted.
pub(super) fn only(name: &str, folder: &Path, version: i64) -> ModelServerConfig {
    let specific = PolicyChoice::Specific(Specific { versions: vec![version] });
    list(vec![ModelConfig {
        name: name.to_owned(),
        base_path: folder.to_string_lossy().into_owned(),
        model_version_policy: Some(ServableVersionPolicy { policy_choice: Some(specific) }),
        ..ModelConfig::default()
    }])
}

/// A list of no models. Those of repositories stay.
pub(super) fn none() -> ModelServerConfig {
    list(Vec::new())
}

fn list(config: Vec<ModelConfig>) -> ModelServerConfig {
    ModelServerConfig { config: Some(Config::ModelConfigList(ModelConfigList { config })) }
}

/// Replaces the list of models, and waits until what is wanted is available and what is not is found by no request.
pub(super) async fn reload(server: SocketAddr, models: ModelServerConfig) -> anyhow::Result<()> {
    let request = ReloadConfigRequest { config: Some(models), ..ReloadConfigRequest::default() };
    let path = "/tensorflow.serving.ModelService/HandleReloadConfigRequest";
    let response: ReloadConfigResponse = call(server, path, &request).await?;
    let status = response.status.unwrap_or_default();
    ensure!(status.error_code == 0, "the list of models was refused: {}", status.error_message);
    Ok(())
}

/// Waits until nothing is left of any version of a model.
pub(super) async fn wait_until_gone(server: SocketAddr, model: &str) -> anyhow::Result<()> {
    const PAUSE: Duration = Duration::from_millis(1);
    let model_spec = Some(ModelSpec { name: model.to_owned(), ..ModelSpec::default() });
    let request = GetModelStatusRequest { model_spec };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let path = "/tensorflow.serving.ModelService/GetModelStatus";
        let response: GetModelStatusResponse = call(server, path, &request).await?;
        if response.model_version_status.iter().all(|status| status.state() == State::End) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{model} is not gone: {response:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Calls a method once, on a connection of its own.
pub(super) async fn call<R: Message + Default>(
    server: SocketAddr,
    path: &str,
    request: &impl Message,
) -> anyhow::Result<R> {
    let body = messages::framed(&request.encode_to_vec());
    let request = Request { transport: Transport::Grpc, path: path.to_owned(), head_bytes: 0, body };
    let answer = Connection::open(server, &request).await?.ask().await?;
    messages::message(&answer.body).with_context(|| format!("the answer to {path}"))
}
