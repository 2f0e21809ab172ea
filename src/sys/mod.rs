//! Every system call, mapping and kernel struct, and all `unsafe` of the program.
//!
//! Plain values in, `io::Result` out; no policy, no logging. One file a kernel
//! facility. Whatever the caller could misuse is a guard type here.

#![allow(unsafe_code, reason = "the one home of unsafe; tests/architecture.rs keeps it so")]

pub mod clock;
pub mod fs;
pub mod libpcap;
pub mod map_read;
pub mod packet_send;
pub mod random;
pub mod readable;
pub mod segment_map;
pub mod sleep;
pub mod socket_filter;
