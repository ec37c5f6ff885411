//! The cache alone: what it wants done, step by step.

use std::fmt;
use std::time::{Duration, Instant};

use salver_core_servable::{ServableId, Version};
use salver_core_status::{Code, Status};

use crate::cache::Cache;
use crate::entry::{Command, Rules, Size, Waiter};
use crate::{BackOff, Eviction};

fn id(name: &str, number: i64) -> ServableId {
    ServableId::new(name, Version::new(number).unwrap())
}

/// A cache, its time, and what it wants done, as text. Those who wait are answered by their number.
struct World {
    cache: Cache<(), u64>,
    now: Instant,
}

impl World {
    fn new(budget_bytes: u64) -> Self {
        let (eviction, back_off) = (Eviction::LeastRecentlyUsed, BackOff::default());
        let now = Instant::now();
        let rules = Rules { budget_bytes, eviction, back_off, max_failures: 8, max_pending: 3 };
        Self { cache: Cache::new(rules, now), now }
    }

    fn ask(&mut self, number: u64, name: &str, version: Option<i64>) -> Vec<String> {
        self.now += Duration::from_millis(1);
        let waiter = Waiter { number, answer: number };
        let version = version.map(|number| Version::new(number).unwrap());
        show(self.cache.request(&name.into(), version, waiter, self.now))
    }

    fn latest(&mut self, name: &str, outcome: Result<i64, Status>) -> Vec<String> {
        let outcome = outcome.map(|number| Version::new(number).unwrap());
        show(self.cache.latest_known(&name.into(), outcome, self.now))
    }

    fn made(&mut self, id: &ServableId, bytes: u64) -> Vec<String> {
        let size = Size { loading: bytes, loaded: bytes };
        show(self.cache.made(id, Ok(((), size)), self.now))
    }

    fn load_ended(&mut self, id: &ServableId, outcome: Result<(), Status>) -> Vec<String> {
        self.now += Duration::from_millis(1);
        show(self.cache.load_ended(id, outcome, self.now))
    }

    fn unload_ended(&mut self, id: &ServableId) -> Vec<String> {
        show(self.cache.unload_ended(id, self.now))
    }

    fn offer(&mut self, name: &str, versions: &[i64], at_once: bool) -> Vec<String> {
        let versions = versions.iter().map(|number| Version::new(*number).unwrap()).collect();
        show(self.cache.offer(&name.into(), versions, at_once, self.now))
    }

    /// Loads a version as the latest of its stream.
    fn load_latest(&mut self, id: &ServableId) {
        self.ask(0, id.name.as_str(), None);
        self.latest(id.name.as_str(), Ok(id.version.number()));
        self.made(id, 1);
        self.load_ended(id, Ok(()));
    }

    /// Loads a version that nobody has asked for before.
    fn load(&mut self, id: &ServableId, bytes: u64) {
        self.ask(0, id.name.as_str(), Some(id.version.number()));
        assert_eq!(self.made(id, bytes), [format!("load {id}")]);
        assert_eq!(self.load_ended(id, Ok(())), [format!("0: {id}")]);
    }
}

fn show<L>(commands: Vec<Command<L, u64>>) -> Vec<String> {
    let one = |command| -> String {
        match command {
            Command::AskLatest(name) => format!("latest of {name}?"),
            Command::Make(id) => format!("make {id}"),
            Command::Load(id, ..) => format!("load {id}"),
            Command::Unload(id) => format!("unload {id}"),
            Command::Label(name, Some(version)) => format!("latest of {name} is {version}"),
            Command::Label(name, None) => format!("latest of {name} is none"),
            Command::Answer(number, Ok(id)) => format!("{number}: {id}"),
            Command::Answer(number, Err(status)) => format!("{number}: {status}"),
            Command::Drop(_) => "drop".to_owned(),
        }
    };
    commands.into_iter().map(one).collect()
}

fn check<T: fmt::Debug + PartialEq<str>>(found: &[T], expected: &[&str]) {
    assert!(found.iter().eq(expected.iter().copied()), "{found:?}, wanted {expected:?}");
}

#[test]
fn any_number_of_requests_for_one_version_wait_for_one_load() {
    let mut world = World::new(10);
    check(&world.ask(1, "m", Some(3)), &["make m:3"]);
    check(&world.ask(2, "m", Some(3)), &[]);
    check(&world.made(&id("m", 3), 4), &["load m:3"]);
    check(&world.ask(3, "m", Some(3)), &[]);
    check(&world.load_ended(&id("m", 3), Ok(())), &["1: m:3", "2: m:3", "3: m:3"]);
    check(&world.ask(4, "m", Some(3)), &["4: m:3"]);
    let (levels, counts) = (world.cache.levels(), world.cache.counts());
    assert_eq!((levels.used_bytes, levels.loaded, levels.waiting), (4, 1, 0));
    assert_eq!((counts.misses, counts.loads), (4, 1));
}

#[test]
fn the_latest_version_is_asked_for_once_and_is_one_load_with_requests_for_its_number() {
    let mut world = World::new(10);
    check(&world.ask(1, "m", None), &["latest of m?"]);
    check(&world.ask(2, "m", None), &[]);
    check(&world.ask(3, "m", Some(7)), &["make m:7"]);
    check(&world.latest("m", Ok(7)), &[]);
    check(&world.ask(4, "m", None), &[]);
    world.made(&id("m", 7), 1);
    let answers = ["3: m:7", "1: m:7", "2: m:7", "4: m:7", "latest of m is 7"];
    check(&world.load_ended(&id("m", 7), Ok(())), &answers);
    check(&world.ask(5, "m", None), &["5: m:7"]);
}

#[test]
fn a_loaded_version_that_turns_out_to_be_the_latest_is_not_loaded_again() {
    let mut world = World::new(10);
    world.load(&id("m", 42), 1);
    check(&world.ask(1, "m", None), &["latest of m?"]);
    check(&world.latest("m", Ok(42)), &["1: m:42", "latest of m is 42"]);
}

#[test]
fn a_newer_latest_version_is_loaded_beside_the_old_which_is_found_until_then() {
    let mut world = World::new(10);
    world.ask(1, "m", None);
    world.latest("m", Ok(1));
    world.made(&id("m", 1), 1);
    world.load_ended(&id("m", 1), Ok(()));
    check(&show(world.cache.refresh(&"m".into(), world.now)), &["latest of m?"]);
    check(&show(world.cache.refresh(&"m".into(), world.now)), &[]);
    check(&world.latest("m", Ok(2)), &["make m:2"]);
    check(&world.made(&id("m", 2), 1), &["load m:2"]);
    check(&world.load_ended(&id("m", 2), Ok(())), &["latest of m is 2"]);
}

#[test]
fn a_newer_latest_version_that_fails_leaves_the_old_one_and_is_not_tried_again_at_once() {
    let mut world = World::new(10);
    world.ask(1, "m", None);
    world.latest("m", Ok(1));
    world.made(&id("m", 1), 1);
    world.load_ended(&id("m", 1), Ok(()));
    world.cache.refresh(&"m".into(), world.now);
    world.latest("m", Ok(2));
    world.made(&id("m", 2), 1);
    check(&world.load_ended(&id("m", 2), Err(Status::data_loss("bad"))), &[]);
    check(&show(world.cache.refresh(&"m".into(), world.now)), &[]);
    world.now += Duration::from_secs(1);
    check(&show(world.cache.refresh(&"m".into(), world.now)), &["latest of m?"]);
}

#[test]
fn what_was_used_longest_ago_goes_at_once_and_its_room_is_free_once_it_is_unloaded() {
    let mut world = World::new(10);
    world.load(&id("a", 1), 4);
    world.load(&id("b", 1), 4);
    world.ask(0, "a", Some(1));
    world.ask(1, "c", Some(1));
    check(&world.made(&id("c", 1), 3), &["unload b:1"]);
    check(&world.ask(2, "b", Some(1)), &[]);
    assert_eq!(world.cache.levels().used_bytes, 8);
    check(&world.unload_ended(&id("b", 1)), &["make b:1", "load c:1"]);
    check(&world.load_ended(&id("c", 1), Ok(())), &["1: c:1"]);
    check(&world.made(&id("b", 1), 4), &["unload a:1"]);
    check(&world.unload_ended(&id("a", 1)), &["load b:1"]);
    check(&world.load_ended(&id("b", 1), Ok(())), &["2: b:1"]);
    assert_eq!(world.cache.counts().evictions, 2);
}

#[test]
fn those_who_wait_for_room_get_it_in_their_order() {
    let mut world = World::new(10);
    world.load(&id("a", 1), 9);
    world.ask(1, "large", Some(1));
    world.ask(2, "small", Some(1));
    check(&world.made(&id("large", 1), 8), &["unload a:1"]);
    check(&world.made(&id("small", 1), 1), &[]);
    check(&world.unload_ended(&id("a", 1)), &["load large:1", "load small:1"]);
}

#[test]
fn nothing_is_evicted_while_that_would_not_suffice_and_what_is_being_loaded_stays() {
    let mut world = World::new(10);
    world.load(&id("a", 1), 3);
    world.ask(1, "b", Some(1));
    check(&world.made(&id("b", 1), 7), &["load b:1"]);
    world.ask(2, "c", Some(1));
    check(&world.made(&id("c", 1), 5), &[]);
    check(&world.load_ended(&id("b", 1), Ok(())), &["1: b:1", "unload b:1"]);
}

#[test]
fn a_load_that_fails_makes_room() {
    let mut world = World::new(10);
    world.ask(1, "a", Some(1));
    world.made(&id("a", 1), 9);
    world.ask(2, "b", Some(1));
    check(&world.made(&id("b", 1), 9), &[]);
    check(&world.load_ended(&id("a", 1), Err(Status::data_loss("bad"))), &["1: bad", "load b:1"]);
    assert_eq!(world.cache.levels().used_bytes, 9);
}

#[test]
fn what_is_larger_than_the_whole_budget_is_refused_with_the_figures() {
    let mut world = World::new(10);
    world.load(&id("a", 1), 9);
    world.ask(1, "m", Some(3));
    let refused = "1: version 3 of `m` does not fit: wants 11 bytes, the whole budget is 10";
    check(&world.made(&id("m", 3), 11), &["drop", refused]);
    assert_eq!(world.cache.levels().loaded, 1, "nothing was evicted for it");
}

#[test]
fn a_pinned_version_stays_and_what_does_not_fit_beside_it_is_refused_until_it_is_unpinned() {
    let mut world = World::new(10);
    world.cache.pin(id("a", 1), world.now);
    world.cache.pin(id("a", 1), world.now);
    world.load(&id("a", 1), 6);
    world.load(&id("b", 1), 4);
    world.ask(1, "c", Some(1));
    check(&world.made(&id("c", 1), 2), &["unload b:1"]);
    check(&world.unload_ended(&id("b", 1)), &["load c:1"]);
    world.load_ended(&id("c", 1), Ok(()));

    let refused = "2: version 1 of `d` does not fit: wants 5 bytes, 6 of the budget of 10 are pinned";
    world.ask(2, "d", Some(1));
    check(&world.made(&id("d", 1), 5), &["drop", refused]);
    assert!(world.cache.unpin(&id("a", 1), world.now).0);
    world.ask(2, "d", Some(1));
    check(&world.made(&id("d", 1), 5), &["drop", refused]);
    assert!(world.cache.unpin(&id("a", 1), world.now).0);
    assert!(!world.cache.unpin(&id("a", 1), world.now).0);
    world.ask(3, "d", Some(1));
    check(&world.made(&id("d", 1), 5), &["unload a:1"]);
}

#[test]
fn a_pin_refuses_who_already_waits_for_the_room() {
    let mut world = World::new(10);
    world.ask(1, "a", Some(1));
    world.made(&id("a", 1), 6);
    world.ask(2, "b", Some(1));
    check(&world.made(&id("b", 1), 6), &[]);
    let refused = "2: version 1 of `b` does not fit: wants 6 bytes, 6 of the budget of 10 are pinned";
    check(&show(world.cache.pin(id("a", 1), world.now)), &["drop", refused]);
}

#[test]
fn what_a_pinned_version_takes_only_while_it_is_being_loaded_is_waited_for() {
    let mut world = World::new(10);
    world.cache.pin(id("a", 1), world.now);
    world.ask(1, "a", Some(1));
    let size = Size { loading: 8, loaded: 4 };
    check(&show(world.cache.made(&id("a", 1), Ok(((), size)), world.now)), &["load a:1"]);
    world.ask(2, "b", Some(1));
    check(&world.made(&id("b", 1), 5), &[]);
    check(&world.load_ended(&id("a", 1), Ok(())), &["1: a:1", "load b:1"]);
}

#[test]
fn no_more_than_so_many_wait_to_be_loaded_and_who_is_refused_may_come_again() {
    let mut world = World::new(10);
    world.ask(1, "a", Some(1));
    world.ask(2, "b", None);
    world.ask(3, "c", Some(1));
    let refused = |number| format!("{number}: 3 other versions wait to be loaded, which is the limit");
    assert_eq!(world.ask(4, "d", Some(1)), [refused(4)]);
    assert_eq!(world.ask(5, "d", None), [refused(5)]);
    check(&world.ask(6, "a", Some(1)), &[]);
    world.made(&id("a", 1), 1);
    check(&world.ask(7, "d", Some(1)), &["make d:1"]);
}

#[test]
fn a_failure_is_answered_at_once_until_its_wait_is_over_and_may_then_succeed() {
    let mut world = World::new(10);
    world.ask(1, "m", Some(3));
    world.made(&id("m", 3), 1);
    check(&world.load_ended(&id("m", 3), Err(Status::data_loss("bad"))), &["1: bad"]);
    let again = "2: bad (failed before; tried again in 1.0 s at the earliest)";
    check(&world.ask(2, "m", Some(3)), &[again]);
    assert_eq!(world.cache.counts().refusals, 1);
    world.now += Duration::from_secs(1);
    check(&world.ask(3, "m", Some(3)), &["make m:3"]);
    world.made(&id("m", 3), 1);
    check(&world.load_ended(&id("m", 3), Ok(())), &["3: m:3"]);
}

#[test]
fn a_latest_version_that_failed_is_not_asked_for_again_at_once() {
    let mut world = World::new(10);
    world.ask(1, "m", None);
    world.latest("m", Ok(3));
    check(&show(world.cache.made(&id("m", 3), Err(Status::not_found("gone")), world.now)), &["1: gone"]);
    let again = "2: gone (failed before; tried again in 1.0 s at the earliest)";
    check(&world.ask(2, "m", None), &[again]);
    world.now += Duration::from_secs(1);
    check(&world.ask(3, "m", None), &["latest of m?"]);
    check(&world.latest("m", Err(Status::not_found("no such stream"))), &["3: no such stream"]);
    world.now += Duration::from_millis(1500);
    let longer = "4: no such stream (failed before; tried again in 0.5 s at the earliest)";
    check(&world.ask(4, "m", None), &[longer]);
}

#[test]
fn who_leaves_harms_no_load_and_what_waits_for_room_is_forgotten_with_the_last_of_them() {
    let mut world = World::new(10);
    world.ask(1, "a", Some(1));
    assert_eq!(world.cache.leave(&"a".into(), 1, world.now).0, Some(1));
    assert_eq!(world.cache.leave(&"a".into(), 1, world.now).0, None);
    check(&world.made(&id("a", 1), 9), &["load a:1"]);

    world.ask(2, "b", Some(1));
    world.ask(3, "b", Some(1));
    world.ask(4, "c", Some(1));
    world.made(&id("b", 1), 9);
    check(&world.made(&id("c", 1), 1), &[]);
    assert!(world.cache.leave(&"b".into(), 3, world.now).1.is_empty());
    check(&show(world.cache.leave(&"b".into(), 2, world.now).1), &["drop", "load c:1"]);
    check(&world.load_ended(&id("a", 1), Ok(())), &[]);
    check(&world.load_ended(&id("c", 1), Ok(())), &["4: c:1"]);
    assert_eq!(world.cache.levels().used_bytes, 10);
}

#[test]
fn who_asks_for_the_latest_version_may_leave_as_well() {
    let mut world = World::new(10);
    world.ask(1, "a", None);
    world.ask(2, "a", None);
    assert_eq!(world.cache.leave(&"a".into(), 1, world.now).0, Some(1));
    world.latest("a", Ok(1));
    assert_eq!(world.cache.leave(&"a".into(), 2, world.now).0, Some(2));
    assert_eq!(world.cache.levels().waiting, 0);
}

#[test]
fn an_evicted_latest_version_is_found_no_more_and_asked_for_anew() {
    let mut world = World::new(10);
    world.ask(1, "a", None);
    world.latest("a", Ok(1));
    world.made(&id("a", 1), 9);
    world.load_ended(&id("a", 1), Ok(()));
    world.ask(2, "b", Some(1));
    check(&world.made(&id("b", 1), 9), &["latest of a is none", "unload a:1"]);
    check(&world.ask(3, "a", None), &["latest of a?"]);
    check(&world.latest("a", Ok(1)), &[]);
    check(&world.unload_ended(&id("a", 1)), &["make a:1", "load b:1"]);
    check(&world.load_ended(&id("b", 1), Ok(())), &["2: b:1"]);
    check(&world.made(&id("a", 1), 9), &["unload b:1"]);
}

#[test]
fn what_turns_out_larger_than_estimated_puts_others_out_and_what_turns_out_smaller_makes_room() {
    let mut world = World::new(10);
    world.load(&id("a", 1), 5);
    world.ask(1, "b", Some(1));
    let mut measured = |id: &ServableId, estimate, bytes| {
        let size = Size { loading: estimate, loaded: estimate };
        for command in world.cache.made(id, Ok(((), size)), world.now) {
            if let Command::Load(_, (), meter) = command {
                meter.measure(bytes);
            }
        }
        world.load_ended(id, Ok(()))
    };
    check(&measured(&id("b", 1), 5, 7), &["1: b:1", "unload a:1"]);
    world.unload_ended(&id("a", 1));
    assert_eq!(world.cache.levels().used_bytes, 7);
    world.load(&id("c", 1), 3);
    world.ask(1, "c", Some(2));
    assert_eq!(world.made(&id("c", 2), 2), ["unload b:1"]);
}

#[test]
fn what_loading_takes_beyond_the_loaded_version_is_free_afterwards() {
    let mut world = World::new(10);
    world.ask(1, "a", Some(1));
    world.ask(2, "b", Some(1));
    let size = Size { loading: 9, loaded: 4 };
    check(&show(world.cache.made(&id("a", 1), Ok(((), size)), world.now)), &["load a:1"]);
    check(&show(world.cache.made(&id("b", 1), Ok(((), size)), world.now)), &[]);
    check(&world.load_ended(&id("a", 1), Ok(())), &["1: a:1", "unload a:1"]);
    check(&world.unload_ended(&id("a", 1)), &["load b:1"]);
}

#[test]
fn closing_answers_everybody_and_takes_in_no_more() {
    let mut world = World::new(10);
    world.ask(1, "a", Some(1));
    world.made(&id("a", 1), 9);
    world.ask(2, "b", Some(1));
    world.made(&id("b", 1), 9);
    world.ask(3, "c", None);
    world.ask(4, "d", Some(1));
    let mut answers = show(world.cache.close());
    answers.sort();
    let text = "the manager is shutting down";
    let all = [1, 2, 3, 4].map(|number| format!("{number}: {text}"));
    assert_eq!(answers[..4], all);
    assert_eq!(answers[4..], ["drop"]);
    check(&world.made(&id("d", 1), 1), &["drop"]);
    check(&world.latest("c", Ok(1)), &[]);
    check(&world.load_ended(&id("a", 1), Ok(())), &[]);
    assert_eq!(world.ask(5, "a", Some(2)), [format!("5: {text}")]);
    let status = Status::unavailable(text);
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(world.cache.levels().waiting, 0);
}

#[test]
fn a_version_that_is_not_offered_any_more_goes_when_its_successor_is_there() {
    let mut world = World::new(10);
    check(&world.offer("m", &[1], false), &[]);
    world.load_latest(&id("m", 1));
    check(&world.offer("m", &[2], false), &["latest of m?"]);
    check(&world.latest("m", Ok(2)), &["make m:2"]);
    world.made(&id("m", 2), 1);
    check(&world.load_ended(&id("m", 2), Ok(())), &["latest of m is 2", "unload m:1"]);
    check(&world.unload_ended(&id("m", 1)), &[]);
    assert_eq!(world.cache.counts().evictions, 0, "nobody made room");
}

#[test]
fn where_memory_comes_first_it_goes_before_its_successor_comes() {
    let mut world = World::new(10);
    world.load_latest(&id("m", 1));
    check(&world.offer("m", &[2], true), &["latest of m?", "latest of m is none", "unload m:1"]);
}

#[test]
fn a_stream_of_which_nothing_is_offered_any_more_goes_at_once_pinned_or_not() {
    let mut world = World::new(10);
    world.load_latest(&id("m", 1));
    world.cache.pin(id("m", 1), world.now);
    check(&world.offer("m", &[], false), &["latest of m is none", "unload m:1"]);
}

#[test]
fn a_successor_that_fails_leaves_the_version_that_is_not_offered_any_more() {
    let mut world = World::new(10);
    world.load_latest(&id("m", 1));
    world.offer("m", &[2], false);
    world.latest("m", Ok(2));
    world.made(&id("m", 2), 1);
    check(&world.load_ended(&id("m", 2), Err(Status::data_loss("bad"))), &[]);
    check(&world.ask(1, "m", Some(1)), &["1: m:1"]);
    check(&world.offer("m", &[3], false), &["latest of m?"]);
}

#[test]
fn a_version_that_is_offered_again_before_it_went_stays() {
    let mut world = World::new(10);
    world.load_latest(&id("m", 1));
    world.offer("m", &[2], false);
    check(&world.offer("m", &[1], false), &[]);
    check(&world.latest("m", Ok(2)), &["latest of m?"]);
    check(&world.latest("m", Ok(1)), &[]);
    check(&world.ask(1, "m", None), &["1: m:1"]);
}

#[test]
fn what_is_being_loaded_and_is_not_offered_any_more_answers_those_who_wait_and_goes() {
    let mut world = World::new(10);
    world.ask(1, "m", Some(1));
    world.made(&id("m", 1), 1);
    check(&world.offer("m", &[], false), &[]);
    check(&world.load_ended(&id("m", 1), Ok(())), &["1: m:1", "unload m:1"]);
}

#[test]
fn an_offer_of_what_failed_lets_it_be_tried_again_at_once() {
    let mut world = World::new(10);
    world.ask(1, "m", None);
    world.latest("m", Ok(1));
    world.made(&id("m", 1), 1);
    world.load_ended(&id("m", 1), Err(Status::data_loss("bad")));
    assert!(world.ask(2, "m", None)[0].starts_with("2: bad (failed before"));
    check(&world.offer("m", &[1], false), &[]);
    check(&world.ask(3, "m", None), &["latest of m?"]);
    check(&world.offer("n", &[1], false), &[]);
    check(&world.ask(4, "n", Some(1)), &["make n:1"]);
}
