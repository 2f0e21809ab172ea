//! IP multicast group joins on one interface, held by sockets that are never read.

use super::sockopt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Joined groups. Leaving is closing.
#[derive(Debug, Default)]
pub struct Memberships {
    /// Several, because the kernel bounds the groups of one socket (`net.ipv4.igmp_max_memberships`, 20).
    sockets_v4: Vec<OwnedFd>,
    socket_v6: Option<OwnedFd>,
    joined: Vec<Joined>,
}

#[derive(Clone, Copy, Debug)]
struct Joined {
    group: IpAddr,
    /// Which of the IPv4 sockets holds it.
    socket: usize,
}

impl Memberships {
    /// Joins `group` on interface `ifindex`.
    ///
    /// # Errors
    /// `EINVAL` if the address is no multicast group; what the kernel says otherwise.
    pub fn join(&mut self, group: IpAddr, ifindex: u32) -> io::Result<()> {
        let socket = match group {
            IpAddr::V4(group) => self.join_v4(group, ifindex)?,
            IpAddr::V6(group) => {
                let socket = match self.socket_v6.take() {
                    Some(socket) => socket,
                    None => open(libc::AF_INET6)?,
                };
                let socket = self.socket_v6.insert(socket);
                change_v6(socket.as_fd(), libc::IPV6_ADD_MEMBERSHIP, group, ifindex)?;
                0
            }
        };
        self.joined.push(Joined { group, socket });
        Ok(())
    }

    fn join_v4(&mut self, group: Ipv4Addr, ifindex: u32) -> io::Result<usize> {
        if let Some(last) = self.sockets_v4.last() {
            match change_v4(last.as_fd(), libc::IP_ADD_MEMBERSHIP, group, ifindex) {
                Ok(()) => return Ok(self.sockets_v4.len() - 1),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {} // this socket is full
                Err(error) => return Err(error),
            }
        }
        let socket = open(libc::AF_INET)?;
        change_v4(socket.as_fd(), libc::IP_ADD_MEMBERSHIP, group, ifindex)?;
        self.sockets_v4.push(socket);
        Ok(self.sockets_v4.len() - 1)
    }

    /// Joins all groups again on an interface that came back as `new`. Opens no socket.
    ///
    /// # Errors
    /// The first group that could not be joined; the others are.
    pub fn move_to(&mut self, old: u32, new: u32) -> io::Result<()> {
        let mut outcome = Ok(());
        for joined in &self.joined {
            let moved = match (joined.group, self.sockets_v4.get(joined.socket), &self.socket_v6) {
                (IpAddr::V4(group), Some(socket), _) => {
                    // The kernel may have forgotten it with the interface: that is as good as left.
                    let _ = change_v4(socket.as_fd(), libc::IP_DROP_MEMBERSHIP, group, old);
                    change_v4(socket.as_fd(), libc::IP_ADD_MEMBERSHIP, group, new)
                }
                (IpAddr::V6(group), _, Some(socket)) => {
                    let _ = change_v6(socket.as_fd(), libc::IPV6_DROP_MEMBERSHIP, group, old);
                    change_v6(socket.as_fd(), libc::IPV6_ADD_MEMBERSHIP, group, new)
                }
                _ => Ok(()),
            };
            outcome = outcome.and(moved);
        }
        outcome
    }
}

fn open(family: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` is open and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    debug_assert!(socket.as_raw_fd() >= 0);
    Ok(socket)
}

fn change_v4(socket: BorrowedFd<'_>, what: i32, group: Ipv4Addr, ifindex: u32) -> io::Result<()> {
    let request = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: group.to_bits().to_be() },
        imr_address: libc::in_addr { s_addr: 0 },
        imr_ifindex: ifindex.cast_signed(),
    };
    sockopt::set(socket, libc::IPPROTO_IP, what, &request)
}

fn change_v6(socket: BorrowedFd<'_>, what: i32, group: Ipv6Addr, ifindex: u32) -> io::Result<()> {
    let request = libc::ipv6_mreq {
        ipv6mr_multiaddr: libc::in6_addr { s6_addr: group.octets() },
        ipv6mr_interface: ifindex,
    };
    sockopt::set(socket, libc::IPPROTO_IPV6, what, &request)
}
