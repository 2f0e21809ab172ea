//! Wiretape: low-latency packet capture into crash-safe, standard pcapng journals.
//!
//! Data goes up once and comes down nowhere:
//! `NIC ring → capture → ring → wire/feed/validate → journal → events, tape tools`.
//! `docs/architecture.md` follows one packet through these modules.
//!
//! The modules stand on floors; a module names only lower floors, and neighbours
//! on a floor do not see each other (`tests/architecture.rs` keeps that true).

// floor 0: stamps and units; every system call, mapping, kernel struct, and all `unsafe`
pub mod sys;
pub mod time;
// floor 1: shared vocabulary
pub mod clock;
pub mod metrics;
pub mod packet;
// floor 2: pure, bytes in and values out
pub mod book;
pub mod feed;
pub mod filter;
pub mod pcapng;
pub mod ring;
pub mod wire;
// floor 3
pub mod capture;
pub mod journal;
pub mod validate;
// floor 4
pub mod events;
// floor 5: the only joiners
pub mod lab;
pub mod pipeline;
pub mod replay;
#[cfg(feature = "tape")]
pub mod tape;
// floor 6: raw arguments → checked configuration
pub mod cli;
pub mod config;
pub mod demo;
