//! Which version of a stream to load or unload next, as a pure function.
//!
//! A policy sees all versions of one stream and names at most one action. Whoever asks carries the action out, at
//! least as far as the version's state changes, and asks again until there is none. Both policies are TensorFlow
//! Serving's (`core/availability_preserving_policy.h`, `core/resource_preserving_policy.h`).
//!
//! ```
//! use salver_core_servable::Version;
//! use salver_manager_harness::State;
//! use salver_manager_policy::{Action, Policy, VersionSnapshot};
//!
//! let version = |number, state, is_aspired| {
//!     VersionSnapshot { version: Version::new(number).unwrap(), state, is_aspired }
//! };
//! let old = version(1, State::Ready, false);
//! let new = version(2, State::New, true);
//! assert_eq!(Policy::AvailabilityPreserving.next_action(&[old, new]), Some(Action::Load(new.version)));
//! assert_eq!(Policy::ResourcePreserving.next_action(&[old, new]), Some(Action::Unload(old.version)));
//! ```

use salver_core_servable::Version;
use salver_manager_harness::State;

/// In which order the versions of a stream come and go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The new before the old goes: the stream stays available, and for a while takes the memory of both.
    ///
    /// A new version that fails never costs the old one.
    #[default]
    AvailabilityPreserving,
    /// The old goes before the new comes: the stream is unavailable meanwhile, and never takes the memory of both.
    ResourcePreserving,
}

/// One version as a policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionSnapshot {
    /// Which.
    pub version: Version,
    /// Where it stands.
    pub state: State,
    /// Whether it should be there.
    pub is_aspired: bool,
}

/// What a policy wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Load this version, which is new.
    Load(Version),
    /// Unload this version, which is ready.
    Unload(Version),
}

impl Policy {
    /// What to do next about a stream that has these versions, in any order; `None` where there is nothing to do, or
    /// something to wait for.
    pub fn next_action(self, versions: &[VersionSnapshot]) -> Option<Action> {
        match self {
            Policy::AvailabilityPreserving => preserve_availability(versions),
            Policy::ResourcePreserving => preserve_resources(versions),
        }
    }

    /// Whether versions of a stream that has these may begin to be loaded now.
    ///
    /// [`next_action`](Self::next_action) wants none loaded while they may not. Those that were to be loaded before, and
    /// have not begun, are to be held back.
    pub fn may_load(self, versions: &[VersionSnapshot]) -> bool {
        match self {
            Policy::AvailabilityPreserving => true,
            Policy::ResourcePreserving => versions.iter().all(|one| one.is_aspired || one.state.is_over()),
        }
    }
}

fn preserve_availability(versions: &[VersionSnapshot]) -> Option<Action> {
    let is_any_aspired = versions.iter().any(|one| one.is_aspired);
    let is_aspired_ready = versions.iter().any(|one| one.is_aspired && one.state == State::Ready);
    let mut surplus: Vec<_> = unaspired_ready(versions).collect();
    surplus.sort_unstable();
    let may_unload = !is_any_aspired || is_aspired_ready || surplus.len() > 1;
    match surplus.first() {
        Some(lowest) if may_unload => Some(Action::Unload(*lowest)),
        _ => load_highest(versions),
    }
}

fn preserve_resources(versions: &[VersionSnapshot]) -> Option<Action> {
    if let Some(first) = unaspired_ready(versions).next() {
        return Some(Action::Unload(first));
    }
    if Policy::ResourcePreserving.may_load(versions) { load_highest(versions) } else { None }
}

fn unaspired_ready(versions: &[VersionSnapshot]) -> impl Iterator<Item = Version> {
    versions.iter().filter(|one| !one.is_aspired && one.state == State::Ready).map(|one| one.version)
}

fn load_highest(versions: &[VersionSnapshot]) -> Option<Action> {
    let new = versions.iter().filter(|one| one.is_aspired && one.state == State::New);
    new.map(|one| one.version).max().map(Action::Load)
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Disabled, Failed, Loading, New, Quiescing, Ready, Unloading};

    const ASPIRED: bool = true;
    const NOT: bool = false;

    fn version(number: i64) -> Version {
        Version::new(number).unwrap()
    }

    fn load(number: i64) -> Option<Action> {
        Some(Action::Load(version(number)))
    }

    fn unload(number: i64) -> Option<Action> {
        Some(Action::Unload(version(number)))
    }

    /// Asks the policy with the versions in the given order.
    fn check(policy: Policy, versions: &[(i64, State, bool)], wanted: Option<Action>) {
        let snapshot = |(number, state, is_aspired): &(i64, State, bool)| VersionSnapshot {
            version: version(*number),
            state: *state,
            is_aspired: *is_aspired,
        };
        let versions: Vec<_> = versions.iter().map(snapshot).collect();
        assert_eq!(policy.next_action(&versions), wanted, "{versions:?}");
    }

    mod availability_preserving {
        use super::*;

        fn check(versions: &[(i64, State, bool)], wanted: Option<Action>) {
            let mut backwards = versions.to_vec();
            backwards.reverse();
            super::check(Policy::AvailabilityPreserving, versions, wanted);
            super::check(Policy::AvailabilityPreserving, &backwards, wanted);
        }

        #[test]
        fn loads_the_highest_new_aspired_version() {
            check(&[(1, Loading, ASPIRED), (2, New, ASPIRED), (3, New, ASPIRED)], load(3));
            check(&[(1, Loading, ASPIRED), (4, New, NOT)], None);
        }

        #[test]
        fn unloads_the_lowest_version_not_aspired_before_it_loads() {
            check(&[(5, Ready, NOT), (4, Ready, NOT), (3, Ready, ASPIRED), (2, New, ASPIRED)], unload(4));
        }

        #[test]
        fn unloads_the_lowest_version_when_none_is_aspired() {
            check(&[(2, Ready, NOT), (3, Ready, NOT)], unload(2));
            check(&[(3, Ready, NOT)], unload(3));
        }

        #[test]
        fn does_not_unload_the_only_ready_version_while_its_successor_is_not_ready() {
            check(&[(1, Ready, NOT), (2, Loading, ASPIRED)], None);
        }

        #[test]
        fn does_not_unload_the_only_ready_version_when_its_successor_failed() {
            check(&[(1, Ready, NOT), (2, Failed, ASPIRED)], None);
        }

        #[test]
        fn unloads_when_another_is_ready_though_one_is_still_loading() {
            check(&[(1, Ready, NOT), (2, Loading, ASPIRED), (3, Ready, ASPIRED)], unload(1));
        }

        #[test]
        fn unloads_when_another_is_ready_though_one_failed() {
            check(&[(1, Ready, NOT), (2, Failed, ASPIRED), (3, Ready, ASPIRED)], unload(1));
        }

        #[test]
        fn unloads_down_to_one_when_no_aspired_version_is_ready() {
            check(&[(1, Ready, NOT), (2, Ready, NOT), (3, New, ASPIRED)], unload(1));
            check(&[(1, Quiescing, NOT), (2, Ready, NOT), (3, New, ASPIRED)], load(3));
        }
    }

    #[test]
    fn versions_may_be_loaded_unless_they_would_be_loaded_beside_the_old() {
        let snapshot = |state, is_aspired| VersionSnapshot { version: version(1), state, is_aspired };
        let old = [snapshot(State::LoadRequested, ASPIRED), snapshot(Quiescing, NOT)];
        assert!(Policy::AvailabilityPreserving.may_load(&old));
        assert!(!Policy::ResourcePreserving.may_load(&old));
        let gone = [snapshot(State::LoadRequested, ASPIRED), snapshot(Failed, NOT), snapshot(Ready, ASPIRED)];
        assert!(Policy::ResourcePreserving.may_load(&gone));
    }

    mod resource_preserving {
        use super::*;

        fn check(versions: &[(i64, State, bool)], wanted: Option<Action>) {
            super::check(Policy::ResourcePreserving, versions, wanted);
        }

        #[test]
        fn unloads_the_first_version_not_aspired_whatever_else_there_is() {
            check(&[(1, Ready, ASPIRED), (4, Ready, NOT), (2, Ready, NOT), (3, New, ASPIRED)], unload(4));
        }

        #[test]
        fn loads_the_highest_new_aspired_version_when_there_is_none_to_unload() {
            check(&[(1, Ready, ASPIRED), (2, New, ASPIRED), (4, New, ASPIRED), (3, New, ASPIRED)], load(4));
        }

        #[test]
        fn does_not_load_while_another_is_on_its_way_out() {
            let states = [
                New,
                State::LoadRequested,
                State::Estimating,
                State::LoadApproved,
                Loading,
                State::Retrying,
                State::Cancelling,
                State::UnloadRequested,
                Quiescing,
                State::Quiesced,
                Unloading,
            ];
            for state in states {
                check(&[(1, state, NOT), (2, New, ASPIRED)], None);
            }
        }

        #[test]
        fn loads_when_the_version_not_aspired_failed() {
            check(&[(1, Failed, NOT), (2, New, ASPIRED)], load(2));
        }

        #[test]
        fn one_that_failed_and_one_on_its_way_out_prevent_loading() {
            check(&[(1, Failed, NOT), (2, Quiescing, NOT), (3, New, ASPIRED)], None);
        }

        #[test]
        fn one_that_failed_and_one_that_is_gone_allow_loading() {
            check(&[(1, Failed, NOT), (2, Disabled, NOT), (3, New, ASPIRED)], load(3));
        }
    }
}
