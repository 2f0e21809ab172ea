//! Hardware stamps: who may switch a NIC's stamping, and how it is put back.
//!
//! The setting belongs to the device and is shared with `ptp4l` and others, so it is
//! read first, left alone if it suffices, never overwritten if another program set
//! it (unless forced), read back after it was set, and restored on drop.

use super::{HwStamp, OpenError};
use crate::sys::ethtool;
use crate::sys::hwtstamp::{self, Config, FILTER_ALL, FILTER_NONE, filter_name};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What became of the wish.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Set if this program changed the NIC.
    pub guard: Option<HwStampGuard>,
    /// Every packet is to be stamped, the driver says.
    pub granted: bool,
    /// Number of the NIC's clock.
    pub phc_index: Option<u32>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A NIC whose stamping this program switched on. Dropping it puts the old setting back.
///
/// That needs `CAP_NET_ADMIN` again: a process that drops privilege in between keeps
/// that capability, or gives the guard to a process that does.
#[derive(Debug)]
pub struct HwStampGuard {
    socket: OwnedFd,
    interface: String,
    before: Config,
    wanted: Config,
    done: bool,
}

impl HwStampGuard {
    /// Puts the old setting back.
    ///
    /// # Errors
    /// What the driver says; then the setting stays as it is.
    pub fn restore(mut self) -> io::Result<()> {
        self.done = true;
        self.put_back()
    }

    fn put_back(&self) -> io::Result<()> {
        // Only if it is still ours: another program may have set it since.
        match hwtstamp::get(self.socket.as_fd(), &self.interface) {
            Ok(now) if now.rx_filter != self.wanted.rx_filter => Ok(()),
            _ => hwtstamp::set(self.socket.as_fd(), &self.interface, self.before).map(drop),
        }
    }

    /// Switches stamping on again after the device came back.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        self.wanted = hwtstamp::set(self.socket.as_fd(), &self.interface, self.wanted)?;
        Ok(())
    }
}

impl Drop for HwStampGuard {
    fn drop(&mut self) {
        if !self.done {
            // The device may be gone, and with it the setting.
            let _ = self.put_back();
        }
    }
}

/// Gets the NIC of `interface` to stamp every packet, as far as `wish` allows. `socket` is any socket in its
/// network namespace.
pub(super) fn request(socket: &impl AsFd, interface: &str, wish: HwStamp) -> Result<Outcome, OpenError> {
    let info = ethtool::timestamp_info(socket.as_fd(), interface).ok();
    let mut outcome = Outcome { phc_index: info.and_then(|info| info.phc_index), ..Outcome::default() };
    if wish == HwStamp::Off {
        return Ok(outcome);
    }
    let result = match info.filter(ethtool::TimestampInfo::has_rx_hardware) {
        None => Err("this NIC (or its driver) has no hardware stamps for received packets".to_owned()),
        Some(_) => switch_on(socket, interface, wish, &mut outcome),
    };
    match result {
        Ok(()) => Ok(outcome),
        Err(why) if wish == HwStamp::Force => {
            Err(OpenError::HardwareStamps { interface: interface.to_owned(), why })
        }
        Err(why) => {
            outcome.warnings.push(format!("{interface}: no hardware stamps: {why}; the kernel's are used"));
            Ok(outcome)
        }
    }
}

fn switch_on(
    socket: &impl AsFd,
    interface: &str,
    wish: HwStamp,
    outcome: &mut Outcome,
) -> Result<(), String> {
    // A driver that cannot be asked is taken to be off: there is nothing else to go by.
    let before = hwtstamp::get(socket.as_fd(), interface);
    let could_ask = before.is_ok();
    let before = before.unwrap_or(Config { flags: 0, tx_type: 0, rx_filter: FILTER_NONE });
    if before.rx_filter == FILTER_ALL {
        outcome.granted = true; // it stays whose it is
        return Ok(());
    }
    if before.rx_filter != FILTER_NONE && wish != HwStamp::Force {
        return Err(format!(
            "another program has set its receive filter to {} (ptp4l?), which does not stamp every packet; \
             --force-hwtstamp overwrites it",
            filter_name(before.rx_filter)
        ));
    }
    let asked = Config { rx_filter: FILTER_ALL, ..before };
    let answered = hwtstamp::set(socket.as_fd(), interface, asked).map_err(|error| explain(&error))?;
    // What the driver answered to the request, and what it says when asked again, need not be the same.
    let now = hwtstamp::get(socket.as_fd(), interface).unwrap_or(answered);
    let duplicate = socket.as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
    let guard =
        HwStampGuard { socket: duplicate, interface: interface.to_owned(), before, wanted: now, done: false };
    if now.rx_filter != FILTER_ALL {
        // Dropping the guard puts the old setting back.
        return Err(format!(
            "asked to stamp all packets, the driver granted filter {}",
            filter_name(now.rx_filter)
        ));
    }
    if !could_ask {
        outcome.warnings.push(format!(
            "{interface}: the driver cannot say which stamps were set before; they are switched off on exit"
        ));
    }
    outcome.guard = Some(guard);
    outcome.granted = true;
    Ok(())
}

fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ERANGE) => "this NIC stamps PTP packets only, it refused to stamp all (ERANGE)".to_owned(),
        Some(libc::EPERM) => {
            "switching them on needs CAP_NET_ADMIN (sudo, or setcap cap_net_admin+ep)".to_owned()
        }
        Some(libc::EOPNOTSUPP) => "the driver cannot switch them on (EOPNOTSUPP)".to_owned(),
        _ => format!("switching them on failed: {error}"),
    }
}
