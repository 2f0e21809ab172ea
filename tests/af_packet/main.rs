//! The rings on real interfaces: each test makes its own network namespace with a veth
//! pair (needs root and `ip`), so that they run beside each other and touch nothing.

#![expect(clippy::unwrap_used, reason = "a test's helper that fails is a test that fails")]
#![expect(clippy::cast_possible_truncation, reason = "frame numbers and fill bytes wrap on purpose")]

mod delivery;
mod interface;
mod loss;
mod support;
