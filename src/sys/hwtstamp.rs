//! A NIC's stamping, switched on and read back (`SIOCSHWTSTAMP`, `SIOCGHWTSTAMP`).
//!
//! The setting belongs to the device: every program on the host shares it.

use super::ifreq::{self, Argument};
use std::io;
use std::os::fd::BorrowedFd;

/// Stamp nothing that is received.
pub const FILTER_NONE: u32 = 0;
/// Stamp everything that is received.
pub const FILTER_ALL: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
struct Raw {
    flags: i32,
    tx_type: i32,
    rx_filter: i32,
}

const _: () = assert!(size_of::<Raw>() == 12 && size_of::<libc::hwtstamp_config>() == 12);

// SAFETY: three numbers of four bytes.
unsafe impl Argument for Raw {}

/// `struct hwtstamp_config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// `HWTSTAMP_FLAG_*`.
    pub flags: u32,
    /// `HWTSTAMP_TX_*`: what is stamped on sending.
    pub tx_type: u32,
    /// `HWTSTAMP_FILTER_*`: what is stamped on receiving.
    pub rx_filter: u32,
}

impl From<Config> for Raw {
    fn from(c: Config) -> Self {
        Self {
            flags: c.flags.cast_signed(),
            tx_type: c.tx_type.cast_signed(),
            rx_filter: c.rx_filter.cast_signed(),
        }
    }
}

impl From<Raw> for Config {
    fn from(r: Raw) -> Self {
        Self {
            flags: r.flags.cast_unsigned(),
            tx_type: r.tx_type.cast_unsigned(),
            rx_filter: r.rx_filter.cast_unsigned(),
        }
    }
}

/// What is set now.
///
/// # Errors
/// `EOPNOTSUPP` from drivers that cannot say (or cannot stamp).
pub fn get(socket: BorrowedFd<'_>, name: &str) -> io::Result<Config> {
    let asked = Raw { flags: 0, tx_type: 0, rx_filter: 0 };
    // SAFETY: `Raw` is struct hwtstamp_config, which this request writes.
    Ok(unsafe { ifreq::call(socket, libc::SIOCGHWTSTAMP, name, asked)? }.into())
}

/// Asks for `wanted`, and answers what the driver says it granted, which may be another filter.
///
/// # Errors
/// `ERANGE` for a filter that the NIC does not have, `EPERM` without `CAP_NET_ADMIN`, `EOPNOTSUPP` without stamping.
pub fn set(socket: BorrowedFd<'_>, name: &str, wanted: Config) -> io::Result<Config> {
    // SAFETY: `Raw` is struct hwtstamp_config, which this request reads and writes.
    Ok(unsafe { ifreq::call(socket, libc::SIOCSHWTSTAMP, name, Raw::from(wanted))? }.into())
}

/// The name of a receive filter, as `hwstamp_ctl` and the kernel's header have it.
pub const fn filter_name(filter: u32) -> &'static str {
    match filter {
        0 => "none",
        1 => "all",
        2 => "some",
        3..=5 => "ptpv1-l4",
        6..=8 => "ptpv2-l4",
        9..=11 => "ptpv2-l2",
        12..=14 => "ptpv2",
        15 => "ntp-all",
        _ => "unknown",
    }
}
