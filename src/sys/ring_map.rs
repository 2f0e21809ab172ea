//! A ring's memory: mapped once, cut into units (V2 frames, V3 blocks), each with a
//! status word and a body.
//!
//! Always true: a unit's body is reachable only through a [`Unit`], of which there is
//! at most one at a time. That rests on three things. [`RingMap::taker`] borrows the
//! map exclusively, so there is one [`Taker`]; the taker makes a `Unit` only by
//! [`status_word::take`], which answers once per filling; and the status word is no
//! part of the body, so looking at the word of a leased unit touches nothing of it.
//! Dropping a `Unit` gives it back; forgetting one leaves it leased for ever, which
//! costs room and nothing else.
//!
//! Misuse does not compile. A unit cannot be read after it was given back:
//! ```compile_fail,E0382
//! use wiretape::sys::ring_map::RingMap;
//! fn f(map: &mut RingMap) {
//!     let mut unit = map.taker().try_take(0).unwrap();
//!     drop(unit);
//!     unit.body();
//! }
//! ```
//! There are no two takers of one ring:
//! ```compile_fail,E0499
//! use wiretape::sys::ring_map::RingMap;
//! fn f(map: &mut RingMap) {
//!     let mut one = map.taker();
//!     let mut two = map.taker();
//!     one.try_take(0);
//!     two.try_take(0);
//! }
//! ```
//! And a unit does not outlive its ring:
//! ```compile_fail,E0505
//! use wiretape::sys::ring_map::RingMap;
//! fn f(mut map: RingMap) {
//!     let unit = map.taker().try_take(0);
//!     drop(map);
//!     drop(unit);
//! }
//! ```
//! While what is meant does:
//! ```
//! use wiretape::sys::ring_map::RingMap;
//! fn f(mut map: RingMap) {
//!     let mut taker = map.taker();
//!     let (a, b) = (taker.try_take(0), taker.try_take(1));
//!     std::thread::scope(|s| {
//!         s.spawn(move || drop(a));
//!         s.spawn(move || drop(b));
//!     });
//!     drop(map);
//! }
//! ```

use super::status_word::{self, Word};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::{fmt, io};

/// How a ring is cut into units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingLayout {
    /// Bytes of a kernel block (contiguous; a multiple of the page size).
    pub block_bytes: u32,
    /// Kernel blocks.
    pub blocks: u32,
    /// Bytes of a unit: a V2 frame, or (V3) the block itself.
    pub unit_bytes: u32,
    /// Where the status word stands in a unit.
    pub status_offset: u32,
}

impl RingLayout {
    /// Units in a block. A unit never straddles blocks.
    pub const fn units_per_block(&self) -> u32 {
        self.block_bytes / self.unit_bytes
    }
    /// Units in the ring.
    pub const fn units(&self) -> u32 {
        self.units_per_block() * self.blocks
    }
    /// Bytes of the whole ring.
    pub const fn ring_bytes(&self) -> usize {
        self.block_bytes as usize * self.blocks as usize
    }
    const fn offset_of(&self, unit: u32) -> usize {
        let per_block = self.units_per_block();
        (unit / per_block) as usize * self.block_bytes as usize
            + (unit % per_block) as usize * self.unit_bytes as usize
    }
    fn is_sound(&self) -> bool {
        self.unit_bytes >= self.status_offset.saturating_add(4)
            && self.status_offset.is_multiple_of(4)
            && self.unit_bytes.is_multiple_of(4)
            && self.block_bytes >= self.unit_bytes
            && self.blocks > 0
    }
}

/// The mapped ring of one packet socket.
pub struct RingMap {
    base: NonNull<u8>,
    layout: RingLayout,
    locked: bool,
}

// SAFETY: the mapping belongs to the process, not to a thread; `&RingMap` gives out nothing but facts,
// and units are exclusive by the status-word protocol (module header).
unsafe impl Send for RingMap {}
// SAFETY: as above.
unsafe impl Sync for RingMap {}

impl fmt::Debug for RingMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingMap").field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl RingMap {
    /// Maps the ring that was set up on `socket` with `layout`. Locked in memory if the
    /// process may; the kernel enters all pages at once, so no first touch faults later.
    ///
    /// # Errors
    /// What `mmap(2)` says; `InvalidInput` if the layout cannot hold a status word per unit.
    pub fn map(socket: BorrowedFd<'_>, layout: RingLayout) -> io::Result<Self> {
        let shared = libc::MAP_SHARED | libc::MAP_POPULATE;
        match Self::map_with(Some(socket), layout, shared | libc::MAP_LOCKED) {
            Ok(base) => Ok(Self { base, layout, locked: true }),
            // Not allowed to lock that much: these are kernel pages, never swapped out anyway.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EPERM)) => {
                Ok(Self { base: Self::map_with(Some(socket), layout, shared)?, layout, locked: false })
            }
            Err(error) => Err(error),
        }
    }

    /// A ring in ordinary memory, with no kernel behind it: for tests of what walks over one.
    ///
    /// # Errors
    /// As [`RingMap::map`].
    pub fn anonymous(layout: RingLayout) -> io::Result<Self> {
        let base = Self::map_with(None, layout, libc::MAP_SHARED | libc::MAP_ANONYMOUS)?;
        Ok(Self { base, layout, locked: false })
    }

    fn map_with(
        socket: Option<BorrowedFd<'_>>,
        layout: RingLayout,
        flags: libc::c_int,
    ) -> io::Result<NonNull<u8>> {
        if !layout.is_sound() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "ring layout without room for its words",
            ));
        }
        let fd = socket.map_or(-1, |s| s.as_raw_fd());
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), layout.ring_bytes(), protection, flags, fd, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(address.cast()).ok_or_else(|| io::Error::other("mmap answered a null address"))
    }

    /// How it is cut.
    pub const fn layout(&self) -> RingLayout {
        self.layout
    }

    /// True if the mapping is locked in memory.
    pub const fn is_locked(&self) -> bool {
        self.locked
    }

    /// The one taker of units, as long as it or one of its units lives.
    pub fn taker(&mut self) -> Taker<'_> {
        Taker { map: self }
    }

    fn word(&self, unit: u32) -> &AtomicU32 {
        assert!(unit < self.layout.units(), "unit {unit} is beyond the ring");
        let at = self.layout.offset_of(unit) + self.layout.status_offset as usize;
        // SAFETY: `unit` is in range and the layout is sound, so the word lies within the mapping, aligned to
        // four bytes (pages, units and the offset are). It is no part of any body, so only atomics touch it.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(at).cast()) }
    }
}

impl Drop for RingMap {
    fn drop(&mut self) {
        // SAFETY: `base` and the length are what mmap was asked for; takers and units borrow the map, so none is left.
        let rc = unsafe { libc::munmap(self.base.as_ptr().cast(), self.layout.ring_bytes()) };
        debug_assert_eq!(rc, 0, "unmapping what was mapped cannot fail");
    }
}

/// Takes units of a ring. One exists at a time.
#[derive(Debug)]
pub struct Taker<'r> {
    map: &'r RingMap,
}

impl<'r> Taker<'r> {
    /// Takes unit `unit` (which must be below [`RingLayout::units`]) if the kernel has filled it.
    #[inline]
    pub fn try_take(&mut self, unit: u32) -> Option<Unit<'r>> {
        let status = status_word::take(self.map.word(unit))?;
        Some(Unit { map: self.map, index: unit, status })
    }

    /// Looks up to `looks` times whether [`Taker::try_take`] would take the unit; returns at once when it would.
    #[inline]
    pub fn spin(&self, unit: u32, looks: u32) {
        let word = self.map.word(unit);
        for _ in 0..looks {
            if status_word::is_ready(word.load_acquire()) {
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// The status word of a unit, whoever has it.
    #[inline]
    pub fn peek(&self, unit: u32) -> u32 {
        self.map.word(unit).load_acquire()
    }

    /// How the ring is cut.
    pub const fn layout(&self) -> RingLayout {
        self.map.layout
    }
}

/// A taken unit: the exclusive right to its body until it is dropped, which gives it back.
#[derive(Debug)]
pub struct Unit<'r> {
    map: &'r RingMap,
    index: u32,
    status: u32,
}

impl Unit<'_> {
    /// The status word that the kernel published the unit with (and what [`Unit::mark`] added).
    pub const fn status(&self) -> u32 {
        self.status
    }

    /// Adds bits to this lease's copy of the status word. The ring's own word is untouched.
    pub const fn mark(&mut self, bits: u32) {
        self.status |= bits;
    }

    /// How many bytes of the unit stand before its body (up to and with the status word).
    pub const fn body_offset(&self) -> usize {
        self.map.layout.status_offset as usize + 4
    }

    /// The unit from behind its status word to its end.
    #[inline]
    pub fn body(&mut self) -> &mut [u8] {
        let layout = &self.map.layout;
        let skipped = self.body_offset();
        let at = layout.offset_of(self.index) + skipped;
        let bytes = layout.unit_bytes as usize - skipped;
        // SAFETY: the range lies within the mapping (the layout is sound, the unit in range: it was taken). The
        // kernel has published it and will not write before the word says TP_STATUS_KERNEL; no second `Unit` of it
        // exists (module header), and this borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.map.base.as_ptr().add(at), bytes) }
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        status_word::give_back(self.map.word(self.index));
    }
}

/// Tests play the kernel on an anonymous ring.
#[cfg(test)]
impl Taker<'_> {
    /// Writes a unit's body through `fill` and publishes it with `status`, as the kernel does.
    pub(crate) fn publish(&mut self, unit: u32, status: u32, fill: impl FnOnce(&mut [u8])) {
        assert_eq!(self.peek(unit), libc::TP_STATUS_KERNEL, "the kernel never overwrites");
        // Borrow the body as a unit would have it, without giving it back at the end.
        let mut unit_guard = std::mem::ManuallyDrop::new(Unit { map: self.map, index: unit, status });
        fill(unit_guard.body());
        self.map.word(unit).store_release(status);
    }
}

#[cfg(test)]
mod tests {
    use super::{RingLayout, RingMap};

    const LAYOUT: RingLayout =
        RingLayout { block_bytes: 4096, blocks: 2, unit_bytes: 1536, status_offset: 0 };

    #[test]
    fn units_do_not_straddle_blocks() {
        assert_eq!(LAYOUT.units(), 4);
        assert_eq!(LAYOUT.offset_of(1), 1536);
        assert_eq!(LAYOUT.offset_of(2), 4096);
        assert_eq!(LAYOUT.offset_of(3) + 1536, 4096 + 3072);
    }

    #[test]
    fn bodies_of_neighbours_do_not_overlap_and_come_back_in_any_order() {
        let mut map = RingMap::anonymous(LAYOUT).unwrap();
        let mut taker = map.taker();
        for unit in 0..4u8 {
            taker.publish(u32::from(unit), libc::TP_STATUS_USER, |body| body.fill(unit + 1));
        }
        let mut units: Vec<_> = (0..4).map(|n| taker.try_take(n).unwrap()).collect();
        assert!(taker.try_take(0).is_none(), "taken units stay taken");
        for (n, unit) in units.iter_mut().enumerate() {
            assert_eq!(unit.body().len(), 1532);
            assert!(unit.body().iter().all(|b| usize::from(*b) == n + 1));
        }
        units.swap(0, 3);
        for unit in units {
            drop(unit);
        }
        assert!((0..4).all(|n| taker.peek(n) == libc::TP_STATUS_KERNEL));
    }

    #[test]
    fn a_layout_that_cannot_hold_its_words_is_refused() {
        let layout = RingLayout { unit_bytes: 8, status_offset: 8, ..LAYOUT };
        assert!(RingMap::anonymous(layout).is_err());
    }
}
