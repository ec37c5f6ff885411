//! The life of one servable version as a pure state machine.
//!
//! Nothing here loads, waits or logs: whoever holds the state carries out the actions and reports what came of them.
//! The states condense those of TensorFlow Serving's `core/loader_harness.h`; that a load is no longer wanted is a
//! state of its own here, where there it is guessed from whether a retry is allowed.
//!
//! | state | event | next | action |
//! |---|---|---|---|
//! | New | LoadApproved | Loading | Load |
//! | New | Rejected | Failed | End |
//! | New | Cancelled | Disabled | End |
//! | Loading | LoadSucceeded | Ready | Publish |
//! | Loading | LoadFailed | Failed | End |
//! | Loading | Cancelled | Cancelling | Cancel |
//! | Cancelling | LoadSucceeded | Unloading | Unload |
//! | Cancelling | LoadFailed | Disabled | End |
//! | Ready | UnloadApproved | Quiescing | Withdraw |
//! | Quiescing | LastHandleDropped | Unloading | Unload |
//! | Unloading | UnloadFinished | Disabled | End |
//!
//! Every other pair is illegal.
//!
//! ```
//! use salver_manager_harness::{Action, Event, State, step};
//!
//! assert_eq!(step(State::New, Event::LoadApproved), Ok((State::Loading, Action::Load)));
//! assert!(step(State::Ready, Event::LoadApproved).is_err());
//! ```

use salver_core_status::{Code, ErrorCode};

/// Where a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Known, with a loader that has not been used.
    New,
    /// Being loaded.
    Loading,
    /// Being loaded, though no longer wanted: it will never be available.
    Cancelling,
    /// Answers requests.
    Ready,
    /// Found by no new request; some that found it earlier may still use it.
    Quiescing,
    /// Being unloaded.
    Unloading,
    /// Over, as it was meant to be.
    Disabled,
    /// Over, because it could not be loaded.
    Failed,
}

/// What happened to a version, or was decided about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// It may be loaded now.
    LoadApproved,
    /// There is nothing to load it from.
    Rejected,
    /// It is no longer wanted, and was not available yet.
    Cancelled,
    /// The loader made the servable.
    LoadSucceeded,
    /// The loader did not.
    LoadFailed,
    /// It may be unloaded now.
    UnloadApproved,
    /// Nobody uses it any more.
    LastHandleDropped,
    /// The loader freed the servable.
    UnloadFinished,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Call the loader's `load`.
    Load,
    /// Let requests find it, then tell that it is available.
    Publish,
    /// Tell the loader that it may give up.
    Cancel,
    /// Tell that it is about to go, then keep requests from finding it.
    Withdraw,
    /// Call the loader's `unload`.
    Unload,
    /// Tell that it is over.
    End,
}

/// An event that cannot follow a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version that is {state:?} cannot take the event {event:?}")]
pub struct Illegal {
    /// Where the version stands, and goes on standing.
    pub state: State,
    /// What was reported.
    pub event: Event,
}

impl ErrorCode for Illegal {
    fn code(&self) -> Code {
        Code::FailedPrecondition
    }
}

/// Moves a version by one event. Neither blocks nor allocates.
///
/// # Errors
/// [`Illegal`] (FAILED_PRECONDITION) when `event` cannot follow `state`; the version stays where it was.
pub fn step(state: State, event: Event) -> Result<(State, Action), Illegal> {
    match (state, event) {
        (State::New, Event::LoadApproved) => Ok((State::Loading, Action::Load)),
        (State::New, Event::Rejected) => Ok((State::Failed, Action::End)),
        (State::New, Event::Cancelled) => Ok((State::Disabled, Action::End)),
        (State::Loading, Event::LoadSucceeded) => Ok((State::Ready, Action::Publish)),
        (State::Loading, Event::LoadFailed) => Ok((State::Failed, Action::End)),
        (State::Loading, Event::Cancelled) => Ok((State::Cancelling, Action::Cancel)),
        (State::Cancelling, Event::LoadSucceeded) => Ok((State::Unloading, Action::Unload)),
        (State::Cancelling, Event::LoadFailed) => Ok((State::Disabled, Action::End)),
        (State::Ready, Event::UnloadApproved) => Ok((State::Quiescing, Action::Withdraw)),
        (State::Quiescing, Event::LastHandleDropped) => Ok((State::Unloading, Action::Unload)),
        (State::Unloading, Event::UnloadFinished) => Ok((State::Disabled, Action::End)),
        (state, event) => Err(Illegal { state, event }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 8] = [
        State::New,
        State::Loading,
        State::Cancelling,
        State::Ready,
        State::Quiescing,
        State::Unloading,
        State::Disabled,
        State::Failed,
    ];

    const EVENTS: [Event; 8] = [
        Event::LoadApproved,
        Event::Rejected,
        Event::Cancelled,
        Event::LoadSucceeded,
        Event::LoadFailed,
        Event::UnloadApproved,
        Event::LastHandleDropped,
        Event::UnloadFinished,
    ];

    /// The table of this crate's documentation, as it is printed there.
    fn table() -> Vec<[String; 4]> {
        let rows = include_str!("lib.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
        let row = |row: &str| {
            let mut cells = row.trim_end_matches('|').split('|').map(|cell| cell.trim().to_owned());
            std::array::from_fn(|_| cells.next().unwrap())
        };
        rows.skip(1).map(row).collect()
    }

    #[test]
    fn every_pair_of_state_and_event_does_what_the_documented_table_says() {
        let table = table();
        assert_eq!(table.len(), 11);
        for state in STATES {
            for event in EVENTS {
                let names = [format!("{state:?}"), format!("{event:?}")];
                let row =
                    table.iter().find(|row| row[..2] == names).map(|row| [row[2].clone(), row[3].clone()]);
                let done = step(state, event)
                    .ok()
                    .map(|(next, action)| [format!("{next:?}"), format!("{action:?}")]);
                assert_eq!(done, row, "{state:?} {event:?}");
            }
        }
    }

    /// Runs a life from New, and tells its last state and what was done.
    fn live(events: &[Event]) -> (State, Vec<Action>) {
        let mut state = State::New;
        let actions = events.iter().map(|event| {
            let (next, action) = step(state, *event).unwrap();
            state = next;
            action
        });
        let actions = actions.collect();
        (state, actions)
    }

    #[test]
    fn a_ready_version_is_unloaded_only_after_its_last_handle_is_dropped() {
        use Event::{LastHandleDropped, LoadApproved, LoadSucceeded, UnloadApproved, UnloadFinished};
        let events = [LoadApproved, LoadSucceeded, UnloadApproved, LastHandleDropped, UnloadFinished];
        let actions = vec![Action::Load, Action::Publish, Action::Withdraw, Action::Unload, Action::End];
        assert_eq!(live(&events), (State::Disabled, actions));
    }

    #[test]
    fn a_cancelled_load_that_succeeds_all_the_same_is_unloaded_without_ever_being_available() {
        use Event::{Cancelled, LoadApproved, LoadSucceeded, UnloadFinished};
        let actions = vec![Action::Load, Action::Cancel, Action::Unload, Action::End];
        assert_eq!(
            live(&[LoadApproved, Cancelled, LoadSucceeded, UnloadFinished]),
            (State::Disabled, actions)
        );
    }

    #[test]
    fn only_the_first_of_two_requests_to_load_succeeds() {
        let illegal = Illegal { state: State::Loading, event: Event::LoadApproved };
        assert_eq!(step(State::Loading, Event::LoadApproved), Err(illegal));
        assert_eq!(illegal.to_string(), "a version that is Loading cannot take the event LoadApproved");
    }
}
