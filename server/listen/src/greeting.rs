//! A stream whose client must say soon which protocol it speaks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::reads::{Look, Reads};

/// What an HTTP/2 connection begins with: RFC 9113, section 3.4. The time-outs of either protocol begin once this is told
/// from HTTP/1.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream that fails with [`io::ErrorKind::TimedOut`] where its client has neither sent the whole preface of HTTP/2
/// nor anything else in time.
///
/// A connection that never says a word would otherwise be held for ever, and so few are a server's worth.
pub(crate) type Greeted<S> = Reads<S, Greeting>;

/// How much of the preface has come, and until when the rest may; `None` once it is known what is spoken.
#[derive(Debug)]
pub(crate) struct Greeting(Option<(usize, Pin<Box<Sleep>>)>);

impl<S> Greeted<S> {
    /// A stream whose client has `timeout` from now. To be called within a runtime.
    pub(crate) fn new(stream: S, timeout: Duration) -> Self {
        Self { stream, look: Greeting(Some((0, Box::pin(sleep(timeout))))) }
    }
}

impl Look for Greeting {
    fn look(
        &mut self,
        read: Poll<io::Result<()>>,
        bytes: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some((matched, until)) = &mut self.0 else { return read };
        if read.is_pending() {
            return until.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        let rest = PREFACE.get(*matched..).unwrap_or_default();
        if bytes.len() < rest.len() && rest.starts_with(bytes) {
            *matched += bytes.len();
        } else {
            self.0 = None;
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    /// What a server reads after the client's words, with all the time there is.
    async fn after(words: &[u8]) -> io::Result<usize> {
        let (mut client, server) = duplex(64);
        let mut server = Greeted::new(server, Duration::from_secs(1));
        client.write_all(words).await.unwrap();
        let mut read = vec![0; words.len()];
        server.read_exact(&mut read).await.unwrap();
        assert_eq!(read, words);
        let mut next = [0];
        tokio::select! {
            read = server.read(&mut next) => read,
            () = sleep(Duration::from_secs(1000)) => Ok(0),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_never_ends_the_preface_is_given_up() {
        for words in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
            assert_eq!(after(words).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_said_what_is_spoken_is_left_to_the_protocol() {
        for words in [PREFACE, b"G", b"PRO", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore"] {
            assert_eq!(after(words).await.unwrap(), 0);
        }
    }
}
