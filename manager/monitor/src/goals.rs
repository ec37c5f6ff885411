//! What is waited for, and whether it has come.

use std::fmt;

use salver_core_servable::{ServableId, ServableState, StreamName};
use salver_core_status::{Quoted, Status};

use crate::{States, VersionStatus};

/// A servable of which a state is awaited.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Goal {
    /// This version.
    Version(ServableId),
    /// Of this stream the numerically largest version that is in the state awaited, or has ended.
    Latest(StreamName),
}

/// What became of a goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which goal.
    pub goal: Goal,
    /// The version that decided it.
    pub id: ServableId,
    /// Whether it was in the state awaited; if not, it has ended before.
    pub is_reached: bool,
    /// Why it failed, where it did.
    pub error: Option<Status>,
}

/// What is done with the outcomes.
pub(crate) type Callback = Box<dyn FnOnce(Vec<Outcome>) + Send>;

/// Goals that are awaited together.
pub(crate) struct Waiting {
    state: ServableState,
    /// In the order given. An outcome once there stays, whatever becomes of the version afterwards.
    goals: Vec<(Goal, Option<Outcome>)>,
    callback: Callback,
}

impl Waiting {
    pub(crate) fn new(goals: &[Goal], state: ServableState, callback: Callback) -> Self {
        Self { state, goals: goals.iter().map(|goal| (goal.clone(), None)).collect(), callback }
    }

    /// Looks at the goals that concern `stream`, or at all; whether every goal now has its outcome.
    pub(crate) fn look(&mut self, states: &States, stream: Option<&StreamName>) -> bool {
        for (goal, outcome) in &mut self.goals {
            if outcome.is_none() && stream.is_none_or(|stream| goal.stream() == stream) {
                *outcome = goal.outcome(self.state, states);
            }
        }
        self.goals.iter().all(|(_, outcome)| outcome.is_some())
    }

    /// Tells the outcomes.
    pub(crate) fn tell(self) {
        (self.callback)(self.goals.into_iter().filter_map(|(_, outcome)| outcome).collect());
    }

    /// Says what has not come.
    pub(crate) fn late(&self, states: &States) -> Status {
        /// How many goals are named.
        const SHOWN: usize = 8;
        let missing = || self.goals.iter().filter(|(_, outcome)| outcome.is_none());
        let mut named: Vec<String> =
            missing().take(SHOWN).map(|(goal, _)| goal.stands(states).to_string()).collect();
        if let Some(more @ 1..) = missing().count().checked_sub(SHOWN) {
            named.push(format!("and {more} more"));
        }
        Status::deadline_exceeded(format!(
            "{} of {} servables were not {} in time: {}",
            missing().count(),
            self.goals.len(),
            self.state,
            named.join("; ")
        ))
    }
}

impl Goal {
    /// The stream that it is about.
    pub fn stream(&self) -> &StreamName {
        match self {
            Goal::Version(id) => &id.name,
            Goal::Latest(name) => name,
        }
    }

    /// What has become of it; `None` while that is open.
    fn outcome(&self, wanted: ServableState, states: &States) -> Option<Outcome> {
        let is_decided = |version: &&VersionStatus| {
            version.state == ServableState::End || is_reached(version.state, wanted)
        };
        let stream = states.stream(self.stream().as_str())?;
        let version = match self {
            Goal::Version(id) => stream.version(id.version).filter(is_decided),
            Goal::Latest(_) => stream.versions.iter().find(is_decided),
        }?;
        Some(Outcome {
            goal: self.clone(),
            id: ServableId::new(self.stream().clone(), version.version),
            is_reached: is_reached(version.state, wanted),
            error: version.error.clone(),
        })
    }

    /// Where the goal stands, for a person.
    fn stands(&self, states: &States) -> impl fmt::Display {
        let stream = states.stream(self.stream().as_str());
        let version = stream.and_then(|stream| match self {
            Goal::Version(id) => stream.version(id.version),
            Goal::Latest(_) => stream.versions.first(),
        });
        let name = Quoted(self.stream().as_str());
        let mut text = match self {
            Goal::Version(id) => format!("version {} of {name}", id.version),
            Goal::Latest(_) => format!("the latest of {name}"),
        };
        text += &version.map_or(" is not known".to_owned(), |version| format!(" is {}", version.state));
        let trouble = version.and_then(|version| version.error.as_ref());
        if let Some(error) = trouble.or_else(|| stream.and_then(|stream| stream.error.as_ref())) {
            text += &format!(" ({error})");
        }
        text
    }
}

/// Whether a version in a state has come to the state wanted: it is there, or past it on its way up.
fn is_reached(state: ServableState, wanted: ServableState) -> bool {
    state == wanted || (wanted < state && state <= ServableState::Available)
}

#[cfg(test)]
mod tests;
