//! Looks at one model, or at the models of one repository, again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use object_store::ObjectMeta;
use object_store::path::Path;
use salver_core_loader::Aspired;
use salver_core_servable::{StreamName, Version};
use salver_core_status::{Code, Quoted, Status};
use salver_manager_source_file::ModelPolicy;
use tokio::sync::watch;

use crate::address::{Address, shown};
use crate::board::{Board, Owner};
use crate::bucket::{Bucket, Buckets, Child, Children};
use crate::model::{Model, Now, Sight};
use crate::version::{self, Object, Remote};
use crate::{Config, ModelUrl, RemoteVersion, StoreUrl};

/// What everything that watches shares.
pub(crate) struct Watcher {
    pub(crate) config: Config,
    pub(crate) buckets: Buckets,
    pub(crate) board: Board,
    /// Sent to when everything is to be looked at now.
    pub(crate) now: watch::Sender<()>,
}

/// Dropped once there was a first look: whoever waits for all of them waits for the channel's end.
pub(crate) type FirstLook = mpsc::Sender<Infallible>;

/// How long a look may take. What is slower than that would never be told.
const LONGEST_LOOK: Duration = Duration::from_secs(120);

/// The first wait after a failure; it doubles from there to the time between two looks.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Settings are read so far.
const MAX_SETTINGS: u64 = 1 << 20;

/// Which versions there should be, and when what changes may be at rest.
type Looked = (Vec<Aspired<RemoteVersion>>, Option<Instant>);

/// One model being watched.
pub(crate) struct ModelWatch {
    watcher: Arc<Watcher>,
    dir: ModelUrl,
    /// The number of its entry on the board.
    number: u64,
    model: Model,
    /// The settings as they were read last, and what they were read from.
    settings: Option<(Object, String)>,
    notices: BTreeSet<String>,
}

impl ModelWatch {
    /// `is_new`: the model appeared while its repository was watched.
    pub(crate) fn new(watcher: Arc<Watcher>, dir: ModelUrl, number: u64, is_new: bool) -> Self {
        let model = Model::new(is_new);
        Self { watcher, dir, number, model, settings: None, notices: BTreeSet::new() }
    }

    /// Looks and tells until it is aborted.
    pub(crate) async fn run(mut self, first_look: FirstLook) {
        let mut first_look = Some(first_look);
        let mut failures = 0;
        let mut interval = self.watcher.config.default_policy.poll_interval;
        let mut now = self.watcher.now.subscribe();
        loop {
            let looked = tokio::time::timeout(LONGEST_LOOK, self.look(&mut interval)).await;
            let (versions, settles) = match looked.unwrap_or_else(|_| Err(late(&self.dir.url))) {
                Ok((versions, settles)) => (Ok(versions), settles),
                Err(status) => {
                    self.note(BTreeSet::from([status.to_string()]));
                    (Err(status), None)
                }
            };
            failures = if versions.is_ok() { 0 } else { failures + 1 };
            self.watcher.board.tell(&self.dir.name, self.number, versions);
            first_look = first_look.take().and(None);
            pause(wait(interval, failures, settles, Instant::now()), &mut now).await;
        }
    }

    /// Looks once.
    async fn look(&mut self, interval: &mut Duration) -> Result<Looked, Status> {
        let address = Address::parse(&self.dir.url.url)?;
        let looked = self.look_at(&address, interval).await;
        looked.map_err(|status| status.context(Quoted(&address.shown)))
    }

    async fn look_at(&mut self, address: &Address, interval: &mut Duration) -> Result<Looked, Status> {
        let bucket = self.watcher.buckets.open(address, &self.dir.url)?;
        let _turn = bucket.looks.acquire().await;
        let children = match bucket.children(&address.prefix).await {
            Err(status) if status.code() == Code::NotFound => {
                self.model.nothing();
                return Err(status);
            }
            children => children?,
        };
        let beside = self.settings(&bucket, &children).await?;
        let policy = self.policy()?;
        *interval = policy.poll_interval;
        let settle = self.watcher.config.settle;
        let mut notices = self.model.begin(children.folders);
        while let Some((version, folder)) = self.model.next(&policy.versions) {
            let folder = folder.clone();
            let found = self.version(&bucket, address, version, &folder, beside.clone()).await?;
            let sight = sight(&found, &policy);
            let now = Now { instant: Instant::now(), wall: SystemTime::now() };
            self.model.observe(version, found, &sight, settle, now);
        }
        let found = self.model.end(&policy, settle);
        notices.extend(found.notices);
        self.note(notices);
        Ok((found.versions, found.settles))
    }

    /// What is in one version's folder. An error that may pass is the look's; one that does not is the version's.
    async fn version(
        &self,
        bucket: &Arc<Bucket>,
        address: &Address,
        version: Version,
        folder: &Path,
        beside: Option<Object>,
    ) -> Result<Result<RemoteVersion, Status>, Status> {
        let limits = self.watcher.config.limits;
        let name = folder.filename().unwrap_or_default();
        let listed = bucket.objects(folder, limits).await;
        match listed.and_then(|listed| version::objects(folder, listed, limits)) {
            Ok(objects) => Ok(Ok(RemoteVersion::new(Remote {
                bucket: Arc::clone(bucket),
                url: format!("{}/{name}", address.shown),
                prefix: folder.clone(),
                version,
                objects,
                beside,
                limits,
            }))),
            Err(status) if matches!(status.code(), Code::InvalidArgument | Code::ResourceExhausted) => {
                Ok(Err(status.context(Quoted(&format!("{}/{name}", address.shown)))))
            }
            Err(status) => Err(status),
        }
    }

    /// Reads the model's settings anew if they changed, and returns what they were read from.
    async fn settings(&mut self, bucket: &Bucket, children: &Children) -> Result<Option<Object>, Status> {
        let Some(settings) = &self.watcher.config.settings else { return Ok(None) };
        let Some(child) = children.object(&settings.object) else {
            self.settings = None;
            return Ok(None);
        };
        let meta = bucket.stat(child).await?;
        let object = Object::new(child.name.clone(), meta.clone());
        if self.settings.as_ref().is_none_or(|(read, _)| *read != object) {
            let text = read_settings(bucket, child, &meta).await?;
            self.settings = Some((object.clone(), text));
        }
        Ok(Some(object))
    }

    fn policy(&self) -> Result<ModelPolicy, Status> {
        let config = &self.watcher.config;
        let text = self.settings.as_ref().map(|(_, text)| text.as_str());
        let mut policy = match &config.settings {
            Some(settings) => (settings.policy_for)(&self.dir.name, text)?,
            None => config.default_policy.clone(),
        };
        if let Some(versions) = &self.dir.versions {
            policy.versions = versions.clone();
        }
        Ok(policy)
    }

    /// Logs what is new, and that all is well again.
    fn note(&mut self, now: BTreeSet<String>) {
        replace_notices(&mut self.notices, now, self.dir.name.as_str());
    }
}

async fn read_settings(bucket: &Bucket, child: &Child, meta: &ObjectMeta) -> Result<String, Status> {
    let bytes = bucket.read(meta, MAX_SETTINGS).await?;
    String::from_utf8(bytes)
        .map_err(|_| Status::invalid_argument(format!("{} is not text in UTF-8", Quoted(&child.name))))
}

/// Whether a version is complete, as far as what is in it tells.
fn sight(found: &Result<RemoteVersion, Status>, policy: &ModelPolicy) -> Sight {
    let Ok(version) = found else { return Sight::Objects };
    let objects = &version.remote().objects;
    match &policy.marker {
        _ if objects.is_empty() => Sight::Incomplete,
        None => Sight::Objects,
        Some(marker) if objects.iter().any(|object| object.name == *marker) => Sight::Complete,
        Some(_) => Sight::Incomplete,
    }
}

fn late(url: &StoreUrl) -> Status {
    Status::unavailable(format!("{}: no answer within {LONGEST_LOOK:?}", shown(&url.url)))
}

/// Waits for the next look, be it that somebody asks for it.
async fn pause(wait: Option<Duration>, now: &mut watch::Receiver<()>) {
    let wait = async {
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait => {}
        // As long as anything is watched, there is somebody who may ask.
        _ = now.changed() => {}
    }
}

/// How long to wait for the next look; `None`: until somebody asks for it.
fn wait(interval: Duration, failures: u32, settles: Option<Instant>, now: Instant) -> Option<Duration> {
    if failures > 0 {
        let most = if interval.is_zero() { Duration::from_secs(60) } else { interval.max(FIRST_RETRY) };
        return Some(FIRST_RETRY.saturating_mul(1 << (failures - 1).min(16)).min(most));
    }
    let settled = settles.map(|at| at.saturating_duration_since(now));
    match (settled, interval.is_zero()) {
        (None, true) => None,
        (Some(settled), true) => Some(settled),
        (settled, false) => Some(settled.map_or(interval, |settled| settled.min(interval))),
    }
}

fn replace_notices(notices: &mut BTreeSet<String>, now: BTreeSet<String>, subject: &str) {
    for notice in now.difference(notices) {
        tracing::warn!(subject, "{notice}");
    }
    if now.is_empty() && !notices.is_empty() {
        tracing::info!(subject, "in order again");
    }
    *notices = now;
}

/// One repository being watched.
pub(crate) struct RepositoryWatch {
    pub(crate) watcher: Arc<Watcher>,
    pub(crate) url: StoreUrl,
    pub(crate) owner: Owner,
}

impl RepositoryWatch {
    /// Looks for models until it is aborted.
    pub(crate) async fn run(self, first_look: FirstLook) {
        let mut first_look = Some(first_look);
        let mut notices = BTreeSet::new();
        let mut was_answered = false;
        let mut failures = 0;
        let interval = self.watcher.config.default_policy.poll_interval;
        let mut now = self.watcher.now.subscribe();
        loop {
            let looked = tokio::time::timeout(LONGEST_LOOK, self.look()).await;
            let found = match looked.unwrap_or_else(|_| Err(late(&self.url))) {
                Ok((models, notices)) => {
                    failures = 0;
                    let ignored =
                        Board::replace(&self.watcher, self.owner, models, was_answered, first_look.as_ref());
                    was_answered = true;
                    notices.into_iter().chain(ignored).collect()
                }
                Err(status) => {
                    // What appears in a place that was empty is new.
                    was_answered |= status.code() == Code::NotFound;
                    failures += 1;
                    BTreeSet::from([status.to_string()])
                }
            };
            replace_notices(&mut notices, found, &shown(&self.url.url));
            first_look = first_look.take().and(None);
            pause(wait(interval, failures, None, Instant::now()), &mut now).await;
        }
    }

    /// The models that are there, and what a person should know of them.
    async fn look(&self) -> Result<(BTreeMap<StreamName, ModelUrl>, BTreeSet<String>), Status> {
        let address = Address::parse(&self.url.url)?;
        let children =
            self.children(&address).await.map_err(|status| status.context(Quoted(&address.shown)))?;
        let mut models = BTreeMap::new();
        let mut notices = BTreeSet::new();
        for (name, _) in children.folders.into_iter().filter(|(name, _)| !name.starts_with('.')) {
            if let Err(what) = version::check_segment(&name) {
                notices.insert(format!("{} is no model: its name {what}", Quoted(&name)));
                continue;
            }
            let url = StoreUrl { url: address.child(&name), options: self.url.options.clone() };
            models
                .insert(StreamName::from(name.as_str()), ModelUrl { name: name.into(), url, versions: None });
        }
        Ok((models, notices))
    }

    async fn children(&self, address: &Address) -> Result<Children, Status> {
        let bucket = self.watcher.buckets.open(address, &self.url)?;
        let _turn = bucket.looks.acquire().await;
        bucket.children(&address.prefix).await
    }
}
