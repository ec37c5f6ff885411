//! Bodies: JSON, compressed and binary.

use std::io::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::Method;
use salver_tests::Bundle;

use crate::{LIMIT, PREDICT, Target, is_refused};

#[tokio::test]
async fn json_bombs_are_refused() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let http = target.server.http();
    let deep = |open: &str, close: &str, depth: usize| open.repeat(depth) + &close.repeat(depth);
    let (predict, infer) = ("/v1/models/numbers:predict", "/v2/models/numbers/infer");
    let many_keys: String = (0..200_000).map(|key| format!("\"{key}\":1,")).collect();
    let bodies = [
        deep("[", "]", 1_000_000),
        deep("{\"a\":", "}", 300_000),
        format!("{{\"instances\": {}}}", deep("[", "]", 1_000_000)),
        format!("{{\"instances\": {}", "[".repeat(1_000_000)),
        format!(
            "{{\"inputs\": [{{\"name\": \"x\", \"datatype\": \"INT64\", \"shape\": [1], \"data\": {}}}]}}",
            deep("[", "]", 500_000)
        ),
        format!("{{\"inputs\": [{}]}}", "{},".repeat(1_000_000)),
        format!("{{\"inputs\": [{{}}{}]}}", ",{}".repeat(1_000_000)),
        format!("{{{many_keys}\"inputs\": 1.5}}"),
        format!("{{\"instances\": [{}]}}", "1".repeat(LIMIT - 1000)),
        format!("{{\"instances\": [{}]}}", "\"\\ud800\","),
        format!("{{\"instances\": [{}]}}", "1e999999999"),
        "{\"instances\": [1, 2".to_owned(),
        "{\"instances\": [NaN]}".to_owned(),
        "\u{0}".to_owned(),
        String::new(),
    ];
    for body in &bodies {
        for path in [predict, infer] {
            let answer = http.post(path, body.clone()).await;
            let head: String = body.chars().take(60).collect();
            assert!(
                [400, 413].contains(&answer.status.as_u16()),
                "{path} {head}: {} {}",
                answer.status,
                answer.text()
            );
            assert!(
                !answer.error().is_empty() && answer.body.len() < 4000,
                "{path} {head}: {} bytes",
                answer.body.len()
            );
        }
    }
    target.survived().await;
}

#[tokio::test]
async fn a_body_that_grows_when_it_is_decompressed_is_cut_off_at_the_limit() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let http = target.server.http();
    // A gigabyte of spaces, by way of a thousand gzip members of a megabyte.
    let bomb: Bytes = gzipped(&vec![b' '; 1 << 20]).repeat(1024).into();
    assert!(bomb.len() < LIMIT, "{} bytes", bomb.len());
    for path in ["/v1/models/numbers:predict", "/v2/models/numbers/infer"] {
        let headers = [("content-encoding", "gzip"), ("content-type", "application/json")];
        let answer = http.send(Method::POST, path, &headers, bomb.clone()).await.unwrap();
        assert!([400, 413].contains(&answer.status.as_u16()), "{path}: {} {}", answer.status, answer.text());
        let torn = bomb.slice(..bomb.len() / 2 + 7);
        let answer = http.send(Method::POST, path, &headers, torn).await.unwrap();
        assert!([400, 413].contains(&answer.status.as_u16()), "{path}: {} {}", answer.status, answer.text());
    }
    // The same as a gRPC message.
    let mut frame = BytesMut::new();
    frame.put_u8(1);
    frame.put_u32(u32::try_from(bomb.len()).unwrap());
    frame.put_slice(&bomb);
    let answer = http.call(PREDICT, &[("grpc-encoding", "gzip")], frame.freeze()).await.unwrap();
    assert!(is_refused(&answer), "{answer:?}");
    target.survived().await;
}

fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn binary_bodies_that_lie_about_their_parts_are_refused() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let http = target.server.http();
    let head = |size: &str| {
        format!(
            r#"{{"inputs":[{{"name":"x","datatype":"INT64","shape":[2],"parameters":{{"binary_data_size":{size}}}}}]}}"#
        )
    };
    let right = head("16");
    let length = right.len().to_string();
    for (text, header, binary) in [
        (&right, length.as_str(), 15),
        (&right, length.as_str(), 17),
        (&right, length.as_str(), 0),
        (&right, "0", 16),
        (&right, "1", 16),
        (&right, "-1", 16),
        (&right, "99999", 16),
        (&right, "9223372036854775808", 16),
        (&right, "", 16),
        (&right, "10, 20", 16),
        (&head("18446744073709551615"), "0", 16),
    ] {
        let body: Bytes = [text.as_bytes(), &vec![0; binary]].concat().into();
        let headers = [("inference-header-content-length", header)];
        let answer = http.send(Method::POST, "/v2/models/numbers/infer", &headers, body).await.unwrap();
        assert_eq!(answer.status, 400, "header {header}, {binary} bytes: {}", answer.text());
    }
    for size in ["18446744073709551615", "-16", "1e3", "\"16\"", "15", "17", "9223372036854775807"] {
        let text = head(size);
        let body: Bytes = [text.as_bytes(), &[0; 16]].concat().into();
        let length = text.len().to_string();
        let headers = [("inference-header-content-length", length.as_str())];
        let answer = http.send(Method::POST, "/v2/models/numbers/infer", &headers, body).await.unwrap();
        assert_eq!(answer.status, 400, "size {size}: {}", answer.text());
    }
    target.survived().await;
}
