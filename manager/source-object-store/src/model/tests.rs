use std::sync::Arc;

use object_store::memory::InMemory;
use proptest::prelude::*;
use salver_core_status::Code;

use super::*;
use crate::Limits;
use crate::bucket::Bucket;
use crate::runtime::Runtime;
use crate::version::{Object, Remote};

const SETTLE: Duration = Duration::from_secs(5);

/// A model, what is in its folders, and the time.
struct Fixture {
    model: Model,
    bucket: Arc<Bucket>,
    folders: BTreeMap<String, Vec<Object>>,
    policy: ModelPolicy,
    marker: Option<&'static str>,
    settle: Duration,
    now: Now,
    /// Which versions the last look looked into.
    looked_into: Vec<i64>,
}

impl Fixture {
    fn new(versions: VersionPolicy) -> Self {
        let bucket = Bucket::of("b".to_owned(), Arc::new(InMemory::new()), Runtime::start().unwrap());
        Self {
            model: Model::new(false),
            bucket: Arc::new(bucket),
            folders: BTreeMap::new(),
            policy: ModelPolicy { versions, ..ModelPolicy::default() },
            marker: None,
            settle: SETTLE,
            now: Now { instant: Instant::now(), wall: SystemTime::now() },
            looked_into: Vec::new(),
        }
    }

    /// Stores an object, now.
    fn put(&mut self, folder: &str, name: &str, e_tag: &str) {
        let object = Object {
            name: name.to_owned(),
            location: Path::parse(format!("m/{folder}/{name}")).unwrap(),
            size: 1,
            e_tag: Some(e_tag.to_owned()),
            modified: Some(self.now.wall),
        };
        let objects = self.folders.entry(folder.to_owned()).or_default();
        objects.retain(|other| other.name != name);
        objects.push(object);
    }

    fn pass(&mut self, seconds: u64) {
        self.now.instant += Duration::from_secs(seconds);
        self.now.wall += Duration::from_secs(seconds);
    }

    fn look(&mut self) -> Found {
        let path = |name: &String| (name.clone(), Path::parse(format!("m/{name}")).unwrap());
        let duplicates = self.model.begin(self.folders.keys().map(path).collect());
        self.looked_into.clear();
        while let Some((version, folder)) = self.model.next(&self.policy.versions) {
            self.looked_into.push(version.number());
            let name = folder.filename().unwrap().to_owned();
            let objects = self.folders[&name].clone();
            let is_marked = |marker| objects.iter().any(|object| object.name == marker);
            let sight = match self.marker {
                _ if objects.is_empty() => Sight::Incomplete,
                None => Sight::Objects,
                Some(marker) if is_marked(marker) => Sight::Complete,
                Some(_) => Sight::Incomplete,
            };
            let remote = Remote {
                bucket: Arc::clone(&self.bucket),
                url: format!("s3://b/m/{name}"),
                prefix: folder.clone(),
                version,
                objects,
                beside: None,
                limits: Limits::default(),
            };
            self.model.observe(version, Ok(RemoteVersion::new(remote)), &sight, self.settle, self.now);
        }
        let mut found = self.model.end(&self.policy, self.settle);
        found.notices.extend(duplicates);
        found
    }

    fn numbers(&mut self) -> Vec<i64> {
        numbers(&self.look())
    }
}

fn numbers(found: &Found) -> Vec<i64> {
    found.versions.iter().map(|aspired| aspired.version.number()).collect()
}

fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

#[test]
fn what_is_there_at_the_first_look_is_asked_for_as_the_policy_says_and_no_more_is_looked_into() {
    for (policy, wanted, looked_into) in [
        (VersionPolicy::default(), vec![10], vec![10]),
        (VersionPolicy::Latest(0), vec![10], vec![10]),
        (VersionPolicy::Latest(2), vec![9, 10], vec![10, 9]),
        (VersionPolicy::All, vec![1, 9, 10], vec![10, 9, 1]),
        (VersionPolicy::Specific(vec![version(1), version(3)]), vec![1], vec![1]),
    ] {
        let mut fixture = Fixture::new(policy.clone());
        for folder in ["1", "10", "00000009", "v2", "-3", "assets"] {
            fixture.put(folder, "model", "a");
        }
        fixture.pass(60);
        assert_eq!(fixture.numbers(), wanted, "{policy:?}");
        assert_eq!(fixture.looked_into, looked_into, "{policy:?}");
    }
}

#[test]
fn a_version_that_appears_is_taken_when_it_was_the_same_for_long_enough_and_until_then_the_one_before_stays()
{
    let mut fixture = Fixture::new(VersionPolicy::default());
    fixture.put("1", "model", "a");
    fixture.pass(60);
    assert_eq!(fixture.numbers(), [1]);
    fixture.put("2", "model", "a");
    let found = fixture.look();
    assert_eq!(numbers(&found), [1]);
    assert_eq!(found.settles, Some(fixture.now.instant + SETTLE));
    fixture.pass(4);
    fixture.put("2", "weights", "a");
    assert_eq!(fixture.numbers(), [1]);
    fixture.pass(4);
    assert_eq!(fixture.numbers(), [1], "the clock began anew with the change");
    fixture.pass(1);
    let found = fixture.look();
    assert_eq!((numbers(&found), found.settles), (vec![2], None));
}

#[test]
fn a_version_moved_to_the_next_number_is_replaced_without_a_gap() {
    let mut fixture = Fixture::new(VersionPolicy::default());
    fixture.put("1", "model", "a");
    fixture.pass(60);
    assert_eq!(fixture.numbers(), [1]);
    fixture.folders.clear();
    fixture.put("2", "model", "a");
    assert_eq!(fixture.numbers(), [1]);
    fixture.pass(5);
    assert_eq!(fixture.numbers(), [2]);
}

#[test]
fn what_changed_just_before_the_first_look_may_still_be_on_its_way() {
    let mut fixture = Fixture::new(VersionPolicy::default());
    fixture.put("1", "model", "a");
    fixture.pass(1);
    assert_eq!(fixture.numbers(), [0; 0]);
    fixture.pass(5);
    assert_eq!(fixture.numbers(), [1]);
}

#[test]
fn after_an_answer_that_nothing_was_there_everything_is_new() {
    let mut fixture = Fixture::new(VersionPolicy::default());
    fixture.model.nothing();
    fixture.put("1", "model", "a");
    fixture.pass(60);
    assert_eq!(fixture.numbers(), [0; 0]);
}

#[test]
fn a_marker_says_at_once_that_a_version_is_complete_and_without_it_none_is() {
    let mut fixture = Fixture::new(VersionPolicy::default());
    fixture.marker = Some("_SUCCESS");
    fixture.put("1", "model", "a");
    fixture.pass(60);
    assert_eq!(fixture.numbers(), [0; 0]);
    fixture.put("1", "_SUCCESS", "a");
    assert_eq!(fixture.numbers(), [1]);
    fixture.folders.get_mut("1").unwrap().clear();
    assert_eq!(fixture.numbers(), [1], "what was taken stays taken");
}

#[test]
fn without_a_time_to_settle_what_is_there_is_taken() {
    let mut fixture = Fixture::new(VersionPolicy::default());
    fixture.settle = Duration::ZERO;
    fixture.put("1", "model", "a");
    assert_eq!(fixture.numbers(), [1]);
    fixture.put("2", "model", "a");
    assert_eq!(fixture.numbers(), [2]);
}

#[test]
fn the_revision_changes_with_names_and_tags_once_they_are_at_rest_and_with_nothing_else() {
    let mut fixture = Fixture::new(VersionPolicy::default());
    fixture.put("1", "model", "a");
    fixture.pass(60);
    let first = fixture.look().versions;
    fixture.put("1", "model", "a");
    fixture.pass(60);
    assert_eq!(fixture.look().versions[0].revision, first[0].revision, "written again, the same");
    fixture.put("1", "model", "b");
    let found = fixture.look();
    assert_eq!((&found.versions, found.settles.is_some()), (&first, true));
    fixture.pass(5);
    let second = fixture.look().versions;
    assert_ne!(second[0].revision, first[0].revision);
    assert_ne!(second[0].data, first[0].data);
    fixture.policy.revision = 1;
    let third = fixture.look().versions;
    assert_ne!(third[0].revision, second[0].revision);
}

#[test]
fn of_two_folders_of_one_number_the_later_is_used_and_the_other_told_of() {
    let mut fixture = Fixture::new(VersionPolicy::All);
    fixture.put("1", "model", "a");
    fixture.put("001", "model", "a");
    fixture.pass(60);
    let found = fixture.look();
    assert_eq!(numbers(&found), [1]);
    assert_eq!(found.versions[0].data.as_ref().unwrap().url(), "s3://b/m/1");
    assert_eq!(
        found.notices.into_iter().collect::<Vec<_>>(),
        ["`1` is used, and `001`, of the same version, is not"]
    );
}

#[test]
fn a_model_without_versions_asks_for_none_unless_the_last_are_to_be_kept() {
    for keep_last in [false, true] {
        let mut fixture = Fixture::new(VersionPolicy::default());
        fixture.policy.keep_last = keep_last;
        fixture.put("1", "model", "a");
        fixture.pass(60);
        fixture.look();
        fixture.folders.clear();
        let found = fixture.look();
        assert_eq!(numbers(&found), if keep_last { vec![1] } else { vec![] });
        assert!(found.notices.contains("no version is there: nothing to load"));
    }
}

#[test]
fn what_is_wrong_with_a_version_is_told_of_it_alone() {
    let mut fixture = Fixture::new(VersionPolicy::All);
    let folders = ["1", "2"].map(|name| (name.to_owned(), Path::parse(name).unwrap()));
    fixture.model.begin(folders.to_vec());
    while let Some((version, _)) = fixture.model.next(&VersionPolicy::All) {
        let wrong = Err(Status::invalid_argument("its name leads out of its folder"));
        fixture.model.observe(version, wrong, &Sight::Objects, SETTLE, fixture.now);
    }
    let found = fixture.model.end(&fixture.policy, SETTLE);
    let codes: Vec<_> = found.versions.iter().map(|one| one.data.as_ref().unwrap_err().code()).collect();
    assert_eq!(codes, [Code::InvalidArgument; 2]);
}

#[test]
fn specific_versions_that_are_not_there_are_told_of() {
    let mut fixture = Fixture::new(VersionPolicy::Specific(vec![version(3)]));
    fixture.put("1", "model", "a");
    assert!(fixture.look().notices.contains("version 3 is asked for and is not there"));
    fixture.policy.versions = VersionPolicy::Specific(Vec::new());
    assert_eq!(fixture.look().notices.len(), 1);
}

proptest! {
    /// Each step: so many seconds pass, the version is stored in one of three states, and somebody looks.
    #[test]
    fn a_state_is_taken_only_if_no_other_was_seen_for_as_long_as_it_takes(
        steps in prop::collection::vec((0..9_u64, 0..3_u8), 1..40)
    ) {
        let mut fixture = Fixture::new(VersionPolicy::default());
        fixture.model.nothing();
        let mut seen: Vec<(Instant, String)> = Vec::new();
        let mut taken: Option<String> = None;
        for (seconds, state) in steps {
            fixture.pass(seconds);
            let state = state.to_string();
            fixture.put("1", "model", &state);
            seen.push((fixture.now.instant, state.clone()));
            let found = fixture.look();
            let unchanged = seen.iter().rev().take_while(|(_, one)| *one == state);
            let (since, _) = unchanged.last().unwrap();
            if fixture.now.instant.duration_since(*since) >= SETTLE {
                taken = Some(state);
            }
            let asked_for = found.versions.first().map(|one| one.data.as_ref().unwrap().remote().objects[0].e_tag.clone());
            prop_assert_eq!(asked_for.flatten(), taken.clone());
            let is_at_rest = taken == seen.last().map(|(_, state)| state.clone());
            prop_assert_eq!(found.settles, (!is_at_rest).then(|| *since + SETTLE));
        }
    }
}
