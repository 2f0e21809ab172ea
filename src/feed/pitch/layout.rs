//! The messages' types, names and lengths in each dialect.
//!
//! | dialect | specification |
//! |---|---|
//! | [`Dialect::Equities`] | US Equities/Options Multicast Depth of Book (PITCH) 2.41, on BZX, BYX, EDGX |
//! | [`Dialect::Options`] | the same and 2.39, on C1, C2, BZX and EDGX Options |
//! | [`Dialect::Complex`] | US Options Complex Multicast PITCH 2.1 |
//! | [`Dialect::Futures`] | Cboe Futures Exchange Multicast Depth of Book (PITCH) 1.1 and 1.2 |
//!
//! A type byte means the same message in all of them, but a byte or a field may be missing at its end (equities send no trade condition,
//! futures no flags). What a datagram does not say is its dialect; so a message is too short only if it is
//! shorter than in every dialect. Longer is growth: newer versions add fields at the end. Not covered: the feeds of Cboe Europe, Australia,
//! Canada and Japan, top of book, auction and FLEX feeds. Auction Update (0x95) is told with and without a time offset by the
//! sources that we have: the shorter form counts, and its fields are not read.

use crate::packet::Verdict;

/// Which specification a length is from. The discriminant is the index into [`Layout::lengths`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// US equities.
    Equities = 0,
    /// US options.
    Options = 1,
    /// US complex options.
    Complex = 2,
    /// Futures.
    Futures = 3,
}

/// One message type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Type byte.
    pub kind: u8,
    /// Its name.
    pub name: &'static str,
    /// Shortest length in bytes, with length and type byte, that a version of each dialect has; 0 = not in the dialect.
    pub lengths: [u8; 4],
}

impl Layout {
    /// The shortest that any dialect has.
    pub const fn shortest(&self) -> u8 {
        let (mut at, mut shortest) = (0, u8::MAX);
        while at < self.lengths.len() {
            if self.lengths[at] != 0 && self.lengths[at] < shortest {
                shortest = self.lengths[at];
            }
            at += 1;
        }
        shortest
    }
    /// Its length in a dialect, `None` if it is not in it.
    pub const fn length(&self, dialect: Dialect) -> Option<u8> {
        match self.lengths[dialect as usize] {
            0 => None,
            length => Some(length),
        }
    }
}

const fn layout(kind: u8, lengths: [u8; 4], name: &'static str) -> Layout {
    Layout { kind, name, lengths }
}

/// Every message type, by type byte. Lengths: equities, options, complex, futures.
pub const LAYOUT: [Layout; 39] = [
    layout(0x20, [6, 6, 6, 10], "time"),
    layout(0x21, [34, 34, 34, 33], "add order long"),
    layout(0x22, [26, 26, 26, 25], "add order short"),
    layout(0x23, [26, 27, 27, 27], "order executed"),
    layout(0x24, [38, 39, 39, 0], "order executed at price/size"),
    layout(0x25, [18, 18, 18, 18], "reduce size long"),
    layout(0x26, [16, 16, 16, 16], "reduce size short"),
    layout(0x27, [27, 27, 27, 26], "modify order long"),
    layout(0x28, [19, 19, 19, 18], "modify order short"),
    layout(0x29, [14, 14, 14, 14], "delete order"),
    layout(0x2a, [41, 42, 42, 42], "trade long"),
    layout(0x2b, [33, 34, 34, 34], "trade short"),
    layout(0x2c, [14, 14, 0, 14], "trade break"),
    layout(0x2d, [6, 6, 6, 6], "end of session"),
    layout(0x2e, [0, 30, 38, 0], "symbol mapping"),
    layout(0x2f, [41, 41, 45, 0], "add order expanded"),
    layout(0x30, [43, 44, 0, 0], "trade expanded"),
    layout(0x31, [18, 18, 18, 18], "trading status"),
    layout(0x95, [43, 0, 0, 0], "auction update"),
    layout(0x96, [27, 27, 27, 0], "auction summary"),
    layout(0x97, [6, 6, 6, 6], "unit clear"),
    layout(0x98, [15, 0, 0, 0], "retail price improvement"),
    layout(0x9a, [0, 0, 25, 0], "complex instrument definition expanded"),
    layout(0x9d, [0, 42, 0, 0], "SOQ strike range update"),
    layout(0x9e, [0, 58, 0, 0], "constituent symbol mapping"),
    layout(0xad, [0, 43, 47, 0], "auction notification"),
    layout(0xae, [0, 14, 14, 0], "auction cancel"),
    layout(0xaf, [0, 34, 34, 0], "auction trade"),
    layout(0xb1, [0, 18, 0, 18], "time reference"),
    layout(0xb9, [0, 0, 0, 25], "settlement"),
    layout(0xba, [0, 0, 0, 65], "end of day summary"),
    layout(0xbb, [0, 0, 0, 41], "futures instrument definition"),
    layout(0xbc, [0, 6, 6, 6], "transaction begin"),
    layout(0xbd, [0, 6, 6, 6], "transaction end"),
    layout(0xbe, [0, 0, 0, 28], "price limits"),
    layout(0xd1, [0, 64, 64, 0], "options auction update"),
    layout(0xd2, [0, 19, 0, 0], "width update"),
    layout(0xd3, [0, 0, 0, 20], "open interest"),
    layout(0xfa, [0, 0, 0, 40], "futures variance symbol mapping"),
];

/// Index into [`LAYOUT`] by type byte; 0xff for an unknown type.
const INDEX: [u8; 256] = {
    let mut index = [0xff; 256];
    let mut at = 0_u8;
    while (at as usize) < LAYOUT.len() {
        index[LAYOUT[at as usize].kind as usize] = at;
        at += 1;
    }
    index
};

/// The layout of a type byte.
pub fn lookup(kind: u8) -> Option<&'static Layout> {
    LAYOUT.get(usize::from(*INDEX.get(usize::from(kind))?))
}

/// Looks at type and length of a message; `None` for an unknown type.
///
/// # Errors
/// `PITCH_SHORT` for a message without a type, or shorter than its type in every dialect.
pub fn check(message: &[u8]) -> Result<Option<&'static Layout>, Verdict> {
    let &kind = message.get(1).ok_or(Verdict::PITCH_SHORT)?;
    let Some(layout) = lookup(kind) else { return Ok(None) };
    if message.len() < usize::from(layout.shortest()) {
        return Err(Verdict::PITCH_SHORT);
    }
    Ok(Some(layout))
}
