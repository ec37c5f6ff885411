//! What is wished for of one stream, and what follows from that for each of its versions.
//!
//! Where a version stands is the registry's to know; here is whether it should be there, and what comes after it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use salver_core_loader::Aspired;
use salver_core_servable::{ServableId, StateEvent, StreamName, Version};
use salver_core_status::Status;
use salver_manager_basic::State;
use salver_manager_basic::engine::Registry;
use salver_manager_policy::{Action, Policy, VersionSnapshot};

/// One stream. It has a wish for every version that is managed, and for no other.
#[derive(Debug)]
pub(crate) struct Stream<D> {
    name: StreamName,
    wishes: BTreeMap<Version, Wish<D>>,
    /// What its source said last, where the source cannot tell.
    error: Option<Status>,
}

/// What is wished for of one version.
#[derive(Debug)]
struct Wish<D> {
    is_aspired: bool,
    /// Of what it is loaded from.
    revision: u64,
    /// What comes in its place as soon as may be: it was aspired again while on its way out, or its stored data changed
    /// while a worker was at it.
    successor: Option<Aspired<D>>,
}

impl<D> Stream<D> {
    pub(crate) fn new(name: StreamName) -> Self {
        Self { name, wishes: BTreeMap::new(), error: None }
    }

    /// Whether nothing is worth remembering.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.wishes.is_empty() && self.error.is_none()
    }

    /// The source cannot tell: everything stays as it is.
    pub(crate) fn trouble(&mut self, status: Status, registry: &mut Registry<D>) {
        if self.error.as_ref() != Some(&status) {
            self.error = Some(status.clone());
            registry.tell(StateEvent::Stream { name: self.name.clone(), error: Some(status) });
        }
    }

    /// These versions are wanted, and no others.
    pub(crate) fn aspire(&mut self, versions: Vec<Aspired<D>>, registry: &mut Registry<D>) {
        if self.error.take().is_some() {
            registry.tell(StateEvent::Stream { name: self.name.clone(), error: None });
        }
        let mut wanted = BTreeMap::new();
        for aspired in versions {
            match wanted.entry(aspired.version) {
                Entry::Vacant(place) => {
                    place.insert(aspired);
                }
                Entry::Occupied(place) => {
                    let version = place.key();
                    tracing::warn!(model = %self.name, %version, "version aspired twice in one set, the first counts");
                    drop_later(aspired, registry);
                }
            }
        }
        let is_unwanted = |version: &&Version| !wanted.contains_key(version);
        for version in self.wishes.keys().filter(is_unwanted).copied().collect::<Vec<_>>() {
            self.unaspire_one(version, registry);
        }
        for aspired in wanted.into_values() {
            self.aspire_one(aspired, registry);
        }
    }

    /// Nothing is wanted any more.
    pub(crate) fn unaspire(&mut self, registry: &mut Registry<D>) {
        for wish in self.wishes.values_mut() {
            wish.is_aspired = false;
            wish.succeed_by(None, registry);
        }
    }

    fn unaspire_one(&mut self, version: Version, registry: &mut Registry<D>) {
        let id = self.id(version);
        let Some(wish) = self.wishes.get_mut(&version) else { return };
        wish.is_aspired = false;
        wish.succeed_by(None, registry);
        match registry.state(&id) {
            Some(State::Failed) => self.forget(version, registry),
            Some(state) if state == State::New || state.is_coming() => check(&id, registry.cancel(&id)),
            // When a ready one goes is for the policy to say; the others are going.
            _ => {}
        }
    }

    fn aspire_one(&mut self, aspired: Aspired<D>, registry: &mut Registry<D>) {
        let id = self.id(aspired.version);
        let (wish, state) = match (self.wishes.get_mut(&aspired.version), registry.state(&id)) {
            (Some(wish), Some(state)) => (wish, state),
            _ => return self.begin(aspired, registry),
        };
        let is_changed = wish.revision != aspired.revision;
        match state {
            State::New | State::LoadRequested | State::LoadApproved | State::Retrying if is_changed => {
                wish.renew(&id, aspired, registry);
            }
            State::Estimating | State::Loading if is_changed => wish.succeed_by(Some(aspired), registry),
            State::Cancelling
            | State::UnloadRequested
            | State::Quiescing
            | State::Quiesced
            | State::Unloading
            | State::Disabled => wish.succeed_by(Some(aspired), registry),
            // One that never came to an attempt may have got something to load from without a change of its files.
            State::Failed if is_changed || (!registry.is_tried(&id) && aspired.data.is_ok()) => {
                self.forget(aspired.version, registry);
                self.begin(aspired, registry);
            }
            State::New
            | State::LoadRequested
            | State::Estimating
            | State::LoadApproved
            | State::Loading
            | State::Retrying
            | State::Ready
            | State::Failed => {
                wish.is_aspired = true;
                wish.succeed_by(None, registry);
                drop_later(aspired, registry);
            }
        }
    }

    /// A version has moved.
    pub(crate) fn moved(&mut self, version: Version, registry: &mut Registry<D>) {
        let id = self.id(version);
        let Some(wish) = self.wishes.get_mut(&version) else { return };
        match registry.state(&id) {
            Some(State::Disabled) => {
                let successor = wish.successor.take();
                self.forget(version, registry);
                if let Some(successor) = successor {
                    self.begin(successor, registry);
                }
            }
            Some(State::Failed) => {
                if let Some(successor) = wish.successor.take() {
                    self.forget(version, registry);
                    self.begin(successor, registry);
                }
            }
            // No worker is at it any more.
            Some(State::LoadRequested | State::Retrying) => {
                if let Some(successor) = wish.successor.take() {
                    wish.renew(&id, successor, registry);
                }
            }
            Some(State::Ready) => wish.succeed_by(None, registry),
            _ => {}
        }
    }

    /// Does all that the policy wants done now.
    pub(crate) fn advance(&mut self, policy: Policy, registry: &mut Registry<D>) {
        let snapshots = self.snapshots(registry);
        if !policy.may_load(&snapshots) {
            let waits =
                |one: &&VersionSnapshot| matches!(one.state, State::LoadRequested | State::LoadApproved);
            for waiting in snapshots.iter().filter(waits) {
                let id = self.id(waiting.version);
                check(&id, registry.recall(&id));
            }
        }
        while let Some(action) = policy.next_action(&self.snapshots(registry)) {
            let (id, result) = match action {
                Action::Load(version) => {
                    let id = self.id(version);
                    let result = registry.request_load(&id);
                    (id, result)
                }
                Action::Unload(version) => {
                    let id = self.id(version);
                    let result = registry.request_unload(&id);
                    (id, result)
                }
            };
            if result.is_err() {
                check(&id, result);
                break;
            }
        }
    }

    /// The stream as a policy sees it.
    ///
    /// A version that is to come back once it is gone counts twice: as the one that is on its way out, and as one that
    /// is wanted and not there. Otherwise the stream could pass for one of which nothing is wanted.
    fn snapshots(&self, registry: &Registry<D>) -> Vec<VersionSnapshot> {
        let mut snapshots = Vec::with_capacity(self.wishes.len());
        for (version, state) in registry.stream(&self.name) {
            let Some(wish) = self.wishes.get(&version) else { continue };
            snapshots.push(VersionSnapshot { version, state, is_aspired: wish.is_aspired });
            if wish.successor.is_some() {
                snapshots.push(VersionSnapshot { version, state: State::Disabled, is_aspired: true });
            }
        }
        snapshots
    }

    /// Begins the life of a version that is not managed.
    fn begin(&mut self, aspired: Aspired<D>, registry: &mut Registry<D>) {
        let Aspired { version, revision, data } = aspired;
        let id = self.id(version);
        self.wishes.insert(version, Wish { is_aspired: true, revision, successor: None });
        check(&id, registry.manage(id.clone(), data));
    }

    /// Ends the life of a version that is over.
    fn forget(&mut self, version: Version, registry: &mut Registry<D>) {
        let id = self.id(version);
        self.wishes.remove(&version);
        check(&id, registry.stop_managing(&id));
    }

    fn id(&self, version: Version) -> ServableId {
        ServableId::new(self.name.clone(), version)
    }
}

impl<D> Wish<D> {
    fn succeed_by(&mut self, successor: Option<Aspired<D>>, registry: &mut Registry<D>) {
        if let Some(former) = std::mem::replace(&mut self.successor, successor) {
            drop_later(former, registry);
        }
    }

    /// Gives a version that no worker is at what is stored now.
    fn renew(&mut self, id: &ServableId, aspired: Aspired<D>, registry: &mut Registry<D>) {
        self.revision = aspired.revision;
        check(id, registry.renew(id, aspired.data));
    }
}

fn drop_later<D>(aspired: Aspired<D>, registry: &mut Registry<D>) {
    if let Ok(data) = aspired.data {
        registry.drop_later(data);
    }
}

/// What is asked of the registry is always in place. Where it is not, which is a bug, all stays as it is.
fn check(id: &ServableId, result: Result<(), Status>) {
    if let Err(error) = result {
        tracing::error!(%id, %error, "request out of place");
        debug_assert!(false, "{error}");
    }
}
