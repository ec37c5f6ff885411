//! The source.

use object_store::throttle::{ThrottleConfig, ThrottledStore};
use salver_core_status::Code;

use super::*;
use crate::{Settings, StoreUrl};

/// A store that does not answer.
fn hung() -> Arc<dyn ObjectStore> {
    let never = Duration::from_secs(1_000_000);
    let config = ThrottleConfig {
        wait_list_per_call: never,
        wait_list_with_delimiter_per_call: never,
        wait_get_per_call: never,
        ..ThrottleConfig::default()
    };
    Arc::new(ThrottledStore::new(InMemory::new(), config))
}

#[test]
fn versions_come_and_go_with_their_objects() {
    let mut fixture = Fixture::model();
    fixture.put("m/1/model", "one").put("m/notes.txt", "x").connect();
    fixture.wait_for_numbers("m", &[1]);
    fixture.put("m/2/model", "two").wait_for_numbers("m", &[1, 2]);
    fixture.delete("m/1/model").wait_for_numbers("m", &[2]);
    fixture.delete("m/2/model").wait_for_numbers("m", &[]);
}

#[test]
fn connecting_returns_when_everything_was_looked_at() {
    let mut fixture = Fixture::new(|config| {
        config.models = vec![all("named", "s3://b/named"), all("missing", "s3://b/missing")];
        config.repositories = vec!["s3://b/repository".into()];
        config.default_policy.poll_interval = Duration::ZERO;
    });
    fixture.put("named/1/model", "x").put("repository/found/3/model", "x").connect();
    let told: Vec<_> =
        fixture.told.try_iter().map(|told| (told.stream.to_string(), numbers(&told.versions))).collect();
    for wanted in [("named", Some(vec![1])), ("missing", None), ("found", Some(vec![3]))] {
        assert!(told.contains(&(wanted.0.to_owned(), wanted.1.clone())), "{wanted:?} {told:?}");
    }
}

#[test]
fn a_url_where_nothing_is_is_an_error_that_changes_nothing_and_passes() {
    let mut fixture = Fixture::model();
    fixture.connect();
    let status = fixture.wait_for_trouble("m");
    assert_eq!(status, Status::not_found("`s3://b/m`: nothing is there"));
    fixture.put("m/1/model", "x").wait_for_numbers("m", &[1]);
    fixture.delete("m/1/model");
    assert_eq!(fixture.wait_for_trouble("m").code(), Code::NotFound);
}

#[test]
fn what_is_wrong_with_one_model_or_one_store_touches_no_other() {
    let mut fixture = Fixture::new(|config| {
        config.models = vec![
            all("bad", "ftp://b/m"),
            all("worse", "http://"),
            all("hung", "s3://hung/m"),
            all("good", "s3://b/good"),
        ];
        config.repositories = vec!["s3://hung/repository".into(), "s3://b/repository".into()];
        config.first_look = Duration::from_millis(1);
    });
    fixture.put("good/1/model", "x").put("repository/better/1/model", "x");
    fixture.connect_with(&[("s3://hung", hung())]);
    fixture.wait_for_numbers("good", &[1]);
    fixture.wait_for_numbers("better", &[1]);
    fixture.put("good/2/model", "x").wait_for_numbers("good", &[1, 2]);
}

#[test]
fn nothing_secret_is_shown() {
    let options = [("aws_secret_access_key".to_owned(), "secret".to_owned())].into();
    let url = StoreUrl { url: "https://user:secret@host/m?sig=secret".to_owned(), options };
    let mut fixture = Fixture::new(|config| {
        config.models = vec![ModelUrl { url: url.clone(), ..ModelUrl::new("m", "") }];
    });
    fixture.connect();
    let shown = format!("{url:?} {} {:?}", fixture.wait_for_trouble("m"), url.check());
    assert!(shown.contains("aws_secret_access_key") && !shown.contains("secret@"), "{shown}");
    assert!(!shown.contains("=secret") && !shown.contains("\"secret\""), "{shown}");
}

#[test]
fn a_model_that_was_not_answered_for_in_time_is_in_trouble_until_it_is() {
    let mut fixture = Fixture::new(|config| {
        config.models = vec![all("hung", "s3://hung/m"), all("bad", "ftp://b/m")];
        config.first_look = Duration::from_millis(1);
    });
    fixture.connect_with(&[("s3://hung", hung())]);
    assert_eq!(fixture.wait_for_trouble("hung").code(), Code::Unavailable);
}

#[test]
fn models_come_and_go_with_their_folders_and_one_that_went_is_unloaded() {
    let mut fixture = Fixture::new(|config| config.repositories = vec!["s3://b/r".into()]);
    fixture.put("r/a/1/model", "x").put("r/.hidden/1/model", "x").put("r/readme", "x").connect();
    fixture.wait_for_numbers("a", &[1]);
    fixture.put("r/b c/1/model", "x").wait_for_numbers("b c", &[1]);
    fixture.delete("r/a/1/model").wait_for_numbers("a", &[]);
    let told: Vec<_> = fixture.told.try_iter().map(|told| told.stream).collect();
    assert!(told.iter().all(|stream| stream.as_str() == "b c"), "{told:?}");
}

#[test]
fn what_appears_in_a_repository_that_is_watched_has_to_settle_first() {
    let mut fixture = Fixture::new(|config| {
        config.repositories = vec!["s3://b/r".into()];
        config.settle = Duration::from_secs(1_000_000);
        config.default_policy.marker = Some("done".to_owned());
    });
    fixture.put("r/a/1/done", "").connect();
    fixture.wait_for_numbers("a", &[1]);
    fixture.put("r/b/1/model", "x").wait_for_numbers("b", &[]);
    fixture.put("r/b/1/done", "").wait_for_numbers("b", &[1]);
}

#[test]
fn a_name_that_is_configured_counts_over_one_that_is_found() {
    let mut fixture = Fixture::new(|config| {
        config.models = vec![all("m", "s3://b/elsewhere")];
        config.repositories = vec!["s3://b/r".into(), "s3://b/s".into()];
    });
    fixture.put("elsewhere/7/model", "x").put("r/m/1/model", "x").put("s/n/2/model", "x").connect();
    fixture.wait_for_numbers("m", &[7]);
    fixture.wait_for_numbers("n", &[2]);
    let told: Vec<_> = fixture.told.try_iter().filter(|told| told.stream.as_str() == "m").collect();
    assert!(told.iter().all(|told| numbers(&told.versions) == Some(vec![7])), "{told:?}");
}

#[test]
fn the_configured_models_are_changed_while_all_is_running() {
    let mut fixture = Fixture::new(|config| {
        config.models =
            vec![all("gone", "s3://b/gone"), all("moved", "s3://b/from"), all("kept", "s3://b/kept")];
        config.default_policy.poll_interval = Duration::ZERO;
    });
    for path in ["gone/1/x", "from/1/x", "to/2/x", "kept/1/x", "new/1/x"] {
        fixture.put(path, "x");
    }
    fixture.connect();
    assert_eq!(fixture.told.try_iter().count(), 3);
    fixture.source.update(vec![
        all("moved", "s3://b/to"),
        all("kept", "s3://b/kept"),
        all("new", "s3://b/new"),
    ]);
    let told: Vec<_> = std::iter::from_fn(|| fixture.told.recv_timeout(PATIENCE).ok()).take(3).collect();
    let mut told: Vec<_> =
        told.into_iter().map(|told| (told.stream.to_string(), numbers(&told.versions).unwrap())).collect();
    assert_eq!(told[0], ("gone".to_owned(), vec![]), "at once");
    told.sort();
    assert_eq!(told[1..], [("moved".to_owned(), vec![2]), ("new".to_owned(), vec![1])]);
}

#[test]
fn somebody_who_asks_for_a_look_gets_one_though_there_would_be_none() {
    let mut fixture = Fixture::new(|config| {
        config.models = vec![all("m", "s3://b/m")];
        config.repositories = vec!["s3://b/r".into()];
        config.default_policy.poll_interval = Duration::ZERO;
    });
    fixture.put("m/1/model", "x").put("r/a/1/model", "x").connect();
    fixture.wait_for_numbers("m", &[1]);
    fixture.put("m/2/model", "x").put("r/b/1/model", "x");
    fixture.source.rescan();
    let told = std::iter::from_fn(|| fixture.told.recv_timeout(PATIENCE).ok());
    let told: Vec<_> = told.filter(|told| told.stream.as_str() != "a").take(2).collect();
    assert!(told.iter().any(|told| numbers(&told.versions) == Some(vec![1, 2])), "{told:?}");
    assert!(told.iter().any(|told| told.stream.as_str() == "b"), "{told:?}");
}

#[test]
fn what_a_model_says_of_itself_is_read_when_it_changes_and_brought_along() {
    let policy_for = |_: &_, text: Option<&str>| match text {
        None => Ok(ModelPolicy { poll_interval: Duration::from_millis(2), ..ModelPolicy::default() }),
        Some("all") => Ok(ModelPolicy {
            versions: VersionPolicy::All,
            poll_interval: Duration::from_millis(2),
            ..ModelPolicy::default()
        }),
        Some(other) => Err(Status::invalid_argument(format!("settings are `{other}`"))),
    };
    let mut fixture = Fixture::new(|config| {
        config.models = vec![ModelUrl::new("m", "s3://b/m")];
        config.settings =
            Some(Settings { object: "model.toml".to_owned(), policy_for: Arc::new(policy_for) });
    });
    fixture.put("m/1/x", "x").put("m/2/x", "x").connect();
    fixture.wait_for_numbers("m", &[2]);
    fixture.put("m/model.toml", "all").wait_for_numbers("m", &[1, 2]);
    let version = fixture.version("m");
    assert_eq!(version.remote().beside.as_ref().unwrap().name, "model.toml");
    assert_eq!((version.num_objects(), version.total_bytes()), (1, 4));
    fixture.put("m/model.toml", "nonsense");
    let status = fixture.wait_for_trouble("m");
    assert_eq!(status, Status::invalid_argument("`s3://b/m`: settings are `nonsense`"));
    fixture.delete("m/model.toml").wait_for_numbers("m", &[2]);
}

#[test]
fn a_version_past_the_limits_is_an_error_of_its_own() {
    let mut fixture = Fixture::new(|config| {
        config.models = vec![all("m", "s3://b/m")];
        config.limits.objects = 1;
    });
    fixture.put("m/1/x", "x").put("m/2/x", "x").put("m/2/y", "y").connect();
    let (good, bad) = fixture.wait("m", |versions| match versions.as_deref() {
        Ok([good, bad]) => Some((good.clone(), bad.clone())),
        _ => None,
    });
    assert!(good.data.is_ok());
    assert_eq!(bad.data.unwrap_err().code(), Code::ResourceExhausted);
}

#[test]
fn a_source_that_is_dropped_lets_go_of_its_target_and_of_its_thread() {
    let mut fixture = Fixture::new(|config| {
        config.models = vec![all("m", "s3://b/m"), all("hung", "s3://hung/m")];
        config.repositories = vec!["s3://b/r".into()];
        config.first_look = Duration::from_millis(1);
    });
    fixture.put("m/1/x", "x").connect_with(&[("s3://hung", hung())]);
    fixture.wait_for_numbers("m", &[1]);
    drop(fixture.source);
    // The sender is the target's.
    while fixture.told.recv_timeout(PATIENCE) != Err(mpsc::RecvTimeoutError::Disconnected) {}
}
