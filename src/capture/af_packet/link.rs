//! The control thread's eye on an interface: down, away, back again.
//!
//! Down and up is the kernel's affair: it takes the sockets off a device that goes
//! down and puts them back on when it comes up. An interface that was *removed*
//! leaves its sockets bound to nothing, for good; when one of the same name appears,
//! they are bound to it here, with promiscuity, group joins and NIC stamping as
//! before. The rings and what is in them stay as they are all the while.

use super::hwstamp::HwStampGuard;
use crate::sys::multicast::Memberships;
use crate::sys::netdev::{LinkQuery, NetDevice};
use crate::sys::packet_socket::PacketSocket;
use std::io;

/// What happened to the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// It is down, or has no carrier.
    Down,
    /// It was removed.
    Gone,
    /// It is up (again).
    Up {
        /// Its index, another one if it was created anew.
        ifindex: u32,
    },
    /// It is back, but this capture cannot return to it.
    Stranded {
        /// Why, in words.
        why: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    Down,
    Gone,
    Stranded,
}

/// Watches one interface for all queues on it; keeps what must live as long as the capture:
/// group joins, and the NIC's stamping, which is put back on drop.
#[derive(Debug)]
pub struct LinkWatch {
    name: String,
    ifindex: u32,
    state: State,
    sockets: Vec<PacketSocket>,
    query: LinkQuery,
    promiscuous: bool,
    memberships: Memberships,
    hwstamp: Option<HwStampGuard>,
    nic_last: u64,
    nic_dropped: u64,
}

impl LinkWatch {
    pub(super) fn new(
        device: &NetDevice,
        sockets: Vec<PacketSocket>,
        query: LinkQuery,
        promiscuous: bool,
        memberships: Memberships,
        hwstamp: Option<HwStampGuard>,
    ) -> Self {
        Self {
            name: device.name.clone(),
            ifindex: device.ifindex,
            state: if device.is_running() { State::Up } else { State::Down },
            sockets,
            query,
            promiscuous,
            memberships,
            hwstamp,
            nic_last: device.rx_missed.saturating_add(device.rx_fifo),
            nic_dropped: 0,
        }
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The index that the sockets are bound to.
    pub const fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// True if it was up when last looked at.
    pub const fn is_up(&self) -> bool {
        matches!(self.state, State::Up)
    }

    /// Looks once: two or three small system calls. Answers what is new since the last look. A question that the
    /// kernel does not answer changes nothing.
    pub fn check(&mut self) -> Option<LinkEvent> {
        if self.state == State::Stranded {
            return None;
        }
        let unbound = self.sockets.first().is_some_and(|socket| matches!(socket.bound_to(), Ok(None)));
        if unbound { self.check_removed() } else { self.check_bound() }
    }

    /// By index, so that a renamed interface is still itself.
    fn check_bound(&mut self) -> Option<LinkEvent> {
        let device = self.query.by_index(self.ifindex).ok()??;
        self.count_nic(&device);
        self.now(&device)
    }

    fn check_removed(&mut self) -> Option<LinkEvent> {
        let Some(device) = self.query.by_name(&self.name).ok()? else {
            let was = std::mem::replace(&mut self.state, State::Gone);
            return (was != State::Gone).then_some(LinkEvent::Gone);
        };
        // Its counters begin anew with it.
        self.nic_last = 0;
        if let Err(error) = self.return_to(device.ifindex) {
            self.state = State::Stranded;
            let why =
                format!("{}: back as interface {}, but not rebound: {error}", self.name, device.ifindex);
            return Some(LinkEvent::Stranded { why });
        }
        self.state = State::Gone;
        self.now(&device)
    }

    /// Compares what is with what was. A device that came back but is still down stays `Gone` or `Down`.
    fn now(&mut self, device: &NetDevice) -> Option<LinkEvent> {
        match (self.state, device.is_running()) {
            (State::Up, false) => {
                self.state = State::Down;
                Some(LinkEvent::Down)
            }
            (State::Down | State::Gone, true) => {
                self.state = State::Up;
                self.forgive();
                Some(LinkEvent::Up { ifindex: device.ifindex })
            }
            _ => None,
        }
    }

    fn return_to(&mut self, ifindex: u32) -> io::Result<()> {
        for socket in &self.sockets {
            socket.bind(ifindex).map_err(|error| {
                if self.sockets.len() > 1 && error.raw_os_error() == Some(libc::EINVAL) {
                    let why =
                        "the kernel does not bind the sockets of a fanout group again; restart the capture";
                    return io::Error::other(why);
                }
                error
            })?;
            if self.promiscuous {
                socket.add_promiscuous(ifindex)?;
            }
        }
        let old = std::mem::replace(&mut self.ifindex, ifindex);
        self.memberships.move_to(old, ifindex)?;
        if let Some(guard) = &mut self.hwstamp {
            guard.renew()?;
        }
        Ok(())
    }

    /// Takes the "network is down" off the sockets, where nobody polls to see it.
    fn forgive(&self) {
        for socket in &self.sockets {
            let _ = socket.take_error();
        }
    }

    fn count_nic(&mut self, device: &NetDevice) {
        let now = device.rx_missed.saturating_add(device.rx_fifo);
        // A driver that was reset counts from zero again.
        self.nic_dropped += now.checked_sub(self.nic_last).unwrap_or(now);
        self.nic_last = now;
    }

    /// Packets that the NIC itself dropped since the capture began (`rx_missed_errors` + `rx_fifo_errors`): of the
    /// whole interface, before any filter.
    pub fn nic_dropped(&mut self) -> u64 {
        if let Ok(Some(device)) = self.query.by_index(self.ifindex) {
            self.count_nic(&device);
        }
        self.nic_dropped
    }

    /// Takes the guard of the NIC's stamping, for whoever keeps the privilege to put it back.
    pub const fn take_hwstamp_guard(&mut self) -> Option<HwStampGuard> {
        self.hwstamp.take()
    }
}
