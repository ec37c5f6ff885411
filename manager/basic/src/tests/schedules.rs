//! The registry under thousands of schedules: requests in any order, whatever comes of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use salver_core_resource::Allocation;
use salver_core_servable::{ServableId, Version};
use salver_core_status::{Code, Status};

use super::engine::Rules;
use super::world::{Deed, World};
use crate::{Retry, State};

const SCHEDULES: u64 = 10_000;

fn rules(world: u64) -> Rules {
    let total_resources =
        if world.is_multiple_of(3) { Allocation::none() } else { Allocation::ram_bytes(100) };
    Rules {
        load_slots: 1 + (world % 4) as usize,
        unload_slots: 1 + (world / 4 % 2) as usize,
        retry: Retry { max_retries: 2, ..Retry::default() },
        total_resources,
        order: world
            .is_multiple_of(5)
            .then(|| Arc::new(|one: &ServableId, other: &ServableId| other.cmp(one)) as _),
    }
}

/// Whether a request may be made of a version that stands there.
fn code(state: Option<State>, is_legal: impl Fn(State) -> bool) -> Option<Code> {
    match state {
        None => Some(Code::NotFound),
        Some(state) if is_legal(state) => None,
        Some(_) => Some(Code::FailedPrecondition),
    }
}

fn step(world: &mut World<()>, answers: &BTreeMap<&'static str, Arc<AtomicUsize>>) {
    let name = world.dice.pick(&["a", "b"]);
    let id = ServableId::new(name, Version::new(world.dice.roll(4) as i64).unwrap());
    let state = world.core.registry().state(&id);
    let done = || {
        answers["asked"].fetch_add(1, Ordering::Relaxed);
        let answered = Arc::clone(&answers["answered"]);
        Box::new(move |_: Result<(), Status>| {
            answered.fetch_add(1, Ordering::Relaxed);
        })
    };
    // Mostly what brings the version further.
    let further = match state {
        None => 0,
        Some(State::New) => 3,
        Some(State::Ready) => 6,
        Some(_) => 11,
    };
    let choice = if world.dice.chance(60) { further } else { world.dice.roll(12) };
    let (wanted, result) = match choice {
        0..=2 => {
            let is_bad = world.dice.chance(10);
            let token = world.token();
            let data = if is_bad { Err(Status::data_loss("lost")) } else { Ok(token) };
            let wanted = state.map(|_| Code::FailedPrecondition);
            (wanted, world.act(|_, registry| registry.manage(id, data)))
        }
        3..=5 => {
            let done = done();
            let result = world.act(|_, registry| {
                let result = registry.request_load(&id);
                match &result {
                    Ok(()) => registry.when_done(&id, done),
                    Err(error) => registry.answer(done, Err(error.clone())),
                }
                result
            });
            (code(state, |state| state == State::New), result)
        }
        6..=7 => {
            let done = done();
            let result = world.act(|_, registry| {
                let result = registry.request_unload(&id);
                match &result {
                    Ok(()) => registry.when_done(&id, done),
                    Err(error) => registry.answer(done, Err(error.clone())),
                }
                result
            });
            (code(state, |state| state == State::Ready), result)
        }
        8 => {
            let wanted = code(state, |state| state == State::New || state.is_coming());
            (wanted, world.act(|_, registry| registry.cancel(&id)))
        }
        9 => {
            let token = world.token();
            let is_free = |state: State| {
                matches!(state, State::New | State::LoadRequested | State::LoadApproved | State::Retrying)
            };
            (code(state, is_free), world.act(|_, registry| registry.renew(&id, Ok(token))))
        }
        10 => {
            world.act(|_, registry| registry.revive_what_fits());
            (None, Ok(()))
        }
        _ => {
            let wanted = code(state, |state| state == State::New || state.is_over());
            (wanted, world.act(|_, registry| registry.stop_managing(&id)))
        }
    };
    assert_eq!(result.err().map(|error| error.code()), wanted);
}

#[test]
fn whatever_is_asked_for_and_whatever_comes_of_it_nothing_is_done_that_must_not_be_and_nothing_is_left() {
    let mut n_jobs = 0;
    for seed in 0..SCHEDULES {
        let answers = BTreeMap::from([("asked", Arc::default()), ("answered", Arc::default())]);
        let mut world = World::new(rules(seed), (), seed);
        for _ in 0..100 {
            match world.dice.roll(10) {
                0..=4 => step(&mut world, &answers),
                5 => {
                    let time = Duration::from_millis(world.dice.roll(2000));
                    world.pass_time(time);
                }
                6 if world.dice.chance(10) => {
                    let slots = 1 + world.dice.roll(4) as usize;
                    world.set_load_slots(slots);
                }
                _ => {
                    world.progress();
                }
            }
        }
        world.rest();
        for Deed::Load(id, beside) | Deed::Withdraw(id, beside) in world.take_log() {
            assert!(!beside.contains(&id));
        }
        let count = |what| answers[what].load(Ordering::Relaxed);
        assert_eq!(count("asked"), count("answered"), "everybody is answered once");
        n_jobs += world.n_jobs;
        world.end();
    }
    assert!(n_jobs > SCHEDULES as usize * 10, "the schedules are idle");
}
