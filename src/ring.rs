//! The hand-over from a capture thread to its worker: an `rtrb` ring that can hold
//! every lease there is, so a push cannot fail for a kernel ring.
//!
//! Pure of system calls and of policy. One producer, one consumer, each owned by
//! its thread; nothing is ever copied but the lease.

/// The capture thread's end.
pub type Producer<T> = rtrb::Producer<T>;
/// The worker's end.
pub type Consumer<T> = rtrb::Consumer<T>;

/// A ring for `capacity` items (at least one).
pub fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    rtrb::RingBuffer::new(capacity.max(1))
}
