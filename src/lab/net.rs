//! A network of one's own: a namespace with one veth pair in it.
//!
//! Whatever is sent into one end comes out of the other. Both ends are up, silent (no IPv6
//! chatter) and without addresses; everything vanishes with the last thread inside.
//!
//! Offloads stay as veth has them: on. They matter to traffic of the kernel's own stack, which
//! leaves checksums undone (`TP_STATUS_CSUMNOTREADY`) and may pass merged segments. Frames from a
//! raw socket carry the checksums that their maker wrote and are never merged on veth unless
//! GRO is switched on, which is not the default.

use crate::clock::{Clock, SystemClock};
use crate::sys::netns::{self, Entered, NetnsError};
use crate::sys::pace::sleep_until_monotonic_ns;
use crate::sys::rtnetlink::{LinkError, Rtnetlink};

/// Longest wait for the pair to come up; it takes a millisecond or so.
const READY_WITHIN_NS: u64 = 5_000_000_000;
/// How often to look.
const LOOK_EVERY_NS: u64 = 500_000;

/// Why there is no laboratory.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// No namespace.
    #[error(transparent)]
    Namespace(#[from] NetnsError),
    /// No interfaces in it.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// They do not come up.
    #[error("the veth pair {}, {} did not come up within {} ms", Lab::SENDER, Lab::RECEIVER, READY_WITHIN_NS / 1_000_000)]
    NotReady,
}

/// A namespace entered, and the veth pair in it.
#[derive(Debug)]
pub struct Lab {
    netlink: Rtnetlink,
    entered: Entered,
}

impl Lab {
    /// The end that frames are sent into.
    pub const SENDER: &'static str = "wt0";
    /// The end that frames come out of.
    pub const RECEIVER: &'static str = "wt1";
    /// The MTU of both ends, bytes: room for jumbo frames.
    pub const MTU: u32 = 9216;

    /// Moves the calling thread, and so all threads that it starts later, into a new namespace with
    /// a veth pair. Without privilege the process must still be single-threaded.
    ///
    /// # Errors
    /// [`LabError`], naming what forbids it and the mend.
    pub fn enter() -> Result<Self, LabError> {
        let entered = netns::enter()?;
        let mut netlink = Rtnetlink::open()?;
        netlink.create_veth(Self::SENDER, Self::RECEIVER, Self::MTU)?;
        for end in [Self::SENDER, Self::RECEIVER] {
            netlink.silence_ipv6(end)?;
        }
        netlink.set_up("lo", true)?;
        for end in [Self::SENDER, Self::RECEIVER] {
            netlink.set_up(end, true)?;
        }
        let mut lab = Self { netlink, entered };
        lab.wait_until_ready()?;
        Ok(lab)
    }

    fn wait_until_ready(&mut self) -> Result<(), LabError> {
        let end_ns = SystemClock.monotonic_ns() + READY_WITHIN_NS;
        while !(self.netlink.link(Self::SENDER)?.sends && self.netlink.link(Self::RECEIVER)?.sends) {
            let now_ns = SystemClock.monotonic_ns();
            if now_ns >= end_ns {
                return Err(LabError::NotReady);
            }
            sleep_until_monotonic_ns(now_ns + LOOK_EVERY_NS);
        }
        Ok(())
    }

    /// How the namespace was entered.
    pub fn entered(&self) -> Entered {
        self.entered
    }

    /// The interface table of the namespace, to change it.
    pub fn netlink(&mut self) -> &mut Rtnetlink {
        &mut self.netlink
    }

    /// Of `accepted` frames (all that were ever sent into this pair), those that never reached the receiving end:
    /// the kernel took them and then had no room between the two (`netdev_max_backlog`). Not the sender's
    /// `tx_dropped`: on newer kernels that also counts frames that were refused with `ENOBUFS` and sent again.
    ///
    /// # Errors
    /// [`LinkError`] if an end is gone.
    pub fn lost_between(&mut self, accepted: u64) -> Result<u64, LinkError> {
        let received = self.netlink.link(Self::RECEIVER)?.counts.rx_packets;
        Ok(accepted.saturating_sub(received))
    }
}
