//! Every system call, mapping and kernel struct, and all `unsafe` of the program.
//!
//! Plain values in, `io::Result` out; no policy, no logging. One file a kernel
//! facility. Whatever the caller could misuse is a guard type here.

#![allow(unsafe_code, reason = "the one home of unsafe; tests/architecture.rs keeps it so")]

pub mod advice;
pub mod attempts;
pub mod clock;
pub mod ethtool;
pub mod fs;
pub mod guard_process;
pub mod hwtstamp;
pub(crate) mod ifreq;
pub mod kernel;
pub mod libpcap;
pub mod map_read;
pub mod multicast;
pub mod netdev;
pub mod netns;
pub mod pace;
pub mod packet_send;
pub mod packet_socket;
pub mod phc;
pub mod random;
pub mod readable;
pub mod ring_map;
pub mod rtnetlink;
pub mod sched;
pub mod segment_map;
pub mod socket_filter;
pub(crate) mod sockopt;
pub mod status_word;
pub mod terminal;
pub mod tpacket;
