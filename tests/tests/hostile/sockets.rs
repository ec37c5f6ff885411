//! Connections: garbage, silence and crowds.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use http::Method;
use salver_tests::{Bundle, PATIENCE};

use crate::{FLAGS, LIMIT, Noise, Target};

#[tokio::test]
async fn sockets_that_send_garbage_get_an_answer_or_are_closed() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let mut noise = Noise(0x50c4e7);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let huge_head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "h".repeat(1 << 20));
    let many_heads = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    let mut attacks: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"POST /v1/models/tagged:predict HTTP/1.1\r\ncontent-length: -1\r\n\r\n".to_vec(),
        b"POST /v1/models/tagged:predict HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n".to_vec(),
        b"POST /v1/models/tagged:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"inst".to_vec(),
        b"POST /v1/models/tagged:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}".to_vec(),
        b"POST /v1/models/tagged:predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec(),
        b"POST /v1/models/tagged:predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        huge_head.into_bytes(),
        many_heads.into_bytes(),
        preface.clone(),
        preface[..10].to_vec(),
        // A frame of 16 MB, a ping of the wrong size, a reset of a stream that never was, a settings flood.
        [&preface[..], &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat(),
        [&preface[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0], &[0, 0, 1, 6, 0, 0, 0, 0, 0, 0]].concat(),
        [&preface[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0], &[0, 0, 4, 3, 0, 0, 0, 0, 9, 0, 0, 0, 8]].concat(),
        [&preface[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0].repeat(20_000)].concat(),
    ];
    for _ in 0..50 {
        let count = noise.below(2000);
        attacks.push(noise.bytes(count));
        attacks.push([&preface[..], &noise.bytes(count)].concat());
    }
    for attack in attacks {
        let mut socket = TcpStream::connect(target.server.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        // The server may have closed the connection before it had it all.
        let _ = socket.write_all(&attack).and_then(|()| socket.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        let end = socket.take(1 << 20).read_to_end(&mut answer);
        let is_over =
            end.is_ok() || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(is_over, "{} bytes, beginning {:?}", attack.len(), attack.get(..40));
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&answer));
    }
    target.survived().await;
}

#[tokio::test]
async fn clients_that_promise_much_and_send_nothing_hold_no_memory_and_nobody_up() {
    let Some(bundle) = Bundle::from_env() else { return };
    let mut target = Target::start(&bundle).await;
    let address = target.server.address();
    let head = format!(
        "POST /v2/models/numbers/infer HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{{\"inputs\"",
        LIMIT - 1
    );
    let waiting: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut socket = TcpStream::connect(address).unwrap();
            socket.write_all(head.as_bytes()).unwrap();
            socket
        })
        .collect();
    target.answers().await;
    drop(waiting);
    target.survived().await;
}

#[tokio::test]
async fn bodies_that_take_more_together_than_they_may_are_refused_until_there_is_room() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start_with(&bundle, &[FLAGS[0], "--max-inflight-bytes=32MiB"]).await;
    let address = target.server.address();
    // Each of these stops one byte short of its end: 11 fill the 32 MiB that all may take.
    let length = 3 << 20;
    let head = format!(
        "POST /v2/models/numbers/infer HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n\r\n"
    );
    let body = vec![b' '; length - 1];
    let mut held = Vec::new();
    let mut refused = None;
    for _ in 0..64 {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(&body));
        // The server has read all there is to read when it answers another request on another connection: not for
        // certain, which is why there are more attempts than room.
        let answer = target
            .server
            .http()
            .send(Method::POST, "/v2/models/numbers/infer", &[], vec![b' '; length].into())
            .await;
        if let Ok(answer) = answer
            && answer.status == 503
        {
            refused = Some(answer);
            break;
        }
        held.push(socket);
    }
    let refused = refused.expect("32 MiB of bodies and no refusal");
    assert!(refused.error().contains("max-inflight-bytes"), "{}", refused.text());
    drop(held);
    // Once those clients are gone there is room again. When the server notices is up to the operating system.
    let mut last = None;
    for _ in 0..10_000 {
        let answer = target.server.http().post("/v1/models/tagged:predict", r#"{"inputs": [[1, 2]]}"#).await;
        let status = answer.status;
        last = Some(answer);
        if status == 200 {
            break;
        }
    }
    assert_eq!(last.map(|answer| answer.status.as_u16()), Some(200));
    target.survived().await;
}
