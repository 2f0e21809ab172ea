//! The limit: the smallest `TPACKET_V2` walk there is, in plain system calls, sharing no code with the ring under
//! test. It spins on the next frame's status word, reads the clock, takes the frame's stamp and gives the frame
//! back. It decodes nothing and keeps nothing.

#![allow(unsafe_code, reason = "raw system calls and a mapped ring: an independent limit shares no wrapper")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use wiretape::metrics::Recorder;

/// How the ring is cut: as the ring under test was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) block_bytes: u32,
    pub(crate) blocks: u32,
    pub(crate) frame_bytes: u32,
}

/// What the walk saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Walked {
    pub(crate) packets: u64,
    pub(crate) lost: u64,
    /// Packets whose stamp was taken before delivery (`TP_STATUS_TS_SOFTWARE`), as some socket on the host asked for.
    pub(crate) stamped_early: u64,
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn length<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("small")
}

fn set<T>(socket: &OwnedFd, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: `value` is readable for the length that is passed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            name,
            std::ptr::from_ref(value).cast(),
            length::<T>(),
        )
    };
    check(result).map(drop)
}

/// A bound socket and its mapped ring.
#[derive(Debug)]
pub(crate) struct BareRing {
    socket: OwnedFd,
    base: *mut u8,
    geometry: Geometry,
}

// SAFETY: the mapping belongs to this value alone; whoever has it may be in any thread.
unsafe impl Send for BareRing {}

impl Drop for BareRing {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this length; no reference into it outlives `walk`.
        unsafe { libc::munmap(self.base.cast(), self.geometry.bytes()) };
    }
}

impl Geometry {
    fn bytes(self) -> usize {
        self.block_bytes as usize * self.blocks as usize
    }
    fn frames_per_block(self) -> u32 {
        self.block_bytes / self.frame_bytes
    }
}

impl BareRing {
    /// Opens, cuts, maps, binds.
    pub(crate) fn open(interface: &str, geometry: Geometry) -> io::Result<Self> {
        let name = CString::new(interface)?;
        // SAFETY: `name` is a C string that lives through the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        // SAFETY: no memory is passed.
        let fd = check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
        // SAFETY: just opened, owned by nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        set(&socket, libc::PACKET_VERSION, &1_i32)?;
        set(&socket, libc::PACKET_IGNORE_OUTGOING, &1_i32)?;
        let request = libc::tpacket_req {
            tp_block_size: geometry.block_bytes,
            tp_block_nr: geometry.blocks,
            tp_frame_size: geometry.frame_bytes,
            tp_frame_nr: geometry.frames_per_block() * geometry.blocks,
        };
        set(&socket, libc::PACKET_RX_RING, &request)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                geometry.bytes(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                socket.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let ring = Self { socket, base: base.cast(), geometry };
        // SAFETY: all-zero bytes are a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).expect("small");
        address.sll_protocol = u16::try_from(libc::ETH_P_ALL).expect("small").to_be();
        address.sll_ifindex = index.cast_signed();
        // SAFETY: `address` is readable for the length that is passed.
        check(unsafe {
            libc::bind(ring.socket.as_raw_fd(), (&raw const address).cast(), length::<libc::sockaddr_ll>())
        })?;
        Ok(ring)
    }

    fn offset(&self, frame: u32) -> usize {
        let per_block = self.geometry.frames_per_block();
        (frame / per_block) as usize * self.geometry.block_bytes as usize
            + (frame % per_block) as usize * self.geometry.frame_bytes as usize
    }

    /// Walks until `stop` is set and nothing is left.
    pub(crate) fn walk(&mut self, recorder: &mut Recorder, stop: &AtomicBool) -> io::Result<Walked> {
        let mut walked = Walked::default();
        let frames = self.geometry.frames_per_block() * self.geometry.blocks;
        let mut next = 0;
        loop {
            // SAFETY: `next` is below the number of frames, so its header lies within the mapping, aligned.
            let header = unsafe { self.base.add(self.offset(next)) };
            // SAFETY: a frame begins with its status word; only atomics touch it here.
            let word = unsafe { AtomicU32::from_ptr(header.cast()) };
            let status = loop {
                let status = word.load(Ordering::Acquire);
                if status & libc::TP_STATUS_USER != 0 {
                    break status;
                }
                if stop.load(Ordering::Relaxed) {
                    walked.lost = self.lost()?;
                    return Ok(walked);
                }
            };
            let now_ns = realtime_ns();
            // SAFETY: the kernel has published the frame and leaves it alone; seconds and nanoseconds of the stamp
            // stand at bytes 16 and 20 of its header.
            let [sec, nsec] = unsafe { header.add(16).cast::<[u32; 2]>().read_unaligned() };
            recorder.record(now_ns - (i64::from(sec) * 1_000_000_000 + i64::from(nsec)));
            word.store(libc::TP_STATUS_KERNEL, Ordering::Release);
            walked.packets += 1;
            walked.stamped_early += u64::from(status & libc::TP_STATUS_TS_SOFTWARE != 0);
            next = if next + 1 == frames { 0 } else { next + 1 };
        }
    }

    fn lost(&self) -> io::Result<u64> {
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut room = length::<libc::tpacket_stats>();
        // SAFETY: `statistics` is writable for `room` bytes; the kernel writes no more.
        check(unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut room,
            )
        })?;
        Ok(u64::from(statistics.tp_drops))
    }
}

fn realtime_ns() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable; the kernel (its vDSO) writes nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
