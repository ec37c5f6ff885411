//! A stream whose client must say soon which protocol it speaks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What an HTTP/2 connection begins with. The time-outs of either protocol begin once this is told from HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream that fails with [`io::ErrorKind::TimedOut`] where its client has neither sent the whole preface of HTTP/2
/// nor anything else in time.
///
/// A connection that never says a word would otherwise be held for ever, and so few are a server's worth.
#[derive(Debug)]
pub(crate) struct Greeted<S> {
    stream: S,
    /// How much of the preface has come, and until when the rest may; `None` once it is known what is spoken.
    waiting: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S> Greeted<S> {
    /// A stream whose client has `timeout` from now. To be called within a runtime.
    pub(crate) fn new(stream: S, timeout: Duration) -> Self {
        Self { stream, waiting: Some((0, Box::pin(sleep(timeout)))) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let Some((matched, until)) = &mut this.waiting else { return polled };
        if polled.is_pending() {
            return until.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        let read = buffer.filled().get(before..).unwrap_or_default();
        let rest = PREFACE.get(*matched..).unwrap_or_default();
        if read.len() < rest.len() && rest.starts_with(read) {
            *matched += read.len();
        } else {
            this.waiting = None;
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
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
