//! A socket between two processes that carries messages, and open files with them.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

/// The longest message: descriptions of tensors, never their elements.
const MOST: usize = 64 << 20;
/// A message begins with its length.
const HEAD: usize = size_of::<u32>();

/// Why nothing can be said or heard any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The other process has ended, or closed its end.
    #[error("the other end is closed")]
    Closed,
    #[error("the socket failed: {0}")]
    Socket(#[from] Errno),
    #[error("a message of {0} bytes, at most {MOST} were wanted")]
    TooLong(usize),
    #[error("a message that cannot be read: {0}")]
    Unreadable(#[from] postcard::Error),
    /// Whoever waited does not any more.
    #[error("nobody waits for it any more")]
    Abandoned,
}

/// One end of a socket.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// A message as it came.
#[derive(Debug, Default)]
pub(crate) struct Received {
    bytes: Vec<u8>,
    /// The file that was sent along.
    pub(crate) file: Option<OwnedFd>,
}

impl Received {
    pub(crate) fn message<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Broken> {
        Ok(postcard::from_bytes(&self.bytes)?)
    }
}

impl Channel {
    /// Both ends of a new socket. Neither is inherited by a program that is started.
    pub(crate) fn pair() -> Result<(Self, Self), Broken> {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), Self(other)))
    }

    /// The end that was given to this process.
    pub(crate) fn of(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// This end, to be given to another process.
    pub(crate) fn into_inner(self) -> OwnedFd {
        self.0
    }

    /// How long [`Channel::receive`] waits before it looks up.
    pub(crate) fn look_up_every(&self, interval: Duration) -> Result<(), Broken> {
        Ok(set_socket_timeout(&self.0, Timeout::Recv, Some(interval))?)
    }

    pub(crate) fn send<T: Serialize>(&self, message: &T) -> Result<(), Broken> {
        self.send_with(message, None)
    }

    /// Sends a message, and an open file with it.
    pub(crate) fn send_with<T: Serialize>(
        &self,
        message: &T,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<(), Broken> {
        let mut bytes = postcard::to_extend(message, vec![0; HEAD])?;
        let length = bytes.len() - HEAD;
        let head = u32::try_from(length).ok().filter(|_| length <= MOST).ok_or(Broken::TooLong(length))?;
        bytes.splice(..HEAD, head.to_le_bytes());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            let mut along = SendAncillaryBuffer::new(&mut space);
            let files = file.filter(|_| sent == 0).map(|file| [file]);
            if let Some(files) = &files {
                along.push(SendAncillaryMessage::ScmRights(files));
            }
            match sendmsg(&self.0, &[IoSlice::new(rest)], &mut along, SendFlags::NOSIGNAL) {
                Ok(count) => sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Broken::Closed),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Waits for the next message; `look_up` is called now and then meanwhile, and may end the wait.
    pub(crate) fn receive(
        &self,
        into: &mut Received,
        mut look_up: impl FnMut() -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        into.file = None;
        let mut head = [0; HEAD];
        self.fill(&mut head, &mut into.file, &mut look_up)?;
        let length = u32::from_le_bytes(head) as usize;
        if length > MOST {
            return Err(Broken::TooLong(length));
        }
        into.bytes.resize(length, 0);
        self.fill(&mut into.bytes, &mut into.file, &mut look_up)
    }

    fn fill(
        &self,
        bytes: &mut [u8],
        file: &mut Option<OwnedFd>,
        look_up: &mut impl FnMut() -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let mut along = RecvAncillaryBuffer::new(&mut space);
            match recvmsg(&self.0, &mut [IoSliceMut::new(rest)], &mut along, RecvFlags::CMSG_CLOEXEC) {
                Ok(message) if message.bytes == 0 => return Err(Broken::Closed),
                Ok(message) => filled += message.bytes,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => look_up()?,
                Err(Errno::CONNRESET) => return Err(Broken::Closed),
                Err(errno) => return Err(errno.into()),
            }
            for rights in along.drain() {
                if let RecvAncillaryMessage::ScmRights(mut files) = rights {
                    *file = files.next();
                }
            }
        }
        Ok(())
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(channel: &Channel) -> Result<Received, Broken> {
        let mut received = Received::default();
        channel.receive(&mut received, || Ok(()))?;
        Ok(received)
    }

    #[test]
    fn messages_arrive_in_order_and_files_with_theirs() {
        let (here, there) = Channel::pair().unwrap();
        let (sent, _kept) = Channel::pair().unwrap();
        here.send(&"first").unwrap();
        here.send_with(&"second", Some(sent.as_fd())).unwrap();
        here.send(&"third").unwrap();
        for (text, has_file) in [("first", false), ("second", true), ("third", false)] {
            let received = receive(&there).unwrap();
            assert_eq!(received.message::<&str>().unwrap(), text);
            assert_eq!(received.file.is_some(), has_file, "{text}");
        }
    }

    #[test]
    fn a_message_longer_than_the_socket_holds_arrives_whole() {
        let (here, there) = Channel::pair().unwrap();
        let long = "x".repeat(3 << 20);
        std::thread::scope(|scope| {
            scope.spawn(|| here.send(&long).unwrap());
            assert_eq!(receive(&there).unwrap().message::<&str>().unwrap(), long);
        });
    }

    #[test]
    fn an_end_that_is_gone_and_a_length_that_cannot_be_are_told() {
        let (here, there) = Channel::pair().unwrap();
        rustix::io::write(&here, &u32::MAX.to_le_bytes()).unwrap();
        assert!(matches!(receive(&there), Err(Broken::TooLong(length)) if length == u32::MAX as usize));
        drop(here);
        assert!(matches!(receive(&there), Err(Broken::Closed)));
        assert!(matches!(there.send(&1u8), Err(Broken::Closed)));
    }

    #[test]
    fn whoever_waits_may_look_up_and_give_up() {
        let (_here, there) = Channel::pair().unwrap();
        there.look_up_every(Duration::from_millis(1)).unwrap();
        let mut times = 0;
        let waited = there.receive(&mut Received::default(), || {
            times += 1;
            if times < 3 { Ok(()) } else { Err(Broken::Abandoned) }
        });
        assert!(matches!(waited, Err(Broken::Abandoned)));
        assert_eq!(times, 3);
    }
}
