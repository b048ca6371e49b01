// SPDX-License-Identifier: MIT

//! Sockets that keep packets apart.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockType, recv, socketpair};

use super::memory::above_standard;

/// Two ends of one.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (kind, flags) = (SockType::SeqPacket, SockFlag::SOCK_CLOEXEC);
    let (ours, theirs) = socketpair(AddressFamily::Unix, kind, None, flags)?;
    Ok((above_standard(ours)?, above_standard(theirs)?))
}

/// Sends `packet`.
pub fn send(socket: &OwnedFd, packet: &[u8], flags: MsgFlags) -> io::Result<()> {
    let flags = MsgFlags::MSG_NOSIGNAL | flags;
    loop {
        match socket::send(socket.as_raw_fd(), packet, flags) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits for a packet for at most `time`; whether there is one, or the other side is gone.
pub fn wait(socket: &OwnedFd, time: Duration) -> bool {
    // Never 0 while there is time left.
    let ms = PollTimeout::try_from(time.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, ms).is_ok_and(|ready| ready > 0)
}

/// Takes a packet that has come into `to`: its length, 0 where the other side is gone.
pub fn take(socket: &OwnedFd, to: &mut [u8]) -> Option<usize> {
    let mut was_reset = false;
    loop {
        match recv(socket.as_raw_fd(), to, MsgFlags::MSG_DONTWAIT) {
            Ok(n) => return Some(n),
            Err(Errno::EINTR | Errno::EAGAIN) => return None,
            // Said once, before what it sent last, where it left a packet of this side unread.
            Err(Errno::ECONNRESET) if !was_reset => was_reset = true,
            Err(_) => return Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_sent_last_arrives_whatever_it_left_unread() {
        let (ours, theirs) = pair().unwrap();
        let mut packet = [0; 8];
        assert_eq!(take(&ours, &mut packet), None);
        for (socket, packet) in [(&ours, &b"W"[..]), (&theirs, b"Pone"), (&theirs, b"Ptwo")] {
            send(socket, packet, MsgFlags::empty()).unwrap();
        }
        drop(theirs);
        assert_eq!(take(&ours, &mut packet), Some(4));
        assert_eq!(&packet[..4], b"Pone");
        assert_eq!(take(&ours, &mut packet), Some(4));
        assert_eq!(&packet[..4], b"Ptwo");
        assert_eq!(take(&ours, &mut packet), Some(0));
    }

    #[test]
    fn a_wait_ends_with_a_packet_or_its_time() {
        let (ours, theirs) = pair().unwrap();
        assert!(!wait(&ours, Duration::ZERO) && !wait(&ours, Duration::from_micros(1)));
        send(&theirs, b"P", MsgFlags::empty()).unwrap();
        assert!(wait(&ours, Duration::MAX));
        assert_eq!(take(&ours, &mut [0; 8]), Some(1));
        assert!(!wait(&ours, Duration::ZERO));
        drop(theirs);
        assert!(wait(&ours, Duration::MAX));
    }
}
