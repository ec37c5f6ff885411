use super::*;

const STATES: [State; 14] = [
    State::New,
    State::LoadRequested,
    State::Estimating,
    State::LoadApproved,
    State::Loading,
    State::Retrying,
    State::Cancelling,
    State::Ready,
    State::UnloadRequested,
    State::Quiescing,
    State::Quiesced,
    State::Unloading,
    State::Disabled,
    State::Failed,
];

const EVENTS: [Event; 18] = [
    Event::LoadRequested,
    Event::EstimateStarted,
    Event::Estimated,
    Event::LoadApproved,
    Event::LoadStarted,
    Event::LoadSucceeded,
    Event::AttemptFailed,
    Event::LoadFailed,
    Event::WaitEnded,
    Event::Renewed,
    Event::Recalled,
    Event::Rejected,
    Event::Cancelled,
    Event::UnloadRequested,
    Event::QuiesceStarted,
    Event::LastHandleDropped,
    Event::UnloadStarted,
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
    let mut legal = 0;
    for state in STATES {
        for event in EVENTS {
            let names = [format!("{state:?}"), format!("{event:?}")];
            let row = table.iter().find(|row| row[..2] == names);
            let row = row.map(|row| [row[2].clone(), row[3].clone()]);
            let done = step(state, event).ok();
            let done = done.map(|(next, action)| [format!("{next:?}"), format!("{action:?}")]);
            assert_eq!(done, row, "{state:?} {event:?}");
            legal += usize::from(row.is_some());
        }
    }
    assert_eq!(legal, table.len(), "a row names no state or no event, or stands twice");
}

/// Runs a life from New, and tells its last state and what was done.
fn live(events: &[Event]) -> (State, Vec<Action>) {
    let mut state = State::New;
    let mut actions = Vec::new();
    for event in events {
        let (next, action) = step(state, *event).unwrap();
        state = next;
        actions.push(action);
    }
    (state, actions)
}

const TO_LOADING: [Event; 5] =
    [Event::LoadRequested, Event::EstimateStarted, Event::Estimated, Event::LoadApproved, Event::LoadStarted];

fn after_loading(events: &[Event]) -> (State, Vec<Action>) {
    let (state, actions) = live(&[&TO_LOADING, events].concat());
    (state, actions[TO_LOADING.len()..].to_vec())
}

#[test]
fn a_version_is_loaded_only_after_it_was_estimated_and_has_its_room() {
    let actions = vec![Action::QueueLoad, Action::Estimate, Action::Reserve, Action::QueueLoad, Action::Load];
    assert_eq!(live(&TO_LOADING), (State::Loading, actions));
}

#[test]
fn a_ready_version_is_unloaded_only_after_its_last_handle_is_dropped() {
    use Event::{
        LastHandleDropped, LoadSucceeded, QuiesceStarted, UnloadFinished, UnloadRequested, UnloadStarted,
    };
    let events =
        [LoadSucceeded, UnloadRequested, QuiesceStarted, LastHandleDropped, UnloadStarted, UnloadFinished];
    let actions = vec![
        Action::Publish,
        Action::Announce,
        Action::Withdraw,
        Action::QueueUnload,
        Action::Unload,
        Action::End,
    ];
    assert_eq!(after_loading(&events), (State::Disabled, actions));
}

#[test]
fn a_cancelled_load_that_succeeds_all_the_same_is_unloaded_without_ever_being_available() {
    use Event::{Cancelled, LoadSucceeded, UnloadFinished, UnloadStarted};
    let actions = vec![Action::Cancel, Action::QueueUnload, Action::Unload, Action::End];
    let events = [Cancelled, LoadSucceeded, UnloadStarted, UnloadFinished];
    assert_eq!(after_loading(&events), (State::Disabled, actions));
}

#[test]
fn a_cancelled_load_that_fails_did_not_fail() {
    let (state, actions) = after_loading(&[Event::Cancelled, Event::LoadFailed]);
    assert_eq!((state, actions), (State::Disabled, vec![Action::Cancel, Action::End]));
}

#[test]
fn an_attempt_that_failed_is_followed_by_a_wait_and_then_by_all_steps_of_another() {
    let (state, actions) =
        after_loading(&[&[Event::AttemptFailed, Event::WaitEnded], &TO_LOADING[1..]].concat());
    let wanted = vec![
        Action::Wait,
        Action::QueueLoad,
        Action::Estimate,
        Action::Reserve,
        Action::QueueLoad,
        Action::Load,
    ];
    assert_eq!((state, actions), (State::Loading, wanted));
}

#[test]
fn a_wait_between_attempts_ends_at_once_when_the_load_is_cancelled() {
    let (state, actions) = after_loading(&[Event::AttemptFailed, Event::Cancelled]);
    assert_eq!((state, actions), (State::Disabled, vec![Action::Wait, Action::End]));
}

#[test]
fn only_the_first_of_two_requests_succeeds() {
    let illegal = Illegal { state: State::LoadRequested, event: Event::LoadRequested };
    assert_eq!(step(State::LoadRequested, Event::LoadRequested), Err(illegal));
    assert_eq!(illegal.to_string(), "a version that is LoadRequested cannot take the event LoadRequested");
    let (unloading, _) = step(State::Ready, Event::UnloadRequested).unwrap();
    assert!(step(unloading, Event::UnloadRequested).is_err());
}

#[test]
fn every_state_is_over_or_coming_or_going_or_rests() {
    for state in STATES {
        let kinds = [state.is_over(), state.is_coming(), state.is_going()];
        let rests = matches!(state, State::New | State::Ready);
        assert_eq!(kinds.iter().filter(|kind| **kind).count(), usize::from(!rests), "{state:?}");
        let has_way_on = EVENTS.iter().any(|event| step(state, *event).is_ok());
        assert_eq!(has_way_on, !state.is_over(), "{state:?}");
        assert_eq!(step(state, Event::Cancelled).is_ok(), state.is_coming() || state == State::New);
    }
}
