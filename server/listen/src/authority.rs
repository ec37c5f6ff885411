//! A stream whose HTTP/2 client may call the server by the path of a socket.

use std::io;
use std::task::{Context, Poll};

use crate::greeting::PREFACE;
use crate::reads::{Look, Reads};

/// A stream that makes each `%` in the `:authority` of HTTP/2 requests a `.` as they are read.
///
/// gRPC's C core, which is behind its clients in C++, Python, Ruby and PHP, calls a server at a UNIX socket by the socket's
/// path, percent-encoded. That is a name by RFC 3986, section 3.2.2, but not one that the `http` crate takes: such requests
/// would be reset before they are seen. Nobody here looks at the name.
///
/// The core writes the header as two literals, neither of them Huffman-coded (RFC 7541, section 6.2.1): the bytes are there
/// as they are, and can be put in each other's place.
pub(crate) type Called<S> = Reads<S, Authority>;

/// Where in the stream the next byte is.
#[derive(Debug)]
pub(crate) struct Authority {
    place: Place,
    headers: Headers,
}

/// The size of what is before each frame, and the types of frames that hold headers: RFC 9113, sections 4.1, 6.2 and 6.10.
const FRAME_HEADER: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// The name as a literal: its length, and its bytes.
const NAME: &[u8] = b"\x0a:authority";

/// Where the next byte is.
#[derive(Debug)]
enum Place {
    /// Behind so many bytes of the preface.
    Preface(usize),
    /// In what is before a frame: behind so many bytes of it.
    FrameHeader { read: usize, length: usize, kind: u8 },
    /// In a frame, of which so many bytes are left.
    Payload { left: usize, holds_headers: bool },
    /// In something that is not HTTP/2.
    Elsewhere,
}

/// Where in headers the next byte is.
#[derive(Debug)]
enum Headers {
    /// Behind so many bytes of [`NAME`].
    Name(usize),
    /// In the length of the value, an integer with a prefix of 7 bits (RFC 7541, section 5.1): at its first byte, or at one
    /// whose bits count from this one on.
    Length,
    MoreLength {
        length: usize,
        from_bit: u32,
    },
    /// In the value, of which so many bytes are left.
    Value(usize),
}

impl<S> Called<S> {
    /// A stream from its beginning.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, look: Authority::new() }
    }
}

impl Look for Authority {
    fn look(
        &mut self,
        read: Poll<io::Result<()>>,
        bytes: &mut [u8],
        _cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.pass(bytes);
        read
    }
}

impl Authority {
    fn new() -> Self {
        Self { place: Place::Preface(0), headers: Headers::Name(0) }
    }

    /// Goes over the next bytes of the stream.
    fn pass(&mut self, mut bytes: &mut [u8]) {
        while let Some(&first) = bytes.first() {
            let mut passed = 1;
            self.place = match self.place {
                Place::Elsewhere => return,
                Place::Preface(matched) => match PREFACE.get(matched) {
                    Some(wanted) if *wanted == first && matched + 1 == PREFACE.len() => Place::NEXT_FRAME,
                    Some(wanted) if *wanted == first => Place::Preface(matched + 1),
                    _ => Place::Elsewhere,
                },
                Place::FrameHeader { read, length, kind } => {
                    let length = if read < 3 { length << 8 | usize::from(first) } else { length };
                    let kind = if read == 3 { first } else { kind };
                    if read + 1 < FRAME_HEADER {
                        Place::FrameHeader { read: read + 1, length, kind }
                    } else {
                        if kind == HEADERS {
                            self.headers = Headers::Name(0);
                        }
                        Place::payload(length, kind == HEADERS || kind == CONTINUATION)
                    }
                }
                Place::Payload { left, holds_headers } => {
                    passed = left.min(bytes.len());
                    if holds_headers {
                        bytes.iter_mut().take(passed).for_each(|byte| self.headers.pass(byte));
                    }
                    Place::payload(left - passed, holds_headers)
                }
            };
            bytes = bytes.get_mut(passed..).unwrap_or_default();
        }
    }
}

impl Place {
    const NEXT_FRAME: Self = Self::FrameHeader { read: 0, length: 0, kind: 0 };

    fn payload(left: usize, holds_headers: bool) -> Self {
        if left == 0 { Self::NEXT_FRAME } else { Self::Payload { left, holds_headers } }
    }
}

impl Headers {
    fn pass(&mut self, byte: &mut u8) {
        *self = match *self {
            Self::Name(matched) if NAME.get(matched) == Some(byte) && matched + 1 == NAME.len() => {
                Self::Length
            }
            Self::Name(matched) if NAME.get(matched) == Some(byte) => Self::Name(matched + 1),
            // Its first byte is nowhere else in the name, and cannot be in a value.
            Self::Name(_) => Self::Name((NAME.first() == Some(byte)).into()),
            // Huffman-coded, as no `%` is that the core writes.
            Self::Length if *byte & 0x80 != 0 => Self::Name(0),
            Self::Length if *byte == 0x7f => Self::MoreLength { length: 0x7f, from_bit: 0 },
            Self::Length => Self::value((*byte).into()),
            // No path of a socket takes more than two such bytes: what says so is garbage.
            Self::MoreLength { from_bit: 14.., .. } => Self::Name(0),
            Self::MoreLength { length, from_bit } => {
                let length = length + (usize::from(*byte & 0x7f) << from_bit);
                match *byte & 0x80 {
                    0 => Self::value(length),
                    _ => Self::MoreLength { length, from_bit: from_bit + 7 },
                }
            }
            Self::Value(left) => {
                if *byte == b'%' {
                    *byte = b'.';
                }
                Self::value(left - 1)
            }
        }
    }

    fn value(left: usize) -> Self {
        if left == 0 { Self::Name(0) } else { Self::Value(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 4, 0, 0, 0, 1], payload].concat()
    }

    /// The header as gRPC's C core writes it.
    fn authority(value: &[u8]) -> Vec<u8> {
        let length = match u8::try_from(value.len()).unwrap() {
            short @ ..0x7f => vec![short],
            long => vec![0x7f, long - 0x7f],
        };
        [&b"@"[..], NAME, &length, value].concat()
    }

    /// What is read of `written`, which comes in pieces of this size.
    async fn read(written: &[u8], piece: usize) -> Vec<u8> {
        let (mut client, server) = duplex(piece);
        let mut server = Called::new(server);
        let mut read = Vec::new();
        let (sent, received) = futures_util::future::join(
            async {
                client.write_all(written).await.unwrap();
                client.shutdown().await
            },
            server.read_to_end(&mut read),
        )
        .await;
        sent.unwrap();
        received.unwrap();
        read
    }

    async fn becomes(written: &[u8], wanted: &[u8]) {
        for piece in [1, 2, 7, written.len()] {
            assert_eq!(read(written, piece).await, wanted, "in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn the_path_of_a_socket_becomes_a_name_and_nothing_else_changes() {
        let headers = |value: &[u8]| {
            [&b"@\x05:path\x06/a%2F/"[..], &authority(value), b"\x83\x86@\x02te\x08trail%rs"].concat()
        };
        let data = authority(b"not%2Fa%2Fheader");
        let stream = |value: &[u8]| {
            let frames =
                [frame(4, &[0; 36]), frame(HEADERS, &headers(value)), frame(0, &data), frame(0, &[])];
            [PREFACE, &frames.concat(), &frame(HEADERS, &headers(value))].concat()
        };
        becomes(&stream(b"run%2Fsalver.sock"), &stream(b"run.2Fsalver.sock")).await;
        let (long, name) = ([b'%'; 200], [b'.'; 200]);
        becomes(&stream(&long), &stream(&name)).await;
        becomes(&stream(b"localhost"), &stream(b"localhost")).await;
    }

    #[tokio::test]
    async fn headers_that_go_on_in_another_frame_are_one_block() {
        let block = authority(b"run%2Fsalver.sock");
        for cut in 0..block.len() {
            let (first, rest) = block.split_at(cut);
            let stream = |rest: &[u8], first: &[u8]| {
                [PREFACE, &frame(HEADERS, first), &frame(CONTINUATION, rest)].concat()
            };
            let name: Vec<_> = block.iter().map(|byte| if *byte == b'%' { b'.' } else { *byte }).collect();
            assert_eq!(
                read(&stream(rest, first), 64).await,
                stream(&name[cut..], &name[..cut]),
                "cut at {cut}"
            );
        }
    }

    #[tokio::test]
    async fn another_protocol_is_left_alone() {
        let request = [b"POST /a HTTP/1.1\r\n\r\n", &frame(HEADERS, &authority(b"a%2Fb"))[..]].concat();
        becomes(&request, &request).await;
        let torn = [&PREFACE[..20], &frame(HEADERS, &authority(b"a%2Fb"))].concat();
        becomes(&torn, &torn).await;
    }

    #[tokio::test]
    async fn lengths_that_cannot_be_do_no_harm() {
        for length in [&b"\x8a"[..], b"\x7f\xff\xff\xff\xff\xff", b"\xff\xff", b"\x00", b""] {
            let block = [NAME, length].concat();
            let stream = [PREFACE, &frame(HEADERS, &block), &frame(HEADERS, &[0; 3])].concat();
            becomes(&stream, &stream).await;
        }
    }

    /// Bytes of a connection, some of which are what is looked for.
    fn any_stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(PREFACE.to_vec()),
            Just(NAME.to_vec()),
            "[%a-z]{0,9}".prop_map(|name| authority(name.as_bytes())),
            (0..12_u8, any::<Vec<u8>>()).prop_map(|(kind, payload)| frame(kind, &payload)),
            "[%a]{0,200}".prop_map(|name| frame(HEADERS, &authority(name.as_bytes()))),
            any::<Vec<u8>>(),
        ];
        let pieces = proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
        (any::<bool>(), pieces).prop_map(|(is_http2, rest)| match is_http2 {
            true => [PREFACE, &rest].concat(),
            false => rest,
        })
    }

    proptest! {
        #[test]
        fn nothing_changes_but_a_percent_sign_wherever_the_bytes_are_cut(
            stream in any_stream(), cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..5)
        ) {
            let mut whole = stream.clone();
            Authority::new().pass(&mut whole);
            prop_assert_eq!(whole.len(), stream.len());
            for (before, after) in stream.iter().zip(&whole) {
                prop_assert!(before == after || (*before, *after) == (b'%', b'.'));
            }
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let (mut cut, mut authority) = (stream.clone(), Authority::new());
            for piece in cuts.windows(2) {
                authority.pass(&mut cut[piece[0]..piece[1]]);
            }
            prop_assert_eq!(cut, whole);
        }
    }
}
