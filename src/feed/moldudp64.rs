//! MoldUDP64: a downstream packet is a 20-byte header and `count` message blocks, each a 16-bit
//! length and that many bytes. All numbers are big-endian.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 10 | session, opaque; another session is another sequence space |
//! | 10 | 8 | sequence number of the first message (in heartbeats and ends of session: of the next one) |
//! | 18 | 2 | count of messages; 0 = heartbeat, 0xFFFF = end of session |
//! | 20 | 2 + n | message block, repeated |
//!
//! After [`View::parse`] the blocks fill the payload exactly and the sequence does not overflow.
//! [`Encoder`] is the way back, for generators and tests.

use super::frame::{self, Delimiter, Frame, Misfit, Space};
use super::protocol::{MessageKind, Protocol};
use crate::packet::Verdict;

/// The header.
pub const HEADER_LEN: usize = 20;
/// The count that says that the session has ended; it carries no messages.
pub const END_OF_SESSION: u16 = 0xffff;
/// Most messages that one packet can carry.
pub const MAX_COUNT: u16 = 0xfffe;
/// A session's name: opaque, by custom ASCII padded with spaces.
pub type Session = [u8; 10];

/// The header of a downstream packet, and the whole of a request packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Session.
    pub session: Session,
    /// Sequence number of the first message, or of the next one if there is none here.
    pub sequence: u64,
    /// Count as it stands in the header.
    pub count: u16,
}

impl Header {
    /// Reads the first 20 bytes.
    ///
    /// # Errors
    /// `MOLD_TRUNCATED`.
    pub fn parse(payload: &[u8]) -> Result<Self, Verdict> {
        let header = payload.first_chunk::<HEADER_LEN>().ok_or(Verdict::MOLD_TRUNCATED)?;
        let (session, rest) = header.split_first_chunk::<10>().ok_or(Verdict::MOLD_TRUNCATED)?;
        let (sequence, rest) = rest.split_first_chunk::<8>().ok_or(Verdict::MOLD_TRUNCATED)?;
        let count = rest.first_chunk::<2>().ok_or(Verdict::MOLD_TRUNCATED)?;
        Ok(Self {
            session: *session,
            sequence: u64::from_be_bytes(*sequence),
            count: u16::from_be_bytes(*count),
        })
    }
    /// Appends the 20 bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.session);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
    }
    /// How many messages there are.
    pub const fn messages(&self) -> u16 {
        if self.count == END_OF_SESSION { 0 } else { self.count }
    }
    /// True for a heartbeat.
    pub const fn is_heartbeat(&self) -> bool {
        self.count == 0
    }
    /// True for an end of session.
    pub const fn is_end(&self) -> bool {
        self.count == END_OF_SESSION
    }
    /// True if the session is printable ASCII, as those of real feeds are.
    pub fn is_printable(&self) -> bool {
        self.session.iter().all(|byte| (0x20..0x7f).contains(byte))
    }
}

/// A sound downstream packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View<'a> {
    /// Its header.
    pub header: Header,
    blocks: &'a [u8],
}

impl<'a> View<'a> {
    /// Checks a whole packet: every block lies within it, and there are exactly as many as the header counts.
    ///
    /// # Errors
    /// `MOLD_TRUNCATED`, `MOLD_BAD_LENGTH`, `MOLD_BAD_COUNT`, `MOLD_SEQUENCE_OVERFLOW`.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Verdict> {
        Self::parse_snapped(payload, payload.len())
    }

    /// As [`View::parse`] for a packet of which only the first bytes were captured: what is not here is not judged.
    ///
    /// # Errors
    /// As [`View::parse`]; `MOLD_TRUNCATED` also if the capture ends inside the header.
    pub fn parse_snapped(payload: &'a [u8], on_wire: usize) -> Result<Self, Verdict> {
        let header = Header::parse(payload)?;
        let blocks = payload.get(HEADER_LEN..).unwrap_or_default();
        if header.sequence.checked_add(u64::from(header.messages())).is_none() {
            return Err(Verdict::MOLD_SEQUENCE_OVERFLOW);
        }
        check_blocks(blocks, on_wire.max(payload.len()) - HEADER_LEN, header.messages())?;
        Ok(Self { header, blocks })
    }

    /// The messages, in order; those that are wholly here.
    pub const fn messages(&self) -> Messages<'a> {
        Messages { rest: self.blocks, left: self.header.messages() }
    }
}

/// Steps over the blocks; those that were captured must agree with the count.
fn check_blocks(blocks: &[u8], on_wire: usize, count: u16) -> Result<(), Verdict> {
    match Delimiter::U16BeBefore.check(blocks, on_wire, Some(u32::from(count))) {
        Ok(_) => Ok(()),
        Err(Misfit::Count) => Err(Verdict::MOLD_BAD_COUNT),
        Err(Misfit::Length) => Err(Verdict::MOLD_BAD_LENGTH),
    }
}

/// Reads a datagram as a frame.
///
/// # Errors
/// As [`View::parse_snapped`].
pub(super) fn frame(payload: &[u8], on_wire_bytes: usize) -> Result<Frame<'_>, Verdict> {
    let view = View::parse_snapped(payload, on_wire_bytes)?;
    let messages = view.header.messages();
    let header = frame::Header {
        space: Space::of(&view.header.session),
        first: view.header.sequence,
        units: u64::from(messages),
        messages: u32::from(messages),
        numbers_messages: true,
        sent_ns: None,
        kind: match view.header.count {
            0 => frame::Kind::Heartbeat,
            END_OF_SESSION => frame::Kind::EndOfSession,
            _ => frame::Kind::Data,
        },
        offset: None,
    };
    Ok(Frame { header, body: view.blocks, delimiter: Delimiter::U16BeBefore })
}

/// MoldUDP64 that carries nobody knows what.
#[derive(Clone, Copy, Debug)]
pub struct Bare;

impl Protocol for Bare {
    fn name(&self) -> &'static str {
        "moldudp64"
    }
    fn version(&self) -> u32 {
        1
    }
    fn header_bytes(&self) -> usize {
        HEADER_LEN
    }
    fn frame<'a>(&self, payload: &'a [u8], on_wire_bytes: usize) -> Result<Frame<'a>, Verdict> {
        frame(payload, on_wire_bytes)
    }
    fn check(&self, _message: &[u8]) -> Result<MessageKind, Verdict> {
        Ok(MessageKind::Known)
    }
    fn message_name(&self, message: &[u8]) -> String {
        format!("len{}", message.len())
    }
}

/// Iterator over the messages of a packet.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
    left: u16,
}

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let (length, rest) = self.rest.split_first_chunk::<2>()?;
        let (message, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.rest = rest;
        Some(message)
    }
}

/// Writes one downstream packet into the caller's buffer, behind what is there.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    begin: usize,
    count: u16,
}

impl<'a> Encoder<'a> {
    /// Writes the header. Without a message the packet is a heartbeat.
    pub fn begin(out: &'a mut Vec<u8>, session: Session, sequence: u64) -> Self {
        let begin = out.len();
        Header { session, sequence, count: 0 }.write(out);
        Self { out, begin, count: 0 }
    }
    /// Appends a message that `write` appends to the buffer. False, and nothing is appended, if it is
    /// longer than 65,535 bytes or the packet is full.
    pub fn message_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let at = self.out.len();
        self.out.extend_from_slice(&[0, 0]);
        write(self.out);
        let length = self.out.len().checked_sub(at + 2).and_then(|length| u16::try_from(length).ok());
        let (Some(length), true) = (length, self.count < MAX_COUNT) else {
            self.out.truncate(at);
            return false;
        };
        if let Some(field) = self.out.get_mut(at..at + 2) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        self.count += 1;
        true
    }
    /// Appends a message; false as [`Encoder::message_with`].
    pub fn message(&mut self, message: &[u8]) -> bool {
        self.message_with(|out| out.extend_from_slice(message))
    }
    /// Length of the packet so far, bytes.
    pub fn len(&self) -> usize {
        self.out.len() - self.begin
    }
    /// True until a message was appended.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// Writes the count; answers it.
    pub fn finish(self) -> u16 {
        if let Some(field) = self.out.get_mut(self.begin + 18..self.begin + HEADER_LEN) {
            field.copy_from_slice(&self.count.to_be_bytes());
        }
        self.count
    }
}

/// Appends a heartbeat: `next` is the sequence number that comes next.
pub fn heartbeat(out: &mut Vec<u8>, session: Session, next: u64) {
    Header { session, sequence: next, count: 0 }.write(out);
}

/// Appends an end of session: `next` is the sequence number that would have come next.
pub fn end_of_session(out: &mut Vec<u8>, session: Session, next: u64) {
    Header { session, sequence: next, count: END_OF_SESSION }.write(out);
}

/// Appends a request packet: `count` messages from `first` on are wanted again.
pub fn request(out: &mut Vec<u8>, session: Session, first: u64, count: u16) {
    Header { session, sequence: first, count }.write(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SESSION: Session = *b"000010059B";

    fn encoded(sequence: u64, messages: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = Encoder::begin(&mut out, SESSION, sequence);
        for message in messages {
            assert!(encoder.message(message));
        }
        encoder.finish();
        out
    }

    #[test]
    fn a_heartbeat_and_an_end_of_session_carry_no_messages() {
        let mut out = Vec::new();
        heartbeat(&mut out, SESSION, 7);
        let view = View::parse(&out).unwrap();
        assert!(view.header.is_heartbeat() && view.messages().next().is_none());
        out.clear();
        end_of_session(&mut out, SESSION, u64::MAX);
        let view = View::parse(&out).unwrap();
        assert!(view.header.is_end() && view.header.messages() == 0 && view.messages().next().is_none());
    }

    #[test]
    fn each_fault_has_its_name() {
        let sound = encoded(1, &[b"ab".to_vec(), Vec::new(), b"cde".to_vec()]);
        assert_eq!(View::parse(&sound).unwrap().messages().collect::<Vec<_>>(), [&b"ab"[..], b"", b"cde"]);
        let with = |at: usize, value: u8| {
            let mut bytes = sound.clone();
            bytes[at] = value;
            bytes
        };
        for (bytes, expected) in [
            (sound[..19].to_vec(), Verdict::MOLD_TRUNCATED),
            (with(19, 2), Verdict::MOLD_BAD_COUNT),
            (with(19, 4), Verdict::MOLD_BAD_COUNT),
            (with(19, 0), Verdict::MOLD_BAD_COUNT),
            (with(21, 200), Verdict::MOLD_BAD_LENGTH),
            (sound[..sound.len() - 1].to_vec(), Verdict::MOLD_BAD_LENGTH),
            ([&sound[..], &[0]].concat(), Verdict::MOLD_BAD_COUNT),
            (encoded(u64::MAX, &[b"x".to_vec()]), Verdict::MOLD_SEQUENCE_OVERFLOW),
        ] {
            assert_eq!(View::parse(&bytes), Err(expected), "{bytes:?}");
        }
    }

    #[test]
    fn a_message_too_long_is_refused_and_leaves_the_packet_as_it_was() {
        let mut out = vec![9];
        let mut encoder = Encoder::begin(&mut out, SESSION, 1);
        assert!(!encoder.message(&vec![0; 65_536]));
        assert!(encoder.is_empty() && encoder.message(b"x"));
        assert_eq!(encoder.len(), 23);
        assert_eq!(encoder.finish(), 1);
        assert_eq!(View::parse(&out[1..]).unwrap().messages().next(), Some(&b"x"[..]));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_back_and_every_truncation_is_caught(
            sequence in 0..u64::MAX / 2,
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20),
        ) {
            let bytes = encoded(sequence, &messages);
            let view = View::parse(&bytes).unwrap();
            prop_assert_eq!(view.header.sequence, sequence);
            prop_assert_eq!(view.messages().map(<[u8]>::to_vec).collect::<Vec<_>>(), messages);
            for len in 0..bytes.len() {
                prop_assert!(View::parse(&bytes[..len]).is_err());
                prop_assert_eq!(View::parse_snapped(&bytes[..len], bytes.len()).is_ok(), len >= HEADER_LEN);
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), on_wire in 0_usize..200) {
            if let Ok(view) = View::parse_snapped(&bytes, on_wire) {
                view.messages().count();
            }
        }
    }
}
