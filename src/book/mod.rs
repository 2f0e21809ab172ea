//! Order books built from order messages: every live order, and each instrument's price levels.
//!
//! Pure, bounded, deterministic: what a book answers depends on the messages alone. What cannot be (an execution of an
//! order never added, more taken than is there) is answered as a fault, never a panic.
