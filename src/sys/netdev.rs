//! Network interfaces, asked over `rtnetlink(7)`.
//!
//! One socket answers everything: name, index, flags, type, address, MTU, counters.
//! Unlike `/sys/class/net` it speaks of the network namespace that the socket was
//! opened in, and it still works when the process may open no files any more.
//! The kernel's answers are parsed as the untrusted bytes they formally are.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const HEADER_BYTES: usize = 16;
const IFINFO_BYTES: usize = 16;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_STATS64: u16 = 23;
const ANSWER_BYTES: usize = 64 * 1024;

/// What the kernel says of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NetDevice {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// `IFF_*`.
    pub flags: u32,
    /// `ARPHRD_*`.
    pub hardware_type: u16,
    /// Its address, if it has one of six bytes.
    pub mac: Option<[u8; 6]>,
    /// Its MTU, bytes.
    pub mtu: u32,
    /// `rx_missed_errors`: packets that the NIC had no room for.
    pub rx_missed: u64,
    /// `rx_fifo_errors`: packets lost to overruns.
    pub rx_fifo: u64,
}

impl NetDevice {
    /// Administratively up.
    pub const fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP.cast_unsigned() != 0
    }
    /// Up, with a link.
    pub const fn is_running(&self) -> bool {
        let both = (libc::IFF_UP | libc::IFF_RUNNING).cast_unsigned();
        self.flags & both == both
    }
    /// A loopback interface.
    pub const fn is_loopback(&self) -> bool {
        self.flags & libc::IFF_LOOPBACK.cast_unsigned() != 0
    }
}

/// A netlink socket that answers questions about interfaces.
#[derive(Debug)]
pub struct LinkQuery {
    socket: OwnedFd,
    sequence: u32,
    answer: Vec<u8>,
}

impl AsFd for LinkQuery {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl LinkQuery {
    /// Opens it in the network namespace of the calling thread. Needs no privilege.
    ///
    /// # Errors
    /// What `socket(2)` says.
    pub fn open() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let fd = unsafe {
            libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is open and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { socket, sequence: 0, answer: vec![0; ANSWER_BYTES] })
    }

    /// The interface of this name, or `None`.
    ///
    /// # Errors
    /// What the kernel says, other than that there is none.
    pub fn by_name(&mut self, name: &str) -> io::Result<Option<NetDevice>> {
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains('\0') {
            return Ok(None);
        }
        self.send(0, Some(name), 0)?;
        self.one()
    }

    /// The interface of this index, or `None`.
    ///
    /// # Errors
    /// What the kernel says, other than that there is none.
    pub fn by_index(&mut self, ifindex: u32) -> io::Result<Option<NetDevice>> {
        if ifindex == 0 {
            return Ok(None);
        }
        self.send(ifindex, None, 0)?;
        self.one()
    }

    /// All interfaces, by index.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn all(&mut self) -> io::Result<Vec<NetDevice>> {
        self.send(0, None, u16::try_from(libc::NLM_F_DUMP).unwrap_or(0))?;
        let mut found = Vec::new();
        loop {
            let length = self.receive()?;
            let done = each_message(&self.answer[..length], self.sequence, &mut |device| found.push(device))?;
            if done {
                found.sort_by_key(|device: &NetDevice| device.ifindex);
                return Ok(found);
            }
        }
    }

    fn one(&mut self) -> io::Result<Option<NetDevice>> {
        let length = self.receive()?;
        let mut found = None;
        match each_message(&self.answer[..length], self.sequence, &mut |device| found = Some(device)) {
            Ok(_) => Ok(found),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[expect(clippy::host_endian_bytes, reason = "netlink is in host order")]
    fn send(&mut self, ifindex: u32, name: Option<&str>, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = [0u8; HEADER_BYTES + IFINFO_BYTES + 4 + libc::IFNAMSIZ];
        let mut length = HEADER_BYTES + IFINFO_BYTES;
        request[HEADER_BYTES + 4..HEADER_BYTES + 8].copy_from_slice(&ifindex.to_ne_bytes());
        if let Some(name) = name {
            let attribute = u16::try_from(4 + name.len() + 1).unwrap_or(0);
            request[length..length + 2].copy_from_slice(&attribute.to_ne_bytes());
            request[length + 2..length + 4].copy_from_slice(&IFLA_IFNAME.to_ne_bytes());
            request[length + 4..length + 4 + name.len()].copy_from_slice(name.as_bytes());
            length += (4 + name.len() + 1).next_multiple_of(4);
        }
        let flags = flags | u16::try_from(libc::NLM_F_REQUEST).unwrap_or(1);
        request[0..4].copy_from_slice(&u32::try_from(length).unwrap_or(0).to_ne_bytes());
        request[4..6].copy_from_slice(&RTM_GETLINK.to_ne_bytes());
        request[6..8].copy_from_slice(&flags.to_ne_bytes());
        request[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        // SAFETY: `request` is readable for `length` bytes, which is within it.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), request.as_ptr().cast(), length, 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn receive(&mut self) -> io::Result<usize> {
        // SAFETY: `answer` is writable for its length. The kernel has queued its answer before `send` returned, so
        // not waiting is right: a missing answer is an error, not a reason to hang.
        let got = unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                self.answer.as_mut_ptr().cast(),
                self.answer.len(),
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes)
}

/// Hands over each link in an answer; true at the end of a dump. Answers to earlier questions are skipped.
fn each_message(mut bytes: &[u8], sequence: u32, each: &mut impl FnMut(NetDevice)) -> io::Result<bool> {
    while let (Some(length), Some(kind), Some(number)) =
        (u32_at(bytes, 0), u16_at(bytes, 4), u32_at(bytes, 8))
    {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(message) = bytes.get(..length).filter(|m| m.len() >= HEADER_BYTES) else { break };
        if number == sequence {
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(true),
                libc::NLMSG_ERROR => {
                    let code = u32_at(message, HEADER_BYTES).unwrap_or(0).cast_signed();
                    if code != 0 {
                        return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                    }
                }
                _ if kind == RTM_NEWLINK => {
                    if let Some(device) = parse_link(&message[HEADER_BYTES..]) {
                        each(device);
                    }
                }
                _ => {}
            }
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Ok(false)
}

fn parse_link(bytes: &[u8]) -> Option<NetDevice> {
    let mut device = NetDevice {
        hardware_type: u16_at(bytes, 2)?,
        ifindex: u32_at(bytes, 4)?,
        flags: u32_at(bytes, 8)?,
        ..NetDevice::default()
    };
    let mut rest = bytes.get(IFINFO_BYTES..)?;
    while let (Some(length), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let length = usize::from(length);
        let Some(value) = rest.get(4..length) else { break };
        match kind {
            IFLA_ADDRESS => device.mac = value.try_into().ok(),
            IFLA_IFNAME => {
                let name = value.split(|b| *b == 0).next().unwrap_or(&[]);
                device.name = String::from_utf8_lossy(name).into_owned();
            }
            IFLA_MTU => device.mtu = u32_at(value, 0).unwrap_or(0),
            IFLA_STATS64 => {
                device.rx_fifo = u64_at(value, 14 * 8).unwrap_or(0);
                device.rx_missed = u64_at(value, 15 * 8).unwrap_or(0);
            }
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Some(device)
}

#[cfg(test)]
mod tests {
    use super::{LinkQuery, each_message, parse_link};
    use proptest::prelude::*;

    #[test]
    fn the_loopback_is_found_by_name_by_index_and_in_the_list() {
        let mut query = LinkQuery::open().unwrap();
        let lo = query.by_name("lo").unwrap().expect("every namespace has one");
        assert!(lo.is_loopback());
        assert_eq!(lo.hardware_type, libc::ARPHRD_LOOPBACK);
        assert_eq!(query.by_index(lo.ifindex).unwrap().unwrap().name, "lo");
        assert!(query.all().unwrap().iter().any(|d| d.name == "lo" && d.mtu == lo.mtu));
    }

    #[test]
    fn an_interface_that_is_not_there_is_none_and_no_error() {
        let mut query = LinkQuery::open().unwrap();
        assert_eq!(query.by_name("no-such-if").unwrap(), None);
        assert_eq!(query.by_name("a-name-longer-than-the-kernel-takes").unwrap(), None);
        assert_eq!(query.by_index(0x7fff_fff0).unwrap(), None);
        assert!(query.by_name("lo").unwrap().is_some(), "and the next question is answered rightly");
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = each_message(&bytes, 1, &mut |_| {});
            let _ = parse_link(&bytes);
        }
    }
}
