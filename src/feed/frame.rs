//! What every feed's datagram has in common: a header that places it in a sequence space, and
//! messages behind it, each with its length in front.
//!
//! [`Protocol`](super::Protocol) turns bytes into a [`Frame`]; everything that counts sequence numbers, compares
//! lines or steps over messages works on frames and knows no protocol.

use std::fmt;

/// Names one sequence space of a line: a session, a channel and session, a unit. Opaque: equal or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Space(pub [u8; 12]);

impl Space {
    /// The first bytes are `name` (at most 12 of them), the rest 0.
    pub fn of(name: &[u8]) -> Self {
        let mut space = [0; 12];
        for (byte, from) in space.iter_mut().zip(name) {
            *byte = *from;
        }
        Self(space)
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Space({})", self.0.escape_ascii())
    }
}

/// What a datagram is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// It carries messages.
    #[default]
    Data,
    /// It says that the sender lives, and which number comes next. (Some protocols number it: then `units` is 1.)
    Heartbeat,
    /// The sender says that the session has ended.
    EndOfSession,
    /// The sender begins a new sequence space at `first`.
    Reset,
}

/// A second continuity check beside the sequence number: bytes of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamOffset {
    /// Offset of the datagram's first payload byte in the stream.
    pub begin: u64,
    /// Payload bytes.
    pub bytes: u64,
}

/// What a datagram's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Its sequence space.
    pub space: Space,
    /// Sequence number of its first unit; without units, of the next one to come.
    pub first: u64,
    /// Sequence numbers that it uses: its messages, or 1 where the protocol numbers packets.
    pub units: u64,
    /// Messages in it.
    pub messages: u32,
    /// True if each message has a number of its own, false if the packet has one for all.
    pub numbers_messages: bool,
    /// When it was sent, ns since the Unix epoch by the sender's clock; `None` if the header does not say.
    pub sent_ns: Option<u64>,
    /// What it is for.
    pub kind: Kind,
    /// Its place in the stream of bytes, where the protocol tells.
    pub offset: Option<StreamOffset>,
}

impl Header {
    /// The number after its last unit. Never overflows for a frame that its protocol accepted.
    pub const fn next(&self) -> u64 {
        self.first.saturating_add(self.units)
    }
}

/// How messages are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delimiter {
    /// A 16-bit big-endian length that does not count itself, then the message.
    U16BeBefore,
    /// A 16-bit little-endian length that does not count itself, then the message.
    U16LeBefore,
    /// The message begins with its 16-bit little-endian length, which counts itself.
    U16LeInside,
    /// The message begins with its 8-bit length, which counts itself.
    U8Inside,
    /// What is behind the header is one message (or none of our business).
    Whole,
}

/// What is wrong between a count and the lengths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// A length runs past the datagram, or does not even count itself.
    Length,
    /// Fewer or more messages than counted.
    Count,
}

impl Delimiter {
    /// Cuts the first message off: the message (with its length if that is part of it) and the rest.
    fn cut(self, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let (head, length) = self.length(bytes)?;
        bytes.get(head..)?.split_at_checked(length)
    }

    /// How many bytes stand before the message, and how many are its own; `None` if the length is not (wholly) here or impossible.
    fn length(self, bytes: &[u8]) -> Option<(usize, usize)> {
        let two = || bytes.first_chunk::<2>().copied();
        match self {
            Self::U16BeBefore => Some((2, usize::from(u16::from_be_bytes(two()?)))),
            Self::U16LeBefore => Some((2, usize::from(u16::from_le_bytes(two()?)))),
            Self::U16LeInside => Some((0, usize::from(u16::from_le_bytes(two()?)))).filter(|(_, n)| *n >= 2),
            Self::U8Inside => Some((0, usize::from(*bytes.first()?))).filter(|(_, n)| *n >= 1),
            Self::Whole => Some((0, bytes.len())),
        }
    }

    const fn width(self) -> usize {
        match self {
            Self::U16BeBefore | Self::U16LeBefore | Self::U16LeInside => 2,
            Self::U8Inside => 1,
            Self::Whole => 0,
        }
    }

    /// Checks that exactly `count` messages (any number, if `None`) fill `on_wire_bytes`, of which `body` was
    /// captured; what was not captured is not judged. Answers how many messages begin in `body`.
    ///
    /// # Errors
    /// [`Misfit`].
    pub fn check(self, body: &[u8], on_wire_bytes: usize, count: Option<u32>) -> Result<u32, Misfit> {
        let on_wire_bytes = on_wire_bytes.max(body.len());
        let (mut at, mut seen) = (0_usize, 0_u32);
        while count.map_or(at < on_wire_bytes, |count| seen < count) {
            if at == on_wire_bytes {
                return Err(Misfit::Count);
            }
            let rest = body.get(at..).unwrap_or_default();
            if rest.len() < self.width() {
                // Cut by the capturer, if the wire had the length here.
                return if at + self.width() <= on_wire_bytes { Ok(seen) } else { Err(Misfit::Length) };
            }
            let (head, length) = self.length(rest).ok_or(Misfit::Length)?;
            at += head + length;
            if at > on_wire_bytes {
                return Err(Misfit::Length);
            }
            seen += 1;
        }
        if at == on_wire_bytes { Ok(seen) } else { Err(Misfit::Count) }
    }
}

/// A datagram whose framing is sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// What its header says.
    pub header: Header,
    /// What is behind the header, as far as it was captured.
    pub body: &'a [u8],
    /// How its messages are told apart.
    pub delimiter: Delimiter,
}

impl<'a> Frame<'a> {
    /// The messages, in order; those that are wholly here.
    pub const fn messages(&self) -> Messages<'a> {
        Messages { rest: self.body, left: self.header.messages, delimiter: self.delimiter }
    }
}

/// Iterator over the messages of a datagram.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
    left: u32,
    delimiter: Delimiter,
}

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let (message, rest) = self.delimiter.cut(self.rest)?;
        self.rest = rest;
        Some(message)
    }
}
