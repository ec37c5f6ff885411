//! Who gets room first, by the registry alone.

use salver_core_resource::Allocation;
use salver_core_servable::ServableId;

use super::engine::Rules;
use super::loaders::id;
use super::world::{Token, World};
use crate::{Retry, State};

/// So many bytes, and as many threads as wanted.
fn world(bytes: u64) -> World<()> {
    let rules = Rules {
        load_slots: 9,
        unload_slots: 9,
        retry: Retry::default(),
        total_resources: Allocation::ram_bytes(bytes),
        order: None,
    };
    let mut world = World::new(rules, (), 0);
    world.is_tame = true;
    world
}

/// Has a version loaded that takes so many bytes while it is being loaded, and afterwards; up to where its room is
/// decided about.
fn request(world: &mut World<()>, number: i64, loading: u64, loaded: u64) -> ServableId {
    let id = id("m", number);
    let token: Token = world.token_of(loading, loaded);
    world.act(|_, registry| {
        registry.manage(id.clone(), Ok(token)).unwrap();
        registry.request_load(&id).unwrap();
    });
    world.finish_estimate(&id);
    id
}

fn load(world: &mut World<()>, number: i64, bytes: u64) -> ServableId {
    let id = request(world, number, bytes, bytes);
    world.rest();
    assert_eq!(state(world, &id), State::Ready);
    id
}

fn state(world: &World<()>, id: &ServableId) -> State {
    world.core.registry().state(id).unwrap()
}

fn unload(world: &mut World<()>, id: &ServableId) {
    world.act(|_, registry| registry.request_unload(id)).unwrap();
}

#[test]
fn of_those_who_wait_the_first_gets_room_first() {
    let mut world = world(100);
    let old = load(&mut world, 1, 100);
    unload(&mut world, &old);
    let first = request(&mut world, 2, 60, 60);
    let second = request(&mut world, 3, 60, 60);
    assert_eq!([&first, &second].map(|id| state(&world, id)), [State::LoadRequested; 2]);
    world.rest();
    assert_eq!([&first, &second].map(|id| state(&world, id)), [State::Ready, State::Failed]);
    world.end();
}

#[test]
fn one_that_fits_goes_past_those_who_wait_when_it_takes_nothing_that_they_are_to_get() {
    let mut world = world(100);
    let old = load(&mut world, 1, 60);
    unload(&mut world, &old);
    let large = request(&mut world, 2, 70, 70);
    let small = request(&mut world, 3, 30, 30);
    assert_eq!([&large, &small].map(|id| state(&world, id)), [State::LoadRequested, State::Loading]);
    world.rest();
    assert_eq!([&large, &small].map(|id| state(&world, id)), [State::Ready, State::Ready]);
    world.end();
}

#[test]
fn one_that_would_take_what_another_waits_for_does_not_go_past_it() {
    let mut world = world(100);
    let old = load(&mut world, 1, 60);
    unload(&mut world, &old);
    let large = request(&mut world, 2, 70, 70);
    let small = request(&mut world, 3, 40, 40);
    assert_eq!([&large, &small].map(|id| state(&world, id)), [State::LoadRequested; 2]);
    // Nor does anybody go past one that waits for another: it would never get its turn.
    let tiny = request(&mut world, 4, 1, 1);
    assert_eq!(state(&world, &tiny), State::LoadRequested);
    world.rest();
    let states = [&large, &small, &tiny].map(|id| state(&world, id));
    assert_eq!(states, [State::Ready, State::Failed, State::Ready]);
    world.end();
}

#[test]
fn one_that_will_not_fit_when_all_is_gone_that_is_on_its_way_out_is_refused_at_once() {
    let mut world = world(100);
    load(&mut world, 1, 50);
    let old = load(&mut world, 2, 50);
    unload(&mut world, &old);
    let large = request(&mut world, 3, 60, 60);
    assert_eq!(state(&world, &large), State::Failed);
    world.end();
}

#[test]
fn one_that_is_called_off_lets_those_behind_it_have_their_turn() {
    let mut world = world(100);
    let old = load(&mut world, 1, 60);
    unload(&mut world, &old);
    let large = request(&mut world, 2, 70, 70);
    let small = request(&mut world, 3, 40, 40);
    world.act(|_, registry| registry.cancel(&large)).unwrap();
    assert_eq!([&large, &small].map(|id| state(&world, id)), [State::Disabled, State::Loading]);
    world.end();
}

#[test]
fn what_a_cancelled_load_has_reserved_is_waited_for() {
    let mut world = world(100);
    let first = request(&mut world, 1, 100, 100);
    assert_eq!(state(&world, &first), State::Loading);
    let second = request(&mut world, 2, 100, 100);
    assert_eq!(state(&world, &second), State::Failed, "nothing was on its way out");
    world.act(|_, registry| registry.cancel(&first)).unwrap();
    let third = request(&mut world, 3, 100, 100);
    assert_eq!(state(&world, &third), State::LoadRequested);
    world.rest();
    assert_eq!(state(&world, &third), State::Ready);
    world.end();
}

#[test]
fn one_that_was_refused_is_new_again_when_it_would_fit_and_only_then() {
    let mut world = world(100);
    let old = load(&mut world, 1, 50);
    let refused = request(&mut world, 2, 100, 100);
    let smaller = request(&mut world, 3, 60, 60);
    world.act(|_, registry| registry.revive_what_fits());
    assert_eq!([&refused, &smaller].map(|id| state(&world, id)), [State::Failed; 2]);
    unload(&mut world, &old);
    world.rest();
    world.act(|_, registry| registry.revive_what_fits());
    assert_eq!([&refused, &smaller].map(|id| state(&world, id)), [State::New, State::Failed]);
    world.end();
}
