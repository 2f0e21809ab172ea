//! The status word of an `AF_PACKET` ring: who may touch a frame (V2) or block (V3).
//!
//! The kernel publishes a unit by setting `TP_STATUS_USER`; user space takes it by
//! adding a bit of its own, [`LEASED`], and gives it back by storing
//! `TP_STATUS_KERNEL`. The kernel looks at the whole word in V2 (equal to
//! `TP_STATUS_KERNEL`?) and at `TP_STATUS_USER` alone in V3, so a leased unit
//! counts as ours to both.
//!
//! Always true: a unit is taken by one taker only (callers keep that by `&mut`), and
//! each taken unit is given back at most once. The acquire load of a take pairs with
//! the kernel's barrier before it publishes; the release store of a return makes every
//! read of the unit happen before the kernel's next write. The same code runs on the
//! ring's mapped words and in a loom model (`RUSTFLAGS="--cfg loom" cargo test --lib
//! --release loom_`).

/// Ours: set while a lease on the unit exists. No kernel uses this bit.
pub const LEASED: u32 = 1 << 27;

/// A 32-bit word shared with the producer: the three accesses that the protocol needs.
pub trait Word {
    /// Loads with acquire ordering.
    fn load_acquire(&self) -> u32;
    /// Stores with relaxed ordering.
    fn store_relaxed(&self, value: u32);
    /// Stores with release ordering.
    fn store_release(&self, value: u32);
}

impl Word for std::sync::atomic::AtomicU32 {
    fn load_acquire(&self) -> u32 {
        self.load(std::sync::atomic::Ordering::Acquire)
    }
    fn store_relaxed(&self, value: u32) {
        self.store(value, std::sync::atomic::Ordering::Relaxed);
    }
    fn store_release(&self, value: u32) {
        self.store(value, std::sync::atomic::Ordering::Release);
    }
}

/// True if the unit is filled and nobody has taken it.
pub const fn is_ready(status: u32) -> bool {
    status & libc::TP_STATUS_USER != 0 && status & LEASED == 0
}

/// Takes the unit if it is ready, and answers the kernel's status word.
///
/// Load and store are two steps: between them nobody else writes, because the kernel
/// leaves a word with `TP_STATUS_USER` alone and there is one taker. The store may be
/// relaxed: only this taker looks for `LEASED`, and a thread reads its own writes.
pub fn take<W: Word>(word: &W) -> Option<u32> {
    let status = word.load_acquire();
    if !is_ready(status) {
        return None;
    }
    word.store_relaxed(status | LEASED);
    Some(status)
}

/// Gives a taken unit back to the kernel.
pub fn give_back<W: Word>(word: &W) {
    word.store_release(libc::TP_STATUS_KERNEL);
}

#[cfg(test)]
mod tests {
    use super::{LEASED, give_back, take};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_kernel_owned_unit_is_not_taken() {
        assert_eq!(take(&AtomicU32::new(libc::TP_STATUS_KERNEL)), None);
        assert_eq!(take(&AtomicU32::new(libc::TP_STATUS_LOSING)), None);
    }

    #[test]
    fn a_unit_is_taken_once_until_it_is_filled_again() {
        let word = AtomicU32::new(libc::TP_STATUS_USER | libc::TP_STATUS_LOSING);
        assert_eq!(take(&word), Some(libc::TP_STATUS_USER | libc::TP_STATUS_LOSING));
        assert_eq!(take(&word), None);
        assert_eq!(word.load(Ordering::Relaxed) & LEASED, LEASED);
        give_back(&word);
        assert_eq!(word.load(Ordering::Relaxed), libc::TP_STATUS_KERNEL);
        assert_eq!(take(&word), None);
        word.store(libc::TP_STATUS_USER, Ordering::Release);
        assert_eq!(take(&word), Some(libc::TP_STATUS_USER));
    }

    #[test]
    fn our_bit_is_none_of_the_kernels() {
        let kernels = libc::TP_STATUS_USER
            | libc::TP_STATUS_COPY
            | libc::TP_STATUS_LOSING
            | libc::TP_STATUS_CSUMNOTREADY
            | libc::TP_STATUS_VLAN_VALID
            | libc::TP_STATUS_BLK_TMO
            | libc::TP_STATUS_VLAN_TPID_VALID
            | libc::TP_STATUS_CSUM_VALID
            | (1 << 8)
            | libc::TP_STATUS_TS_SOFTWARE
            | libc::TP_STATUS_TS_SYS_HARDWARE
            | libc::TP_STATUS_TS_RAW_HARDWARE;
        assert_eq!(kernels & LEASED, 0);
    }
}

/// The ring as a model: a "kernel" that fills units in order, a taker, and readers
/// that give units back in any order. loom tries every interleaving and every value
/// that the memory model allows a load to see, and reports unsynchronised access to
/// a unit's bytes.
#[cfg(all(test, loom))]
mod loom_model {
    use super::{Word, give_back, take};
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
    use loom::thread;

    impl Word for AtomicU32 {
        fn load_acquire(&self) -> u32 {
            self.load(Ordering::Acquire)
        }
        fn store_relaxed(&self, value: u32) {
            self.store(value, Ordering::Relaxed);
        }
        fn store_release(&self, value: u32) {
            self.store(value, Ordering::Release);
        }
    }

    struct Unit {
        word: AtomicU32,
        bytes: UnsafeCell<u32>,
        leases: AtomicUsize,
    }

    struct Ring(Vec<Unit>);

    impl Ring {
        fn new(units: usize) -> Arc<Self> {
            let unit =
                || Unit { word: AtomicU32::new(0), bytes: UnsafeCell::new(0), leases: AtomicUsize::new(0) };
            Arc::new(Self((0..units).map(|_| unit()).collect()))
        }

        /// What the kernel does: looks whether the unit is its own, writes, publishes.
        fn fill(&self, unit: usize, value: u32) -> bool {
            let unit = &self.0[unit];
            if unit.word.load(Ordering::Acquire) != libc::TP_STATUS_KERNEL {
                return false; // full: the kernel drops, it never overwrites
            }
            // SAFETY: the word says the unit is the kernel's; loom fails the test if a reader is still in it.
            unit.bytes.with_mut(|bytes| unsafe { *bytes = value });
            unit.word.store(libc::TP_STATUS_USER, Ordering::Release);
            true
        }

        fn take(&self, unit: usize) -> bool {
            let unit = &self.0[unit];
            if take(&unit.word).is_none() {
                return false;
            }
            assert_eq!(unit.leases.fetch_add(1, Ordering::Relaxed), 0, "two leases of one unit");
            true
        }

        fn read_and_give_back(&self, unit: usize) -> u32 {
            let unit = &self.0[unit];
            // SAFETY: the unit is leased by this reader; loom fails the test if the kernel writes meanwhile.
            let value = unit.bytes.with(|bytes| unsafe { *bytes });
            unit.leases.fetch_sub(1, Ordering::Relaxed);
            give_back(&unit.word);
            value
        }
    }

    #[test]
    fn loom_reads_happen_before_the_kernels_next_write() {
        loom::model(|| {
            let ring = Ring::new(1);
            let kernel = {
                let ring = ring.clone();
                thread::spawn(move || {
                    let mut filled = 0;
                    for value in 1..=2 {
                        filled += u32::from(ring.fill(0, value));
                    }
                    filled
                })
            };
            let mut seen = 0;
            for _ in 0..2 {
                if ring.take(0) {
                    let value = ring.read_and_give_back(0);
                    assert!(value > seen, "an old frame was read again");
                    seen = value;
                }
            }
            assert!(kernel.join().unwrap() >= 1);
        });
    }

    #[test]
    fn loom_a_unit_is_never_leased_twice_after_a_wrap() {
        loom::model(|| {
            let ring = Ring::new(1);
            assert!(ring.fill(0, 7));
            assert!(ring.take(0));
            let reader = {
                let ring = ring.clone();
                thread::spawn(move || assert_eq!(ring.read_and_give_back(0), 7))
            };
            let kernel = {
                let ring = ring.clone();
                thread::spawn(move || ring.fill(0, 8))
            };
            // The taker has wrapped round to the same unit while its lease may still be out.
            if ring.take(0) {
                assert_eq!(ring.read_and_give_back(0), 8, "the old frame was leased a second time");
            }
            reader.join().unwrap();
            kernel.join().unwrap();
        });
    }

    #[test]
    fn loom_units_may_come_back_out_of_order() {
        loom::model(|| {
            let ring = Ring::new(2);
            assert!(ring.fill(0, 1) && ring.fill(1, 2));
            assert!(ring.take(0) && ring.take(1));
            let second = {
                let ring = ring.clone();
                thread::spawn(move || assert_eq!(ring.read_and_give_back(1), 2))
            };
            let kernel = {
                let ring = ring.clone();
                thread::spawn(move || {
                    // In ring order: the kernel waits for unit 0 even if 1 is back already.
                    if ring.fill(0, 3) {
                        ring.fill(1, 4);
                    }
                })
            };
            assert_eq!(ring.read_and_give_back(0), 1);
            if ring.take(0) {
                assert_eq!(ring.read_and_give_back(0), 3);
            }
            second.join().unwrap();
            kernel.join().unwrap();
        });
    }
}
