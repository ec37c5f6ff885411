use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use salver_core_loader::{Aspired, AspiredVersions, SharedTarget, Target};
use salver_core_servable::{StreamName, Version};
use salver_core_status::{Code, Status};

use crate::{DynamicRouter, Router, StaticRouter};

/// What was said: the port, the stream, and its versions or `None` for trouble.
type Said = Vec<(usize, String, Option<Vec<i64>>)>;

/// Targets that write down, in one list, what they are told.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Said>>);

struct Port(usize, Record);

impl Target<u32> for Port {
    fn set_aspired(&self, aspired: AspiredVersions<u32>) {
        let numbers = |versions: Vec<Aspired<u32>>| versions.iter().map(|one| one.version.number()).collect();
        let versions = aspired.versions.ok().map(numbers);
        self.1.0.lock().unwrap().push((self.0, aspired.stream.as_str().to_owned(), versions));
    }
}

impl Record {
    fn targets(&self, count: usize) -> Vec<SharedTarget<u32>> {
        (0..count).map(|port| Arc::new(Port(port, self.clone())) as SharedTarget<u32>).collect()
    }

    /// What was said since this was last asked.
    fn said(&self) -> Said {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn set(stream: &str, numbers: &[i64]) -> AspiredVersions<u32> {
    let one = |number: &i64| Aspired { version: Version::new(*number).unwrap(), revision: 0, data: Ok(7) };
    AspiredVersions { stream: stream.into(), versions: Ok(numbers.iter().map(one).collect()) }
}

fn trouble(stream: &str) -> AspiredVersions<u32> {
    AspiredVersions { stream: stream.into(), versions: Err(Status::not_found("no directory")) }
}

fn said(port: usize, stream: &str, numbers: &[i64]) -> (usize, String, Option<Vec<i64>>) {
    (port, stream.to_owned(), Some(numbers.to_vec()))
}

fn routes(routes: &[(&str, usize)]) -> BTreeMap<StreamName, usize> {
    routes.iter().map(|(stream, port)| (StreamName::from(*stream), *port)).collect()
}

#[test]
fn the_first_part_that_a_name_contains_decides_and_the_last_port_takes_the_rest() {
    let record = Record::default();
    let router = StaticRouter::new(vec!["cat".into(), "dog".into()], record.targets(3)).unwrap();
    for stream in ["a-dog", "a-dog-and-a-cat", "a-horse", "cats"] {
        router.set_aspired(set(stream, &[1]));
    }
    let wanted = [
        said(1, "a-dog", &[1]),
        said(0, "a-dog-and-a-cat", &[1]),
        said(2, "a-horse", &[1]),
        said(0, "cats", &[1]),
    ];
    assert_eq!(record.said(), wanted);
}

#[test]
fn a_static_router_wants_one_target_more_than_it_has_parts() {
    let status = StaticRouter::new(vec!["a".into()], Record::default().targets(1)).unwrap_err();
    assert_eq!(status, Status::invalid_argument("1 parts of names want one target more, not 1"));
}

#[test]
fn what_goes_to_no_port_is_counted_and_nobody_is_told() {
    let record = Record::default();
    let route = |aspired: &AspiredVersions<u32>| aspired.stream.as_str().parse().ok();
    let router = Router::new(route, record.targets(2));
    for stream in ["none", "2", "1"] {
        router.set_aspired(set(stream, &[4]));
    }
    assert_eq!(record.said(), [said(1, "1", &[4])]);
    assert_eq!((router.discarded(), router.port("none"), router.port("1")), (2, None, Some(1)));
}

#[test]
fn a_stream_that_moves_leaves_its_old_port_with_an_empty_set_before_it_arrives_at_the_new() {
    let record = Record::default();
    let port = Arc::new(AtomicUsize::new(0));
    let current = Arc::clone(&port);
    let router =
        Router::new(move |_: &AspiredVersions<u32>| Some(current.load(Ordering::Relaxed)), record.targets(2));
    router.set_aspired(set("m", &[1, 2]));
    port.store(1, Ordering::Relaxed);
    router.set_aspired(trouble("m"));
    assert_eq!(record.said(), [said(0, "m", &[1, 2]), (0, "m".into(), None)], "trouble moves nothing");
    router.set_aspired(set("m", &[2, 3]));
    assert_eq!(record.said(), [said(0, "m", &[]), said(1, "m", &[2, 3])]);
    port.store(9, Ordering::Relaxed);
    router.set_aspired(set("m", &[4]));
    assert_eq!(record.said(), [said(1, "m", &[])], "moved to nowhere");
}

#[test]
fn an_empty_set_goes_where_the_stream_is_whatever_its_route_has_become() {
    let record = Record::default();
    let route = |aspired: &AspiredVersions<u32>| Some(aspired.versions.as_ref().map_or(0, Vec::len));
    let router = Router::new(route, record.targets(3));
    router.set_aspired(set("m", &[1, 2]));
    router.set_aspired(set("m", &[]));
    assert_eq!(record.said(), [said(2, "m", &[1, 2]), said(2, "m", &[])]);
    assert_eq!(router.port("m"), None);
    router.set_aspired(set("m", &[]));
    assert_eq!(record.said(), [said(0, "m", &[])], "a stream that is nowhere is routed");
}

#[test]
fn routes_to_a_port_that_there_is_not_or_to_the_default_one_are_refused_and_change_nothing() {
    let record = Record::default();
    for port in [1, 2] {
        let status = DynamicRouter::new(routes(&[("m", port)]), record.targets(2)).unwrap_err();
        let wanted = format!("route of `m` leads to port {port}, wanted one below 1, which is the default");
        assert_eq!(status, Status::invalid_argument(wanted));
    }
    let none = DynamicRouter::<u32>::new(routes(&[]), Vec::new()).unwrap_err();
    assert_eq!(none.code(), Code::InvalidArgument);

    let router = DynamicRouter::new(routes(&[("m", 0)]), record.targets(2)).unwrap();
    router.set_aspired(set("m", &[1]));
    record.said();
    let status = router.update(routes(&[("a", 0), ("m", 5)])).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    router.set_aspired(set("m", &[2]));
    assert_eq!(record.said(), [said(0, "m", &[2])]);
    assert_eq!(router.routes(), routes(&[("m", 0)]));
}

#[test]
fn an_update_moves_at_once_those_streams_whose_route_changes_and_no_others() {
    let record = Record::default();
    let router = DynamicRouter::new(routes(&[("a", 0), ("b", 1)]), record.targets(3)).unwrap();
    for (stream, number) in [("a", 1), ("b", 2), ("c", 3), ("gone", 4)] {
        router.set_aspired(set(stream, &[number]));
    }
    router.set_aspired(trouble("a"));
    router.set_aspired(set("gone", &[]));
    record.said();

    router.update(routes(&[("a", 1), ("b", 1), ("c", 0), ("gone", 0)])).unwrap();
    let wanted = [said(0, "a", &[]), said(1, "a", &[1]), said(2, "c", &[]), said(0, "c", &[3])];
    assert_eq!(record.said(), wanted);

    router.update(BTreeMap::new()).unwrap();
    let wanted = [
        said(1, "a", &[]),
        said(2, "a", &[1]),
        said(1, "b", &[]),
        said(2, "b", &[2]),
        said(0, "c", &[]),
        said(2, "c", &[3]),
    ];
    assert_eq!(record.said(), wanted);
}

#[derive(Clone, Debug)]
enum Step {
    Set(usize, Vec<i64>),
    Trouble(usize),
    Update(Vec<usize>),
}

const STREAMS: [&str; 3] = ["a", "b", "c"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..STREAMS.len(), prop::collection::vec(0_i64..3, 0..3))
            .prop_map(|(stream, set)| Step::Set(stream, set)),
        (0..STREAMS.len()).prop_map(Step::Trouble),
        prop::collection::vec(0_usize..3, STREAMS.len()).prop_map(Step::Update),
    ]
}

proptest! {
    #[test]
    fn after_any_steps_the_port_of_a_streams_route_has_its_last_set_and_every_other_port_none(
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let record = Record::default();
        let router = DynamicRouter::new(BTreeMap::new(), record.targets(3)).unwrap();
        let mut last = BTreeMap::new();
        let mut route = vec![2; STREAMS.len()];
        for step in steps {
            match step {
                Step::Set(stream, numbers) => {
                    router.set_aspired(set(STREAMS[stream], &numbers));
                    last.insert(stream, numbers);
                }
                Step::Trouble(stream) => router.set_aspired(trouble(STREAMS[stream])),
                Step::Update(ports) => {
                    let given = STREAMS.iter().zip(&ports).filter(|(_, port)| **port < 2);
                    router.update(given.map(|(name, port)| (StreamName::from(*name), *port)).collect()).unwrap();
                    route = ports;
                }
            }
        }
        let mut held = BTreeMap::new();
        for (port, stream, versions) in record.said() {
            if let Some(versions) = versions {
                held.insert((port, stream), versions);
            }
        }
        held.retain(|_, versions| !versions.is_empty());
        let wanted = last.iter().filter(|(_, versions)| !versions.is_empty());
        let wanted: BTreeMap<_, _> = wanted
            .map(|(stream, versions)| ((route[*stream], STREAMS[*stream].to_owned()), versions.clone()))
            .collect();
        prop_assert_eq!(held, wanted);
    }
}
