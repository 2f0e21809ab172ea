//! What turns a protocol's messages into events: one file a protocol.

pub mod cme;
pub mod common;
pub mod iex;
pub mod itch50;
pub mod numbering;
mod order_records;
pub mod pitch;

use super::output::{Arrival, Output};
use crate::feed::{FeedConfig, FeedProtocol, Frame, Space};

/// The normalizer of a feed; `None` for protocols whose messages nobody can read (bare MoldUDP64, sequenced).
pub fn normalizer(feed: &FeedConfig) -> Option<Box<dyn Normalizer>> {
    match feed.protocol {
        FeedProtocol::IexTp => Some(Box::new(iex::Iex::new(feed))),
        FeedProtocol::MoldUdp64Itch50 => Some(Box::new(itch50::Itch50::new(feed))),
        FeedProtocol::CmeMdp3 => Some(Box::new(cme::Cme::new(feed))),
        FeedProtocol::CboePitch => Some(Box::new(pitch::Pitch::new(feed))),
        _ => None,
    }
}

/// Makes events of one feed's messages. It is given each message once, in sequence order, whichever line brought it.
pub trait Normalizer: std::fmt::Debug + Send {
    /// The messages of `frame` from number `skip` on are new (those before were seen): makes events of them.
    fn packet(&mut self, arrival: &Arrival, frame: &Frame<'_>, skip: u32, out: &mut Output);

    /// Messages are missing for good: what is known of orders may be wrong from here on.
    fn gap(&mut self, arrival: &Arrival, out: &mut Output);

    /// A new sequence space: orders of the old one are gone.
    fn reset(&mut self, arrival: &Arrival, out: &mut Output);

    /// As [`Normalizer::reset`], for feeds whose sequence spaces run side by side (the units of PITCH): only this one began anew.
    fn reset_space(&mut self, space: &Space, arrival: &Arrival, out: &mut Output) {
        let _ = space;
        self.reset(arrival, out);
    }

    /// Tape time has come to `now_ns`: what lasted too long is said.
    fn tick(&mut self, now_ns: u64, out: &mut Output);

    /// Instrument ids and symbols, in the order in which they became known.
    fn symbols(&self) -> &[(u32, String)];
}
