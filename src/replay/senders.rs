//! Where replayed packets go: frames to an interface, or datagrams to UDP sockets.
//!
//! A packet that this destination cannot take is a [`Sent::No`] with its reason, counted by the player; a
//! [`SendError`] means that nothing more can be sent.

use super::batch::FrameBatch;
use crate::packet::{LinkType, Packet};
use crate::replay::datagram::{self, Datagram};
use crate::replay::report::Skipped;
use crate::sys::packet_send::{FrameSocket, HARDWARE_ETHERNET, HARDWARE_LOOPBACK};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Why nothing more can be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No permission for a packet socket.
    #[error(
        "cannot send on {interface}: no permission: sending frames needs CAP_NET_RAW: \
         run as root, or once: sudo setcap cap_net_raw+ep {program}"
    )]
    Permission {
        /// The interface.
        interface: String,
        /// The program that wants the capability.
        program: String,
    },
    /// No such interface.
    #[error("no interface {interface}; there are: {known}")]
    NoInterface {
        /// What was asked for.
        interface: String,
        /// Those there are.
        known: String,
    },
    /// The interface does not carry Ethernet frames.
    #[error(
        "{interface} does not send Ethernet frames (ARPHRD type {hardware}): replay to an Ethernet-like interface, \
         or use --udp"
    )]
    NotEthernet {
        /// The interface.
        interface: String,
        /// The kernel's number of its hardware type.
        hardware: u16,
    },
    /// A system call failed for good.
    #[error("{what}: {error}")]
    Io {
        /// What was done with what.
        what: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The program's own fault.
    #[error("internal: {0}")]
    Internal(String),
}

/// What became of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Sent (or, at top speed, waiting in a batch).
    Yes {
        /// Bytes sent.
        bytes: u64,
        /// Times it was tried again.
        retries: u64,
    },
    /// Not sent.
    No(Reason),
}

/// Why a packet was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Longer than the destination takes.
    TooLong,
    /// Another link type than the interface sends.
    OtherLink,
    /// No whole UDP datagram.
    NotUdp,
    /// The other address family than the destination's.
    OtherFamily,
    /// No route, or refused.
    Unreachable,
}

impl Reason {
    /// Adds one to its counter.
    pub const fn count_in(self, skipped: &mut Skipped) {
        match self {
            Self::TooLong => skipped.too_long += 1,
            Self::OtherLink => skipped.other_link += 1,
            Self::NotUdp => skipped.not_udp += 1,
            Self::OtherFamily => skipped.other_family += 1,
            Self::Unreachable => skipped.unreachable += 1,
        }
    }
}

/// What a flush did beyond sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Times something was tried again since the last report.
    pub retries: u64,
    /// Packets that had been taken for sent and were too long after all.
    pub too_long: u64,
    /// Their bytes.
    pub unsent_bytes: u64,
}

/// Takes packets away.
pub trait Sender {
    /// Sends one packet now (or soon, if it was opened for top speed).
    ///
    /// # Errors
    /// [`SendError`] if nothing more can be sent.
    fn send(&mut self, packet: &Packet<'_>) -> Result<Sent, SendError>;
    /// Sends what still waits.
    ///
    /// # Errors
    /// [`SendError`] if nothing more can be sent.
    fn flush(&mut self) -> Result<Flushed, SendError> {
        Ok(Flushed::default())
    }
    /// The destination, for reports.
    fn name(&self) -> &str;
}

impl<S: Sender + ?Sized> Sender for Box<S> {
    fn send(&mut self, packet: &Packet<'_>) -> Result<Sent, SendError> {
        (**self).send(packet)
    }
    fn flush(&mut self) -> Result<Flushed, SendError> {
        (**self).flush()
    }
    fn name(&self) -> &str {
        (**self).name()
    }
}

/// How often a full kernel queue is tried again, yielding the CPU in between, before that is an error.
const MOST_RETRIES: u64 = 1_000_000;

/// Sends frames to an interface, byte for byte as captured.
#[derive(Debug)]
pub struct InterfaceSender {
    name: String,
    socket: FrameSocket,
    /// Present at top speed: frames leave 64 at a time.
    batch: Option<FrameBatch>,
    pending: Flushed,
}

impl InterfaceSender {
    /// Room for a batch, bytes: 64 frames of the longest jumbo kind and a bit.
    const BATCH_BYTES: usize = 1 << 20;

    /// Opens a sender on `interface`; `batched` trades each packet's punctuality for packets a second.
    ///
    /// # Errors
    /// [`SendError`] that names what is missing: the interface, or the capability.
    pub fn open(interface: &str, batched: bool) -> Result<Self, SendError> {
        let socket =
            FrameSocket::open(interface, false).map_err(|error| Self::open_error(interface, error))?;
        let hardware = socket.hardware();
        if hardware != HARDWARE_ETHERNET && hardware != HARDWARE_LOOPBACK {
            return Err(SendError::NotEthernet { interface: interface.to_owned(), hardware });
        }
        let batch = batched.then(|| FrameBatch::new(Self::BATCH_BYTES));
        Ok(Self { name: interface.to_owned(), socket, batch, pending: Flushed::default() })
    }

    fn open_error(interface: &str, error: io::Error) -> SendError {
        let interface = interface.to_owned();
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => SendError::Permission { interface, program: this_program() },
            Some(libc::ENODEV | libc::ENXIO) => {
                SendError::NoInterface { interface, known: known_interfaces() }
            }
            _ => SendError::Io { what: format!("cannot send on {interface}"), error },
        }
    }

    fn send_one(&self, frame: &[u8]) -> Result<Sent, SendError> {
        let mut retries = 0;
        loop {
            match self.socket.send(frame) {
                Ok(()) => return Ok(Sent::Yes { bytes: length(frame), retries }),
                Err(error) if is_full(&error) && retries < MOST_RETRIES => retries += 1,
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    return Ok(Sent::No(Reason::TooLong));
                }
                Err(error) => return Err(self.failed(error)),
            }
            std::thread::yield_now();
        }
    }

    fn send_batch(&mut self) -> Result<(), SendError> {
        let Some(batch) = &mut self.batch else { return Ok(()) };
        let (mut next, mut retries) = (0, 0);
        while next < batch.len() {
            match self.socket.send_batch(batch.frames_from(next)) {
                Ok(sent) => next += sent.max(1),
                Err(error) if is_full(&error) && retries < MOST_RETRIES => {
                    retries += 1;
                    std::thread::yield_now();
                }
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    self.pending.too_long += 1;
                    self.pending.unsent_bytes += batch.frame(next).map_or(0, length);
                    next += 1;
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.pending.retries += retries;
        batch.clear();
        Ok(())
    }

    fn failed(&self, error: io::Error) -> SendError {
        SendError::Io { what: format!("cannot send on {}", self.name), error }
    }
}

impl Sender for InterfaceSender {
    fn send(&mut self, packet: &Packet<'_>) -> Result<Sent, SendError> {
        if packet.link != LinkType::ETHERNET {
            return Ok(Sent::No(Reason::OtherLink));
        }
        if self.batch.is_none() {
            return self.send_one(packet.bytes);
        }
        let accepted = |batch: &mut Option<FrameBatch>| batch.as_mut().is_some_and(|b| b.push(packet.bytes));
        if !accepted(&mut self.batch) {
            self.send_batch()?;
            if !accepted(&mut self.batch) {
                return Ok(Sent::No(Reason::TooLong));
            }
        }
        Ok(Sent::Yes { bytes: length(packet.bytes), retries: 0 })
    }

    fn flush(&mut self) -> Result<Flushed, SendError> {
        self.send_batch()?;
        Ok(std::mem::take(&mut self.pending))
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Where datagrams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpDestination {
    /// Each one to the address and port it was sent to when it was recorded.
    Original,
    /// All of them to one address.
    Fixed(SocketAddr),
}

/// Sends the payloads of UDP packets from ordinary sockets: needs no privilege.
#[derive(Debug)]
pub struct UdpSender {
    name: String,
    destination: UdpDestination,
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl UdpSender {
    /// Opens sockets. Multicast leaves with `ttl` hops; `from` chooses the local address, and with it the interface.
    ///
    /// # Errors
    /// [`SendError::Io`] naming the address that could not be used.
    pub fn open(destination: UdpDestination, from: Option<IpAddr>, ttl: u32) -> Result<Self, SendError> {
        let wants = |v4: bool| {
            let by_destination = match destination {
                UdpDestination::Original => true,
                UdpDestination::Fixed(to) => to.is_ipv4() == v4,
            };
            by_destination && from.is_none_or(|from| from.is_ipv4() == v4)
        };
        let v4 = if wants(true) {
            Some(open_udp(from.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), ttl)?)
        } else {
            None
        };
        let v6 = match from {
            _ if !wants(false) => None,
            Some(address) => Some(open_udp(address, ttl)?),
            // A host without IPv6 can still replay IPv4 to the original addresses.
            None if v4.is_some() => open_udp(Ipv6Addr::UNSPECIFIED.into(), ttl).ok(),
            None => Some(open_udp(Ipv6Addr::UNSPECIFIED.into(), ttl)?),
        };
        let name = match destination {
            UdpDestination::Original => "UDP, original addresses".to_owned(),
            UdpDestination::Fixed(to) => format!("UDP {to}"),
        };
        Ok(Self { name, destination, v4, v6 })
    }

    fn send_datagram(&self, datagram: &Datagram<'_>) -> Result<Sent, SendError> {
        let to = match self.destination {
            UdpDestination::Original => datagram.to,
            UdpDestination::Fixed(to) => to,
        };
        let socket = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        let Some(socket) = socket else { return Ok(Sent::No(Reason::OtherFamily)) };
        let (mut bytes, mut retries) = (0, 0);
        for payload in datagram.payloads() {
            match send_payload(socket, payload, to) {
                Ok(again) => (bytes, retries) = (bytes + length(payload), retries + again),
                Err(error) => return refused(to, error).map(Sent::No),
            }
        }
        Ok(Sent::Yes { bytes, retries })
    }
}

impl Sender for UdpSender {
    fn send(&mut self, packet: &Packet<'_>) -> Result<Sent, SendError> {
        match datagram::of(packet) {
            Some(datagram) => self.send_datagram(&datagram),
            None => Ok(Sent::No(Reason::NotUdp)),
        }
    }
    fn name(&self) -> &str {
        &self.name
    }
}

fn open_udp(local: IpAddr, ttl: u32) -> Result<UdpSocket, SendError> {
    let open = || -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind((local, 0))?;
        if local.is_ipv4() {
            socket.set_multicast_ttl_v4(ttl)?;
        }
        Ok(socket)
    };
    open().map_err(|error| SendError::Io { what: format!("cannot open a UDP socket on {local}"), error })
}

fn send_payload(socket: &UdpSocket, payload: &[u8], to: SocketAddr) -> io::Result<u64> {
    let mut retries = 0;
    loop {
        match socket.send_to(payload, to) {
            Ok(_) => return Ok(retries),
            // ECONNREFUSED tells of an earlier datagram; this one was not tried yet.
            Err(error)
                if (is_full(&error) || error.kind() == io::ErrorKind::ConnectionRefused)
                    && retries < MOST_RETRIES =>
            {
                retries += 1;
            }
            Err(error) => return Err(error),
        }
        std::thread::yield_now();
    }
}

fn refused(to: SocketAddr, error: io::Error) -> Result<Reason, SendError> {
    match error.raw_os_error() {
        Some(libc::EMSGSIZE) => Ok(Reason::TooLong),
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EPERM | libc::EINVAL) => {
            Ok(Reason::Unreachable)
        }
        _ => Err(SendError::Io { what: format!("cannot send to {to}"), error }),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR))
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn this_program() -> String {
    std::env::current_exe().map_or_else(|_| "tape".to_owned(), |path| path.display().to_string())
}

fn known_interfaces() -> String {
    let mut names: Vec<String> = std::fs::read_dir("/sys/class/net")
        .map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort_unstable();
    if names.is_empty() { "none that can be listed".to_owned() } else { names.join(", ") }
}
