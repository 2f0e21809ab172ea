//! What an exchange says, protocol by protocol: messages, and the datagrams around them.

mod iex;
mod itch;
mod mdp3;
mod pitch;
mod sequenced;

use super::fault::Damage;
use super::market::Wish;
use super::plan::FeedPlan;
use crate::feed::FeedProtocol;
use crate::packet::Verdict;
use std::fmt::Debug;
use std::ops::Range;

/// What a datagram's header says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    pub(super) session: u32,
    /// Number of its first message, or of the next one.
    pub(super) first: u64,
    /// Its place in the stream of bytes.
    pub(super) offset: u64,
    /// When it is sent, ns since the Unix epoch.
    pub(super) sent_ns: u64,
}

/// Messages that leave together.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Messages {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
    pub(super) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
    fn span(&self, index: usize) -> Range<usize> {
        index.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[index]
    }
    pub(super) fn iter(&self, which: Range<usize>) -> impl Iterator<Item = &[u8]> {
        which.map(|index| &self.bytes[self.span(index)])
    }
    pub(super) fn get_mut(&mut self, index: usize) -> &mut [u8] {
        let span = self.span(index);
        &mut self.bytes[span]
    }
    /// Takes a byte off the end of the last message.
    pub(super) fn shorten_last(&mut self) {
        self.bytes.pop();
        if let Some(end) = self.ends.last_mut() {
            *end -= 1;
        }
    }
}

/// Speaks a protocol.
pub(super) trait Flow: Debug + Send {
    /// A new sequence space: what was said before is forgotten.
    fn reopen(&mut self);

    /// True once a fault of order flow can be wished for.
    fn is_open(&self) -> bool {
        true
    }

    /// Appends a message about `wish` that happens at `event_ns` (ns since the Unix epoch).
    fn say(&mut self, wish: Wish, event_ns: u64, out: &mut Vec<u8>);

    /// Appends a datagram with some of the messages; answers how many bytes of the stream it takes.
    fn packet(&self, head: &Head, messages: &Messages, which: Range<usize>, out: &mut Vec<u8>) -> u64;

    /// Appends a heartbeat; answers how many numbers it takes.
    fn heartbeat(&self, head: &Head, out: &mut Vec<u8>) -> u64;

    /// Appends an end of session, if there is such a thing.
    fn end(&self, _head: &Head, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// True if each message has a number, so that lines may cut them differently.
    fn numbers_messages(&self) -> bool {
        true
    }

    /// Numbers that a datagram of so many messages takes.
    fn units(&self, messages: usize) -> u64 {
        messages as u64
    }

    /// Breaks the framing of a datagram; answers what must be said of it.
    fn damage(&self, damage: Damage, payload: &mut Vec<u8>) -> Verdict;

    /// A byte of a message and the bits to turn there: sound afterwards, and of no consequence to any other message.
    fn harmless(&self, message: &[u8]) -> (usize, u8);
}

/// What speaks the plan's protocol.
pub(super) fn flow(plan: &FeedPlan) -> Box<dyn Flow> {
    match plan.protocol {
        FeedProtocol::MoldUdp64Itch50 | FeedProtocol::MoldUdp64 => Box::new(itch::Itch::new(plan)),
        FeedProtocol::IexTp => Box::new(iex::Iex::new(plan)),
        FeedProtocol::CboePitch => Box::new(pitch::Pitch::new(plan)),
        FeedProtocol::CmeMdp3 => Box::new(mdp3::Mdp3::new(plan)),
        FeedProtocol::Sequenced => Box::new(sequenced::Sequenced::new(plan)),
    }
}

/// Ten digits.
pub(super) fn mold_session(session: u32) -> [u8; 10] {
    let mut name = [b'0'; 10];
    let mut rest = session;
    for digit in name.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    name
}
