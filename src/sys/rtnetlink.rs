//! Interfaces made, changed and read by `rtnetlink(7)`: what the lab needs of it, with no `ip` program.
//!
//! Works in the network namespace of the thread that opened it. Every request is
//! acknowledged by the kernel; a refusal becomes a named error with the kernel's own
//! words where it gave some. Nothing here waits for anything but that answer.

mod message;

use message::{HEADER_LEN, KIND_ERROR, Request};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect, recv, send, socket,
};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE_EXCLUSIVE: u16 = 0x400 | 0x200;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_QDISC: u16 = 6;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAG_NODAD: u8 = 2;

const IFF_UP: u32 = 1;
const IFF_LOWER_UP: u32 = 0x1_0000;

/// Longest name of an interface, bytes.
const MAX_NAME_BYTES: usize = 15;

/// Why a request about an interface was not granted.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Not allowed.
    #[error("{what}: not permitted; it needs CAP_NET_ADMIN: run it with sudo, or in a namespace of its own")]
    NotPermitted {
        /// What was asked.
        what: String,
    },
    /// An interface of that name exists.
    #[error("{what}: there is one of that name already")]
    Exists {
        /// What was asked.
        what: String,
    },
    /// There is no such interface.
    #[error("{what}: there is no such interface")]
    NoSuchInterface {
        /// What was asked.
        what: String,
    },
    /// The kernel cannot make this kind of interface.
    #[error("{what}: this kernel has no veth interfaces (CONFIG_VETH; `modprobe veth` may load them)")]
    NoVeth {
        /// What was asked.
        what: String,
    },
    /// Not a name for an interface.
    #[error("`{name}` cannot name an interface: 1 to 15 bytes, none of them `/`, blank or NUL")]
    BadName {
        /// What was given.
        name: String,
    },
    /// Refused for another reason.
    #[error("{what}: {errno}{explanation}")]
    Refused {
        /// What was asked.
        what: String,
        /// What the kernel said.
        errno: Errno,
        /// The kernel's own words, in parentheses; empty if it gave none.
        explanation: String,
    },
    /// The socket failed.
    #[error("{what}: rtnetlink: {error}")]
    Io {
        /// What was asked.
        what: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The kernel's answer made no sense.
    #[error("{what}: rtnetlink gave an answer that cannot be read")]
    BadAnswer {
        /// What was asked.
        what: String,
    },
}

/// What the kernel says of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkFacts {
    /// Its index in this namespace.
    pub index: u32,
    /// Largest payload of a frame, bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Up, and the other end is there too.
    pub carrier: bool,
    /// Up, with carrier, and its sending queue is in place. Carrier comes a moment earlier, and a frame sent in
    /// between is lost though the kernel accepted it.
    pub sends: bool,
    /// Hardware address, for those that have one of six bytes.
    pub mac: Option<[u8; 6]>,
    /// What it counted since it was made.
    pub counts: LinkCounts,
}

/// Counters of an interface (`struct rtnl_link_stats64`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Frames dropped on the way in.
    pub rx_dropped: u64,
    /// Frames dropped on the way out; for a veth also those its peer had no room for.
    pub tx_dropped: u64,
}

/// A connection to the kernel's interface table, in the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Rtnetlink {
    fd: OwnedFd,
    sequence: u32,
}

impl Rtnetlink {
    /// Opens one.
    ///
    /// # Errors
    /// [`LinkError::Io`] if the kernel gives no netlink socket.
    pub fn open() -> Result<Self, LinkError> {
        let fail = |errno: Errno| LinkError::Io { what: "opening rtnetlink".to_owned(), error: errno.into() };
        let fd =
            socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
                .map_err(fail)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(fail)?;
        // Connected to the kernel (port 0): messages of other processes are not received.
        connect(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(fail)?;
        ask_for_explanations(&fd);
        Ok(Self { fd, sequence: 0 })
    }

    /// Makes a pair of veth interfaces, down, both with this MTU.
    ///
    /// # Errors
    /// [`LinkError::Exists`], [`LinkError::NotPermitted`], [`LinkError::NoVeth`], [`LinkError::BadName`] …
    pub fn create_veth(&mut self, name: &str, peer: &str, mtu: u32) -> Result<(), LinkError> {
        check_name(name)?;
        check_name(peer)?;
        let request = self
            .request(NEW_LINK, ACK | CREATE_EXCLUSIVE)
            .interface(0, 0, 0)
            .str_attr(IFLA_IFNAME, name)
            .u32_attr(IFLA_MTU, mtu)
            .nested(IFLA_LINKINFO, |info| {
                info.str_attr(IFLA_INFO_KIND, "veth").nested(IFLA_INFO_DATA, |data| {
                    data.nested(VETH_INFO_PEER, |side| {
                        side.interface(0, 0, 0).str_attr(IFLA_IFNAME, peer).u32_attr(IFLA_MTU, mtu)
                    })
                })
            });
        self.ask(request, || format!("making the veth pair {name}, {peer}"))
    }

    /// Brings an interface up.
    ///
    /// # Errors
    /// [`LinkError::NoSuchInterface`], [`LinkError::NotPermitted`] …
    pub fn set_up(&mut self, name: &str, up: bool) -> Result<(), LinkError> {
        check_name(name)?;
        let flags = if up { IFF_UP } else { 0 };
        let request = self.request(SET_LINK, ACK).interface(0, flags, IFF_UP).str_attr(IFLA_IFNAME, name);
        self.ask(request, || format!("setting {name} {}", if up { "up" } else { "down" }))
    }

    /// Sets the MTU of an interface, bytes.
    ///
    /// # Errors
    /// [`LinkError::Refused`] with the kernel's bounds, [`LinkError::NoSuchInterface`] …
    pub fn set_mtu(&mut self, name: &str, mtu: u32) -> Result<(), LinkError> {
        check_name(name)?;
        let request = self
            .request(SET_LINK, ACK)
            .interface(0, 0, 0)
            .str_attr(IFLA_IFNAME, name)
            .u32_attr(IFLA_MTU, mtu);
        self.ask(request, || format!("setting the MTU of {name} to {mtu}"))
    }

    /// Keeps IPv6 from giving the interface an address of its own, and so from sending
    /// solicitations and reports nobody asked for. A kernel without IPv6 is content as it is.
    ///
    /// # Errors
    /// [`LinkError::NoSuchInterface`], [`LinkError::NotPermitted`] …
    pub fn silence_ipv6(&mut self, name: &str) -> Result<(), LinkError> {
        check_name(name)?;
        let request = self.request(SET_LINK, ACK).interface(0, 0, 0).str_attr(IFLA_IFNAME, name).nested(
            IFLA_AF_SPEC,
            |spec| {
                spec.nested(u16::from(AF_INET6), |v6| {
                    v6.bytes_attr(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE])
                })
            },
        );
        match self.ask(request, || format!("silencing IPv6 on {name}")) {
            Err(LinkError::Refused { errno: Errno::EAFNOSUPPORT, .. }) => Ok(()),
            answer => answer,
        }
    }

    /// Adds an address to an interface.
    ///
    /// # Errors
    /// [`LinkError::Exists`], [`LinkError::NoSuchInterface`], [`LinkError::NotPermitted`] …
    pub fn add_address(&mut self, name: &str, address: IpAddr, prefix_bits: u8) -> Result<(), LinkError> {
        let index = self.link(name)?.index;
        let request = self.request(NEW_ADDRESS, ACK | CREATE_EXCLUSIVE);
        let request = match address {
            IpAddr::V4(v4) => request
                .address(AF_INET, prefix_bits, 0, index)
                .bytes_attr(IFA_LOCAL, &v4.octets())
                .bytes_attr(IFA_ADDRESS, &v4.octets()),
            // No duplicate detection: nobody else is there, and it would put frames on the wire.
            IpAddr::V6(v6) => request
                .address(AF_INET6, prefix_bits, IFA_FLAG_NODAD, index)
                .bytes_attr(IFA_LOCAL, &v6.octets())
                .bytes_attr(IFA_ADDRESS, &v6.octets()),
        };
        self.ask(request, || format!("adding {address}/{prefix_bits} to {name}"))
    }

    /// Deletes an interface (of a veth pair: both).
    ///
    /// # Errors
    /// [`LinkError::NoSuchInterface`], [`LinkError::NotPermitted`] …
    pub fn delete(&mut self, name: &str) -> Result<(), LinkError> {
        check_name(name)?;
        let request = self.request(DELETE_LINK, ACK).interface(0, 0, 0).str_attr(IFLA_IFNAME, name);
        self.ask(request, || format!("deleting {name}"))
    }

    /// What the kernel says of an interface now.
    ///
    /// # Errors
    /// [`LinkError::NoSuchInterface`] …
    pub fn link(&mut self, name: &str) -> Result<LinkFacts, LinkError> {
        check_name(name)?;
        let request = self.request(GET_LINK, 0).interface(0, 0, 0).str_attr(IFLA_IFNAME, name);
        let what = || format!("asking about {name}");
        let answer = self.exchange(request, &what)?;
        let message = self.ours(&answer, &what)?;
        if message.kind == NEW_LINK {
            link_facts(message.body).ok_or_else(|| LinkError::BadAnswer { what: what() })
        } else {
            refusal(&message, &what)?;
            Err(LinkError::BadAnswer { what: what() })
        }
    }

    fn request(&mut self, kind: u16, flags: u16) -> Request {
        self.sequence = self.sequence.wrapping_add(1);
        Request::new(kind, REQUEST | flags, self.sequence)
    }

    fn ask(&mut self, request: Request, what: impl Fn() -> String) -> Result<(), LinkError> {
        let answer = self.exchange(request, &what)?;
        refusal(&self.ours(&answer, &what)?, &what)
    }

    /// Sends one request and takes one datagram: the kernel answers in the same system call.
    fn exchange(&self, request: Request, what: &impl Fn() -> String) -> Result<Vec<u8>, LinkError> {
        let fail = |errno: Errno| LinkError::Io { what: what(), error: errno.into() };
        let bytes = request.finish();
        send(self.fd.as_raw_fd(), &bytes, MsgFlags::empty()).map_err(fail)?;
        // A link's description with all its counters is a few KiB.
        let mut answer = vec![0; 64 << 10];
        let len = loop {
            match recv(self.fd.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EINTR) => {}
                answered => break answered.map_err(fail)?,
            }
        };
        answer.truncate(len);
        Ok(answer)
    }

    fn ours<'a>(
        &self,
        answer: &'a [u8],
        what: &impl Fn() -> String,
    ) -> Result<message::Message<'a>, LinkError> {
        message::messages(answer)
            .find(|message| message.sequence == self.sequence)
            .ok_or_else(|| LinkError::BadAnswer { what: what() })
    }
}

/// Asks the kernel to say in words why it refuses, and not to echo the request. Kernels before 4.12
/// cannot; then there are no words.
fn ask_for_explanations(fd: &OwnedFd) {
    const NETLINK_CAP_ACK: libc::c_int = 10;
    const NETLINK_EXT_ACK: libc::c_int = 11;
    const INT_LEN: libc::socklen_t = 4;
    let on: libc::c_int = 1;
    for option in [NETLINK_CAP_ACK, NETLINK_EXT_ACK] {
        // SAFETY: `on` is a live int of INT_LEN bytes; the kernel only reads it.
        unsafe {
            libc::setsockopt(fd.as_raw_fd(), libc::SOL_NETLINK, option, (&raw const on).cast(), INT_LEN);
        }
    }
}

/// `Ok` if the message acknowledges, else the refusal as a named error.
fn refusal(message: &message::Message<'_>, what: &impl Fn() -> String) -> Result<(), LinkError> {
    let what = what();
    if message.kind != KIND_ERROR {
        return Err(LinkError::BadAnswer { what });
    }
    let Some((errno, explanation)) = message::acknowledgement(message) else {
        return Err(LinkError::BadAnswer { what });
    };
    if errno == 0 {
        return Ok(());
    }
    let explanation = explanation.filter(|text| !text.is_empty());
    Err(match Errno::from_raw(errno) {
        Errno::EPERM | Errno::EACCES => LinkError::NotPermitted { what },
        Errno::EEXIST => LinkError::Exists { what },
        Errno::ENODEV => LinkError::NoSuchInterface { what },
        Errno::EOPNOTSUPP if what.contains("veth pair") => LinkError::NoVeth { what },
        errno => LinkError::Refused {
            what,
            errno,
            explanation: explanation.map(|text| format!(" ({text})")).unwrap_or_default(),
        },
    })
}

/// Reads `struct ifinfomsg` and the attributes behind it.
fn link_facts(body: &[u8]) -> Option<LinkFacts> {
    let flags = message::u32_at(body, 8)?;
    let mut facts = LinkFacts {
        index: message::u32_at(body, 4)?,
        up: flags & IFF_UP != 0,
        carrier: flags & IFF_LOWER_UP != 0,
        ..LinkFacts::default()
    };
    for (kind, value) in message::attributes(body.get(HEADER_LEN..)?) {
        match kind {
            IFLA_MTU => facts.mtu = message::u32_at(value, 0)?,
            // "noop" throws everything away; the kernel puts it in until the queue is ready.
            IFLA_QDISC => facts.sends = facts.up && facts.carrier && !value.starts_with(b"noop\0"),
            IFLA_ADDRESS => facts.mac = value.try_into().ok(),
            IFLA_STATS64 => {
                facts.counts = LinkCounts {
                    rx_packets: message::u64_at(value, 0)?,
                    tx_packets: message::u64_at(value, 8)?,
                    rx_dropped: message::u64_at(value, 48)?,
                    tx_dropped: message::u64_at(value, 56)?,
                }
            }
            _ => {}
        }
    }
    Some(facts)
}

fn check_name(name: &str) -> Result<(), LinkError> {
    let sound = (1..=MAX_NAME_BYTES).contains(&name.len())
        && !name.bytes().any(|b| b == b'/' || b == 0 || b.is_ascii_whitespace());
    if sound { Ok(()) } else { Err(LinkError::BadName { name: name.to_owned() }) }
}
