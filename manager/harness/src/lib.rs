//! The life of one servable version as a pure state machine.
//!
//! Nothing here loads, waits or logs: whoever holds the state carries out the actions and reports what came of them.
//! The states are those of TensorFlow Serving's `core/loader_harness.h`, and three more. The estimate before an attempt
//! is made on a load thread ([`State::Estimating`]); the wait between attempts keeps no thread ([`State::Retrying`]);
//! and that a load is no longer wanted is a state ([`State::Cancelling`]), where there it is guessed from whether a
//! retry is allowed.
//!
//! | state | event | next | action |
//! |---|---|---|---|
//! | New | LoadRequested | LoadRequested | QueueLoad |
//! | New | Rejected | Failed | End |
//! | New | Cancelled | Disabled | End |
//! | LoadRequested | EstimateStarted | Estimating | Estimate |
//! | LoadRequested | LoadApproved | LoadApproved | QueueLoad |
//! | LoadRequested | Renewed | LoadRequested | QueueLoad |
//! | LoadRequested | Recalled | New | StandDown |
//! | LoadRequested | Rejected | Failed | End |
//! | LoadRequested | Cancelled | Disabled | End |
//! | Estimating | Estimated | LoadRequested | Reserve |
//! | Estimating | AttemptFailed | Retrying | Wait |
//! | Estimating | LoadFailed | Failed | End |
//! | Estimating | Cancelled | Cancelling | Cancel |
//! | LoadApproved | LoadStarted | Loading | Load |
//! | LoadApproved | Renewed | LoadRequested | QueueLoad |
//! | LoadApproved | Recalled | New | StandDown |
//! | LoadApproved | Rejected | Failed | End |
//! | LoadApproved | Cancelled | Disabled | End |
//! | Loading | LoadSucceeded | Ready | Publish |
//! | Loading | AttemptFailed | Retrying | Wait |
//! | Loading | LoadFailed | Failed | End |
//! | Loading | Cancelled | Cancelling | Cancel |
//! | Retrying | WaitEnded | LoadRequested | QueueLoad |
//! | Retrying | Renewed | LoadRequested | QueueLoad |
//! | Retrying | Rejected | Failed | End |
//! | Retrying | Cancelled | Disabled | End |
//! | Cancelling | Estimated | Disabled | End |
//! | Cancelling | LoadSucceeded | Quiesced | QueueUnload |
//! | Cancelling | LoadFailed | Disabled | End |
//! | Ready | UnloadRequested | UnloadRequested | Announce |
//! | UnloadRequested | QuiesceStarted | Quiescing | Withdraw |
//! | Quiescing | LastHandleDropped | Quiesced | QueueUnload |
//! | Quiesced | UnloadStarted | Unloading | Unload |
//! | Unloading | UnloadFinished | Disabled | End |
//!
//! Every other pair is illegal.
//!
//! ```
//! use salver_manager_harness::{Action, Event, State, step};
//!
//! assert_eq!(step(State::LoadApproved, Event::LoadStarted), Ok((State::Loading, Action::Load)));
//! assert!(step(State::Ready, Event::LoadStarted).is_err());
//! ```

use salver_core_status::{Code, ErrorCode};

/// Where a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Known, with a loader that has not been used.
    New,
    /// To be loaded: waits for a load thread to estimate it on, or, once it is estimated, for room.
    LoadRequested,
    /// Being estimated, on a load thread.
    Estimating,
    /// Has its room, and waits for a load thread.
    LoadApproved,
    /// Being loaded, on a load thread.
    Loading,
    /// Between two attempts; takes neither room nor thread.
    Retrying,
    /// Being estimated or loaded, though no longer wanted: it will never be available.
    Cancelling,
    /// Answers requests.
    Ready,
    /// To be unloaded, and found by requests until that is announced.
    UnloadRequested,
    /// Found by no new request; some that found it earlier may still use it.
    Quiescing,
    /// Used by nobody; waits for an unload thread.
    Quiesced,
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
    /// It is to be loaded.
    LoadRequested,
    /// A load thread begins to estimate it.
    EstimateStarted,
    /// The loader told what it will take.
    Estimated,
    /// Its room is reserved.
    LoadApproved,
    /// A load thread begins to load it.
    LoadStarted,
    /// The loader made the servable.
    LoadSucceeded,
    /// The loader did not, or could not tell what it will take, and is to be tried again.
    AttemptFailed,
    /// The same, and that is the end of it.
    LoadFailed,
    /// It is time to try again.
    WaitEnded,
    /// There is something else to load it from.
    Renewed,
    /// It is not to be loaded yet.
    Recalled,
    /// There is nothing to load it from, or no room.
    Rejected,
    /// It is no longer wanted, and was not available yet.
    Cancelled,
    /// It is to be unloaded.
    UnloadRequested,
    /// Everybody knows that it is about to go.
    QuiesceStarted,
    /// Nobody uses it any more.
    LastHandleDropped,
    /// An unload thread begins to unload it.
    UnloadStarted,
    /// The loader freed the servable.
    UnloadFinished,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Line up for a load thread.
    QueueLoad,
    /// Call the loader's `estimate`.
    Estimate,
    /// Reserve what it will take, now or when there is room.
    Reserve,
    /// Call the loader's `load`.
    Load,
    /// Give up what is reserved, and wait before the next attempt.
    Wait,
    /// Give up what is reserved, and the place in the line.
    StandDown,
    /// Let requests find it, then tell that it is available.
    Publish,
    /// Tell the loader that it may give up.
    Cancel,
    /// Tell that it is about to go.
    Announce,
    /// Keep requests from finding it.
    Withdraw,
    /// Line up for an unload thread.
    QueueUnload,
    /// Call the loader's `unload`.
    Unload,
    /// Give up what is reserved, and tell that it is over.
    End,
}

impl State {
    /// Whether it is over: nothing can follow.
    pub const fn is_over(self) -> bool {
        matches!(self, State::Disabled | State::Failed)
    }

    /// Whether it is on its way to be loaded, and can be cancelled.
    pub const fn is_coming(self) -> bool {
        matches!(
            self,
            State::LoadRequested | State::Estimating | State::LoadApproved | State::Loading | State::Retrying
        )
    }

    /// Whether it is on its way out, and nothing can keep it.
    pub const fn is_going(self) -> bool {
        matches!(
            self,
            State::Cancelling
                | State::UnloadRequested
                | State::Quiescing
                | State::Quiesced
                | State::Unloading
        )
    }
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
        (State::New, Event::LoadRequested) => Ok((State::LoadRequested, Action::QueueLoad)),
        (State::New, Event::Rejected) => Ok((State::Failed, Action::End)),
        (State::New, Event::Cancelled) => Ok((State::Disabled, Action::End)),
        (State::LoadRequested, Event::EstimateStarted) => Ok((State::Estimating, Action::Estimate)),
        (State::LoadRequested, Event::LoadApproved) => Ok((State::LoadApproved, Action::QueueLoad)),
        (State::LoadRequested, Event::Renewed) => Ok((State::LoadRequested, Action::QueueLoad)),
        (State::LoadRequested, Event::Recalled) => Ok((State::New, Action::StandDown)),
        (State::LoadRequested, Event::Rejected) => Ok((State::Failed, Action::End)),
        (State::LoadRequested, Event::Cancelled) => Ok((State::Disabled, Action::End)),
        (State::Estimating, Event::Estimated) => Ok((State::LoadRequested, Action::Reserve)),
        (State::Estimating, Event::AttemptFailed) => Ok((State::Retrying, Action::Wait)),
        (State::Estimating, Event::LoadFailed) => Ok((State::Failed, Action::End)),
        (State::Estimating, Event::Cancelled) => Ok((State::Cancelling, Action::Cancel)),
        (State::LoadApproved, Event::LoadStarted) => Ok((State::Loading, Action::Load)),
        (State::LoadApproved, Event::Renewed) => Ok((State::LoadRequested, Action::QueueLoad)),
        (State::LoadApproved, Event::Recalled) => Ok((State::New, Action::StandDown)),
        (State::LoadApproved, Event::Rejected) => Ok((State::Failed, Action::End)),
        (State::LoadApproved, Event::Cancelled) => Ok((State::Disabled, Action::End)),
        (State::Loading, Event::LoadSucceeded) => Ok((State::Ready, Action::Publish)),
        (State::Loading, Event::AttemptFailed) => Ok((State::Retrying, Action::Wait)),
        (State::Loading, Event::LoadFailed) => Ok((State::Failed, Action::End)),
        (State::Loading, Event::Cancelled) => Ok((State::Cancelling, Action::Cancel)),
        (State::Retrying, Event::WaitEnded) => Ok((State::LoadRequested, Action::QueueLoad)),
        (State::Retrying, Event::Renewed) => Ok((State::LoadRequested, Action::QueueLoad)),
        (State::Retrying, Event::Rejected) => Ok((State::Failed, Action::End)),
        (State::Retrying, Event::Cancelled) => Ok((State::Disabled, Action::End)),
        (State::Cancelling, Event::Estimated) => Ok((State::Disabled, Action::End)),
        (State::Cancelling, Event::LoadSucceeded) => Ok((State::Quiesced, Action::QueueUnload)),
        (State::Cancelling, Event::LoadFailed) => Ok((State::Disabled, Action::End)),
        (State::Ready, Event::UnloadRequested) => Ok((State::UnloadRequested, Action::Announce)),
        (State::UnloadRequested, Event::QuiesceStarted) => Ok((State::Quiescing, Action::Withdraw)),
        (State::Quiescing, Event::LastHandleDropped) => Ok((State::Quiesced, Action::QueueUnload)),
        (State::Quiesced, Event::UnloadStarted) => Ok((State::Unloading, Action::Unload)),
        (State::Unloading, Event::UnloadFinished) => Ok((State::Disabled, Action::End)),
        (state, event) => Err(Illegal { state, event }),
    }
}

#[cfg(test)]
mod tests;
