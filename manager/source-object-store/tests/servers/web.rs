//! Models on a web server whose connections break.

use std::fs;

use salver_core_status::Code;
use salver_manager_source_object_store::{Cache, CacheConfig, ModelUrl, RemoteVersion};

use crate::web_server::{Server, State};
use crate::{cache, fetch, noise, versions, weights};

fn server(adjust: impl FnOnce(&mut State)) -> Server {
    let mut state = State::default();
    state.files.insert("models/m/1/weights".to_owned(), noise(900_000));
    state.files.insert("models/m/1/variables/index".to_owned(), noise(10));
    state.files.insert("models/m/notes.html".to_owned(), noise(10));
    adjust(&mut state);
    Server::start(state)
}

fn model(server: &Server) -> ModelUrl {
    ModelUrl::new("m", server.url("models/m"))
}

fn version(server: &Server) -> RemoteVersion {
    versions(model(server)).unwrap().remove(0)
}

/// The first byte of each answer with weights, and how many followed.
fn pieces(server: &Server) -> Vec<(usize, usize)> {
    let gets = server.gets("/models/m/1/weights");
    gets.iter().filter(|get| get.status < 300).map(|get| (get.first_byte, get.sent_bytes)).collect()
}

#[test]
fn versions_are_found_on_a_page_of_links_and_by_webdav() {
    for webdav in [false, true] {
        let server = server(|state| state.webdav = webdav);
        let version = version(&server);
        assert_eq!((version.num_objects(), version.total_bytes()), (2, 900_010));
        let (_folder, cache) = cache();
        let lease = fetch(&cache, &version).unwrap();
        assert_eq!(weights(&lease), noise(900_000));
        assert_eq!(fs::read(lease.path().join("variables/index")).unwrap(), noise(10));
    }
}

#[test]
fn what_the_server_refuses_is_told_by_its_code() {
    for (status, code) in [
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::NotFound),
        (503, Code::Unavailable),
    ] {
        let server = server(|state| state.refuse = Some(status));
        let told = versions(model(&server)).unwrap_err();
        assert_eq!(told.code(), code, "{told}");
        assert!(told.message().contains(&server.url("models/m")), "{told}");
    }
}

#[test]
fn a_server_that_is_not_there_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "https"] {
        let status = versions(ModelUrl::new("m", format!("{scheme}://{address}/m"))).unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
}

#[test]
fn a_download_goes_on_where_the_connection_broke_and_no_byte_is_sent_twice() {
    let server = server(|state| state.cut_after = Some(250_000));
    let (folder, cache) = cache();
    let lease = fetch(&cache, &version(&server)).unwrap();
    assert_eq!(weights(&lease), noise(900_000));
    let wanted = [(0, 250_000), (250_000, 250_000), (500_000, 250_000), (750_000, 150_000)];
    assert_eq!(pieces(&server), wanted);
    assert_eq!(fs::read_dir(folder.path().join("partial")).unwrap().count(), 0);
}

#[test]
fn a_fetch_that_gave_up_left_what_it_had_for_the_next_process() {
    let server = server(|state| state.cut_after = Some(10_000));
    let version = version(&server);
    let (folder, first) = cache();
    assert_eq!(fetch(&first, &version).unwrap_err().code(), Code::Unavailable);
    drop(first);
    server.state().cut_after = None;
    let cache = Cache::open(CacheConfig { folder: folder.path().to_owned(), max_bytes: None }).unwrap();
    assert_eq!(weights(&fetch(&cache, &version).unwrap()), noise(900_000));
    let sent: usize = pieces(&server).iter().map(|(_, sent)| sent).sum();
    assert_eq!(sent, 900_000, "{:?}", pieces(&server));
    assert_eq!(pieces(&server).last(), Some(&(50_000, 850_000)));
}

#[test]
fn a_server_that_cannot_go_on_in_the_middle_begins_anew() {
    let server = server(|state| {
        (state.no_ranges, state.no_tags) = (true, true);
        (state.cut_after, state.cut_once) = (Some(250_000), true);
    });
    let (_folder, cache) = cache();
    assert_eq!(weights(&fetch(&cache, &version(&server)).unwrap()), noise(900_000));
    assert_eq!(pieces(&server).last(), Some(&(0, 900_000)));
}

#[test]
fn a_file_that_changes_while_it_is_fetched_is_not_pieced_together_of_both() {
    let other: Vec<u8> = noise(900_000).iter().map(|byte| !byte).collect();
    let server = server(|state| {
        (state.cut_after, state.cut_once) = (Some(250_000), true);
        state.change = Some(("models/m/1/weights".to_owned(), other.clone()));
    });
    let (_folder, cache) = cache();
    assert_eq!(weights(&fetch(&cache, &version(&server)).unwrap()), other);
    assert_eq!(pieces(&server), [(0, 250_000), (0, 900_000)]);
}

#[test]
fn bytes_that_are_not_those_the_server_speaks_of_are_refused() {
    let server = server(|state| state.digest = Some("A".repeat(43) + "="));
    let (folder, cache) = cache();
    let status = fetch(&cache, &version(&server)).unwrap_err();
    assert_eq!(status.code(), Code::DataLoss);
    assert!(status.message().contains("SHA-256 is"), "{status}");
    for left in ["objects", "versions"] {
        assert_eq!(fs::read_dir(folder.path().join(left)).unwrap().count(), 0, "{left}");
    }
}

#[test]
fn a_piece_that_was_damaged_on_its_way_costs_another_download_and_no_more() {
    let server = server(|state| {
        (state.cut_after, state.cut_once, state.damages) = (Some(250_000), true, true);
    });
    let (_folder, cache) = cache();
    assert_eq!(weights(&fetch(&cache, &version(&server)).unwrap()), noise(900_000));
    assert_eq!(pieces(&server), [(0, 250_000), (250_000, 650_000), (0, 900_000)]);
}

#[test]
fn what_several_want_at_a_time_is_fetched_once() {
    let server = server(|_| {});
    let version = version(&server);
    let (_folder, cache) = cache();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(weights(&fetch(&cache, &version).unwrap()), noise(900_000)));
        }
    });
    assert_eq!(pieces(&server), [(0, 900_000)]);
}
