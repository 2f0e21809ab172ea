//! What a driver says of its interface (`SIOCETHTOOL`).

use super::ifreq::{self, Argument};
use std::io;
use std::os::fd::BorrowedFd;

const ETHTOOL_GDRVINFO: u32 = 0x0000_0003;
const ETHTOOL_GSET: u32 = 0x0000_0001;
const ETHTOOL_GFLAGS: u32 = 0x0000_0025;
const ETHTOOL_GGRO: u32 = 0x0000_002b;
const ETHTOOL_GET_TS_INFO: u32 = 0x0000_0041;
const FLAG_LRO: u32 = 1 << 15;

#[repr(C)]
#[derive(Clone, Copy)]
struct TsInfo {
    cmd: u32,
    so_timestamping: u32,
    phc_index: i32,
    tx_types: u32,
    tx_reserved: [u32; 3],
    rx_filters: u32,
    rx_reserved: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct DrvInfo {
    cmd: u32,
    driver: [u8; 32],
    version: [u8; 32],
    fw_version: [u8; 32],
    bus_info: [u8; 32],
    erom_version: [u8; 32],
    reserved: [u8; 12],
    counts: [u32; 5],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Value {
    cmd: u32,
    data: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Settings {
    cmd: u32,
    supported: u32,
    advertising: u32,
    speed_low: u16,
    bytes: [u8; 6],
    maxtxpkt: u32,
    maxrxpkt: u32,
    speed_high: u16,
    tp_mdix: [u8; 2],
    lp_advertising: u32,
    reserved: [u32; 2],
}

const _: () = {
    assert!(size_of::<TsInfo>() == 44);
    assert!(size_of::<DrvInfo>() == 196);
    assert!(size_of::<Value>() == 8);
    assert!(size_of::<Settings>() == 44);
    assert!(std::mem::offset_of!(TsInfo, rx_filters) == 28);
    assert!(std::mem::offset_of!(DrvInfo, bus_info) == 100);
    assert!(std::mem::offset_of!(Settings, speed_high) == 28);
};

// SAFETY: numbers of four bytes.
unsafe impl Argument for TsInfo {}
// SAFETY: bytes and numbers of four, all aligned without gaps (size asserted).
unsafe impl Argument for DrvInfo {}
// SAFETY: two numbers of four bytes.
unsafe impl Argument for Value {}
// SAFETY: numbers without gaps (size asserted).
unsafe impl Argument for Settings {}

/// What an interface can stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampInfo {
    /// `SOF_TIMESTAMPING_*` capabilities.
    pub capabilities: u32,
    /// Number of its clock `/dev/ptpN`, if it has one.
    pub phc_index: Option<u32>,
    /// Bit `n` set: receive filter `HWTSTAMP_FILTER_*` number `n` is supported.
    pub rx_filters: u32,
}

impl TimestampInfo {
    /// True if received packets can carry raw hardware stamps.
    pub const fn has_rx_hardware(&self) -> bool {
        let both = libc::SOF_TIMESTAMPING_RX_HARDWARE | libc::SOF_TIMESTAMPING_RAW_HARDWARE;
        self.capabilities & both == both
    }
    /// True if the driver says that it can stamp every packet.
    pub const fn can_stamp_all(&self) -> bool {
        self.rx_filters & (1 << 1) != 0
    }
}

/// Who drives an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverInfo {
    /// The driver.
    pub driver: String,
    /// Its firmware's version; may be empty.
    pub firmware: String,
    /// Where it is, e.g. a PCI address; may be empty.
    pub bus: String,
}

/// `ETHTOOL_GET_TS_INFO`.
///
/// # Errors
/// `EOPNOTSUPP` from drivers without it, and what else the kernel says.
pub fn timestamp_info(socket: BorrowedFd<'_>, name: &str) -> io::Result<TimestampInfo> {
    let asked = TsInfo {
        cmd: ETHTOOL_GET_TS_INFO,
        so_timestamping: 0,
        phc_index: -1,
        tx_types: 0,
        tx_reserved: [0; 3],
        rx_filters: 0,
        rx_reserved: [0; 3],
    };
    // SAFETY: `TsInfo` is struct ethtool_ts_info, which this command reads and writes.
    let got = unsafe { ifreq::call(socket, libc::SIOCETHTOOL, name, asked)? };
    Ok(TimestampInfo {
        capabilities: got.so_timestamping,
        phc_index: u32::try_from(got.phc_index).ok(),
        rx_filters: got.rx_filters,
    })
}

/// `ETHTOOL_GDRVINFO`.
///
/// # Errors
/// What the kernel says.
pub fn driver_info(socket: BorrowedFd<'_>, name: &str) -> io::Result<DriverInfo> {
    let asked = DrvInfo {
        cmd: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        version: [0; 32],
        fw_version: [0; 32],
        bus_info: [0; 32],
        erom_version: [0; 32],
        reserved: [0; 12],
        counts: [0; 5],
    };
    // SAFETY: `DrvInfo` is struct ethtool_drvinfo, which this command reads and writes.
    let got = unsafe { ifreq::call(socket, libc::SIOCETHTOOL, name, asked)? };
    Ok(DriverInfo { driver: text(&got.driver), firmware: text(&got.fw_version), bus: text(&got.bus_info) })
}

/// Speed in bits a second (`ETHTOOL_GSET`), or 0 if the driver does not know or does not say.
pub fn speed_bps(socket: BorrowedFd<'_>, name: &str) -> u64 {
    let asked = Settings {
        cmd: ETHTOOL_GSET,
        supported: 0,
        advertising: 0,
        speed_low: 0,
        bytes: [0; 6],
        maxtxpkt: 0,
        maxrxpkt: 0,
        speed_high: 0,
        tp_mdix: [0; 2],
        lp_advertising: 0,
        reserved: [0; 2],
    };
    // SAFETY: `Settings` is struct ethtool_cmd, which this command reads and writes.
    let got = unsafe { ifreq::call(socket, libc::SIOCETHTOOL, name, asked) };
    let mbps = got.map_or(0, |s| u32::from(s.speed_low) | (u32::from(s.speed_high) << 16));
    // SPEED_UNKNOWN is all ones, on some drivers in the low half alone.
    if mbps == u32::MAX || mbps == 0xffff { 0 } else { u64::from(mbps) * 1_000_000 }
}

/// True if the kernel merges received packets (GRO) on this interface.
pub fn gro_is_on(socket: BorrowedFd<'_>, name: &str) -> bool {
    value(socket, name, ETHTOOL_GGRO).is_ok_and(|v| v != 0)
}

/// True if the NIC merges received packets (LRO).
pub fn lro_is_on(socket: BorrowedFd<'_>, name: &str) -> bool {
    value(socket, name, ETHTOOL_GFLAGS).is_ok_and(|v| v & FLAG_LRO != 0)
}

fn value(socket: BorrowedFd<'_>, name: &str, cmd: u32) -> io::Result<u32> {
    // SAFETY: `Value` is struct ethtool_value, which the two commands above read and write.
    let got = unsafe { ifreq::call(socket, libc::SIOCETHTOOL, name, Value { cmd, data: 0 })? };
    Ok(got.data)
}

fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|b| *b == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(bytes).into_owned()
}
