//! `sched_setscheduler(2)`, `mlockall(2)` and `/dev/cpu_dma_latency`.

use std::fs::File;
use std::io::{self, Write};

/// Gives the calling thread `SCHED_FIFO` at `priority` (1–99).
///
/// # Errors
/// `EPERM` without `CAP_SYS_NICE`, `EINVAL` for another priority.
pub fn set_fifo(priority: u8) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: libc::c_int::from(priority) };
    // SAFETY: `param` lives through the call; pid 0 is the calling thread.
    let rc = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Locks what is mapped now into memory.
///
/// Only what is mapped now: locking what comes would fault in whole journal segments at once.
///
/// # Errors
/// `ENOMEM` or `EPERM` when `RLIMIT_MEMLOCK` does not allow it.
pub fn lock_memory() -> io::Result<()> {
    // SAFETY: changes no memory's content or validity.
    let rc = unsafe { libc::mlockall(libc::MCL_CURRENT) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks the kernel (PM QoS) to wake CPUs within `us` microseconds, for as long as the file stays open.
///
/// # Errors
/// If the device is not there or not for us.
pub fn cpu_dma_latency(us: u32) -> io::Result<File> {
    let mut file = File::options().write(true).open("/dev/cpu_dma_latency")?;
    file.write_all(&us.to_le_bytes())?;
    Ok(file)
}
