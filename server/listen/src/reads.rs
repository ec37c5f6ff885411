//! A stream whose bytes are looked at as they are read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Who looks at them.
pub(crate) trait Look: Unpin {
    /// Looks at a read and at the bytes that it brought, and says what becomes of it.
    fn look(
        &mut self,
        read: Poll<io::Result<()>>,
        bytes: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>;
}

/// A stream with somebody who looks at what is read of it. What is written passes.
#[derive(Debug)]
pub(crate) struct Reads<S, L> {
    pub(crate) stream: S,
    pub(crate) look: L,
}

impl<S: AsyncRead + Unpin, L: Look> AsyncRead for Reads<S, L> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        this.look.look(read, buffer.filled_mut().get_mut(before..).unwrap_or_default(), cx)
    }
}

impl<S: AsyncWrite + Unpin, L: Unpin> AsyncWrite for Reads<S, L> {
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
