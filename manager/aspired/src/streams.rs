//! All streams: who is told what sources say and what moves, and asks for loads and unloads. Pure.

use std::collections::BTreeMap;

use salver_core_loader::AspiredVersions;
use salver_core_servable::{ServableId, StreamName};
use salver_manager_basic::engine::{Director, Registry};
use salver_manager_policy::Policy;

use crate::PolicyFor;
use crate::stream::Stream;

pub(crate) struct Streams<D> {
    default_policy: Policy,
    policy_for: Option<PolicyFor>,
    streams: BTreeMap<StreamName, Stream<D>>,
}

impl<D> Streams<D> {
    pub(crate) fn new(default_policy: Policy, policy_for: Option<PolicyFor>) -> Self {
        Self { default_policy, policy_for, streams: BTreeMap::new() }
    }

    /// Takes in what a source said.
    pub(crate) fn aspire(&mut self, aspired: AspiredVersions<D>, registry: &mut Registry<D>) {
        let AspiredVersions { stream: name, versions } = aspired;
        if registry.is_closed() {
            let versions = versions.unwrap_or_default();
            return versions
                .into_iter()
                .filter_map(|one| one.data.ok())
                .for_each(|data| registry.drop_later(data));
        }
        let stream = self.streams.entry(name.clone()).or_insert_with(|| Stream::new(name.clone()));
        match versions {
            Ok(versions) => stream.aspire(versions, registry),
            Err(status) => stream.trouble(status, registry),
        }
        self.advance(&name, registry);
    }

    /// Does for one stream all that can be done now.
    fn advance(&mut self, name: &StreamName, registry: &mut Registry<D>) {
        let policy = self.policy_for.as_ref().map_or(self.default_policy, |policy_for| policy_for(name));
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.advance(policy, registry);
        if stream.is_forgettable() {
            self.streams.remove(name);
        }
    }
}

impl<D: Send + 'static> Director<D> for Streams<D> {
    fn moved(&mut self, id: &ServableId, registry: &mut Registry<D>) {
        if let Some(stream) = self.streams.get_mut(&id.name) {
            stream.moved(id.version, registry);
            self.advance(&id.name, registry);
        }
    }

    fn released(&mut self, registry: &mut Registry<D>) {
        registry.revive_what_fits();
    }

    fn close(&mut self, registry: &mut Registry<D>) {
        self.streams.values_mut().for_each(|stream| stream.unaspire(registry));
    }
}
