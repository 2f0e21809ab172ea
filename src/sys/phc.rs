//! A NIC's clock (PTP hardware clock, `/dev/ptpN`), read beside the system's.
//!
//! Three ways, best first: the hardware takes both readings at one instant
//! (`PTP_SYS_OFFSET_PRECISE`); the driver reads the system's clock just before and
//! after its own register (`PTP_SYS_OFFSET_EXTENDED`); two ordinary readings embrace a
//! `clock_gettime` of the device. The answer says how wide the embrace was.

use super::clock;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Readings of one extended request; the narrowest is taken. A field of the kernel's struct bounds them.
const SAMPLES: u32 = 5;
const NS_PER_SEC: u64 = 1_000_000_000;

/// The NIC's clock and the system's at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhcSample {
    /// The NIC's clock, ns since its epoch (TAI or UTC, as it was set).
    pub phc_ns: u64,
    /// `CLOCK_REALTIME` at the middle of the reading, ns since the Unix epoch.
    pub realtime_ns: u64,
    /// Width of the interval in which the NIC's clock was read, ns.
    pub uncertainty_ns: u64,
    /// How it was read.
    pub method: Method,
}

/// How a NIC's clock was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Both clocks by the hardware at once.
    Precise,
    /// The system's clock around the register read, in the driver.
    Extended,
    /// The system's clock around a system call.
    Around,
}

/// An open PTP clock.
#[derive(Debug)]
pub struct Phc {
    device: File,
    precise: bool,
    extended: bool,
}

impl Phc {
    /// Opens `/dev/ptpN`; reading needs no capability, only the right to open it.
    ///
    /// # Errors
    /// It is not there, or may not be opened.
    pub fn open(index: u32) -> io::Result<Self> {
        let device = File::open(format!("/dev/ptp{index}"))?;
        Ok(Self { device, precise: true, extended: true })
    }

    /// Its time, ns since its epoch.
    ///
    /// # Errors
    /// The device is gone.
    pub fn now_ns(&self) -> io::Result<u64> {
        let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `ts` is a writable timespec; a clock id that names no clock is an error, not a danger.
        let rc = unsafe { libc::clock_gettime(clock_id(self.device.as_raw_fd()), &raw mut ts) };
        if rc != 0 {
            return Err(io::Error::last_os_error());
        }
        to_ns(ts.tv_sec, ts.tv_nsec)
    }

    /// Reads it beside the system's clock, in the best way that the driver has; a way that it lacks is not tried
    /// again.
    ///
    /// # Errors
    /// The device is gone.
    pub fn sample(&mut self) -> io::Result<PhcSample> {
        if self.precise {
            match self.precise() {
                Ok(sample) => return Ok(sample),
                Err(_) => self.precise = false,
            }
        }
        if self.extended {
            match self.extended() {
                Ok(sample) => return Ok(sample),
                Err(_) => self.extended = false,
            }
        }
        self.around()
    }

    fn precise(&self) -> io::Result<PhcSample> {
        // SAFETY: a struct of numbers: zeroes are a value.
        let mut offset: libc::ptp_sys_offset_precise = unsafe { std::mem::zeroed() };
        // SAFETY: the request reads and writes just this struct.
        let rc =
            unsafe { libc::ioctl(self.device.as_raw_fd(), libc::PTP_SYS_OFFSET_PRECISE, &raw mut offset) };
        if rc != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(PhcSample {
            phc_ns: clock_time_ns(&offset.device)?,
            realtime_ns: clock_time_ns(&offset.sys_realtime)?,
            uncertainty_ns: 0,
            method: Method::Precise,
        })
    }

    fn extended(&self) -> io::Result<PhcSample> {
        // SAFETY: a struct of numbers: zeroes are a value (clock 0 is CLOCK_REALTIME).
        let mut offset: libc::ptp_sys_offset_extended = unsafe { std::mem::zeroed() };
        offset.n_samples = SAMPLES;
        // SAFETY: the request reads and writes just this struct.
        let rc =
            unsafe { libc::ioctl(self.device.as_raw_fd(), libc::PTP_SYS_OFFSET_EXTENDED, &raw mut offset) };
        if rc != 0 {
            return Err(io::Error::last_os_error());
        }
        let samples = usize::try_from(offset.n_samples).unwrap_or(0);
        let mut best: Option<PhcSample> = None;
        for [before, device, after] in offset.ts.iter().take(samples) {
            let (before, after) = (clock_time_ns(before)?, clock_time_ns(after)?);
            let sample = embrace(before, clock_time_ns(device)?, after, Method::Extended);
            if best.is_none_or(|best| sample.uncertainty_ns < best.uncertainty_ns) {
                best = Some(sample);
            }
        }
        best.ok_or_else(|| io::Error::other("the driver gave no samples"))
    }

    fn around(&self) -> io::Result<PhcSample> {
        let before = clock::realtime_ns();
        let phc_ns = self.now_ns()?;
        Ok(embrace(before, phc_ns, clock::realtime_ns(), Method::Around))
    }
}

fn embrace(before_ns: u64, phc_ns: u64, after_ns: u64, method: Method) -> PhcSample {
    // A step of the system's clock in between would make it negative: then nothing is known but the order.
    let uncertainty_ns = after_ns.saturating_sub(before_ns);
    PhcSample { phc_ns, realtime_ns: before_ns + uncertainty_ns / 2, uncertainty_ns, method }
}

/// `FD_TO_CLOCKID` of the kernel's documentation: the descriptor, inverted, with the marker 3 below.
const fn clock_id(fd: i32) -> libc::clockid_t {
    (!fd << 3) | 3
}

fn clock_time_ns(time: &libc::ptp_clock_time) -> io::Result<u64> {
    to_ns(time.sec, i64::from(time.nsec))
}

fn to_ns(sec: i64, nsec: i64) -> io::Result<u64> {
    let before_epoch = || io::Error::new(io::ErrorKind::InvalidData, "the NIC's clock is before its epoch");
    let sec = u64::try_from(sec).map_err(|_| before_epoch())?;
    let nsec = u64::try_from(nsec).map_err(|_| before_epoch())?;
    sec.checked_mul(NS_PER_SEC).and_then(|ns| ns.checked_add(nsec)).ok_or_else(before_epoch)
}

#[cfg(test)]
mod tests {
    use super::{Method, Phc, clock_id, embrace, to_ns};

    #[test]
    fn a_descriptor_becomes_the_clock_id_of_the_kernels_macro() {
        assert_eq!(clock_id(3), -29);
        assert_eq!(clock_id(0), -5);
    }

    #[test]
    fn the_middle_of_the_embrace_is_the_moment_and_its_width_the_doubt() {
        let sample = embrace(1000, 77, 1010, Method::Around);
        assert_eq!((sample.realtime_ns, sample.uncertainty_ns, sample.phc_ns), (1005, 10, 77));
        assert_eq!(embrace(1000, 77, 900, Method::Around).realtime_ns, 1000);
    }

    #[test]
    fn a_clock_before_its_epoch_is_an_error() {
        assert!(to_ns(-1, 0).is_err());
        assert!(to_ns(i64::MAX, 0).is_err());
        assert_eq!(to_ns(1, 5).unwrap(), 1_000_000_005);
    }

    #[test]
    fn a_clock_that_is_there_is_read_and_one_that_is_not_is_an_error() {
        assert!(Phc::open(9999).is_err());
        let Ok(mut phc) = Phc::open(0) else {
            eprintln!("skipped: no /dev/ptp0 on this machine");
            return;
        };
        let (first, second) = (phc.sample().unwrap(), phc.sample().unwrap());
        assert!(second.realtime_ns >= first.realtime_ns);
        assert!(phc.now_ns().unwrap() >= first.phc_ns);
    }
}
