//! The NIC's clock (PHC): `/dev/ptpN`, read together with the system's (`PTP_SYS_OFFSET_EXTENDED`).
//!
//! Source: `include/uapi/linux/ptp_clock.h`.

use crate::time::NS_PER_SEC;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// How often the kernel reads the pair in one call; the narrowest is kept.
const SAMPLES: u32 = 5;

/// A PHC, opened for reading.
#[derive(Debug)]
pub struct Phc {
    file: File,
}

/// The PHC and `CLOCK_REALTIME` at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhcReading {
    /// The PHC, ns on its own scale.
    pub phc_ns: u64,
    /// `CLOCK_REALTIME` in the middle of the reading, ns since the Unix epoch.
    pub realtime_ns: u64,
    /// Width of the reading, ns.
    pub uncertainty_ns: u32,
}

impl PhcReading {
    /// What the PHC shows at `realtime_ns`, close to the reading.
    pub const fn at_ns(&self, realtime_ns: u64) -> u64 {
        self.phc_ns.wrapping_add(realtime_ns.wrapping_sub(self.realtime_ns))
    }
    /// PHC minus `CLOCK_REALTIME`, ns.
    pub const fn offset_ns(&self) -> i64 {
        crate::time::delta_ns(self.phc_ns, self.realtime_ns)
    }
}

impl Phc {
    /// Opens `/dev/ptp<index>`.
    ///
    /// # Errors
    /// If there is no such clock, or it is not for us.
    pub fn open(index: u32) -> io::Result<Self> {
        Ok(Self { file: File::open(format!("/dev/ptp{index}"))? })
    }

    /// Reads it, the narrowest of a few readings.
    ///
    /// # Errors
    /// `EOPNOTSUPP` on drivers that cannot, or what the device says.
    pub fn read(&self) -> io::Result<PhcReading> {
        // SAFETY: the struct is plain integers, for which all zeros are values.
        let mut request: libc::ptp_sys_offset_extended = unsafe { std::mem::zeroed() };
        request.n_samples = SAMPLES;
        // SAFETY: the file is a PTP clock and `request` the struct of this request, alive for the whole call.
        let rc =
            unsafe { libc::ioctl(self.file.as_raw_fd(), libc::PTP_SYS_OFFSET_EXTENDED, &raw mut request) };
        if rc != 0 {
            return Err(io::Error::last_os_error());
        }
        let taken = request.ts.iter().take(SAMPLES as usize);
        let readings = taken.map(|[before, phc, after]| {
            let (before_ns, after_ns) = (ns(before), ns(after));
            let width_ns = after_ns.saturating_sub(before_ns);
            PhcReading {
                phc_ns: ns(phc),
                realtime_ns: before_ns + width_ns / 2,
                uncertainty_ns: u32::try_from(width_ns).unwrap_or(u32::MAX),
            }
        });
        readings.min_by_key(|r| r.uncertainty_ns).ok_or_else(|| io::Error::other("no readings"))
    }
}

fn ns(time: &libc::ptp_clock_time) -> u64 {
    let seconds = u64::try_from(time.sec).unwrap_or(0);
    seconds.saturating_mul(NS_PER_SEC).saturating_add(u64::from(time.nsec))
}
