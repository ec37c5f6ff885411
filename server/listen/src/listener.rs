//! Where connections come from.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

use crate::authority::Called;

/// A connection.
pub(crate) type Stream = Either<TcpStream, Called<UnixStream>>;

/// An open port, or the socket at a path, which is taken away when this is dropped.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self(Kind::Tcp(listener))
    }
}

impl Listener {
    /// Opens a socket at `path`, in place of one that is there: as gRPC's servers do, so that a server that follows another takes
    /// over from it. Call it in a runtime of tokio's.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`]: something other than a socket is there; others as the system says.
    pub fn unix(path: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let file = SocketFile::at(path)?;
        Ok(Self(Kind::Unix { listener, _file: file }))
    }

    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match &self.0 {
            Kind::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are small and latency counts; where it cannot be set, they are only slower.
                let _ = stream.set_nodelay(true);
                Ok(Either::Left(stream))
            }
            Kind::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok(Either::Right(Called::new(stream)))
            }
        }
    }
}

/// The file of a socket, which does not go with the socket by itself.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        // Absolute, since the current directory may be another one at the end.
        let path = std::path::absolute(path)?;
        let identity = identity(&path)?;
        Ok(Self { path, identity })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another server may have put its own there meanwhile.
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(%error, path = %self.path.display(), "a socket's file was left behind");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_goes_with_its_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("salver.sock");
        let listener = Listener::unix(&path).unwrap();
        let (accepted, connected) =
            futures_util::future::join(listener.accept(), UnixStream::connect(&path)).await;
        assert!(accepted.is_ok() && connected.is_ok());
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn who_comes_later_takes_the_path_over_and_keeps_it_when_the_first_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("salver.sock");
        let first = Listener::unix(&path).unwrap();
        let second = Listener::unix(&path).unwrap();
        drop(first);
        let (accepted, connected) =
            futures_util::future::join(second.accept(), UnixStream::connect(&path)).await;
        assert!(accepted.is_ok() && connected.is_ok());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "kept").unwrap();
        assert_eq!(Listener::unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read(&path).unwrap(), b"kept");
    }
}
