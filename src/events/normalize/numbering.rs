//! Instrument ids for feeds that say symbols and no numbers: the configured ones, else numbers from 1 in order of first appearance.

use super::common::Symbols;
use crate::events::output::{Arrival, Output};
use crate::feed::FeedConfig;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

/// Most symbols that are told apart.
pub const MAX_SYMBOLS: usize = 1 << 16;

/// What a symbol is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbered {
    /// Its place in order of first appearance, from 0; below [`MAX_SYMBOLS`].
    pub place: usize,
    /// DBN's instrument id.
    pub id: u32,
}

/// The symbols of one feed, by the bytes that the feed writes.
#[derive(Debug)]
pub struct Numbering<K> {
    // Looked up, never iterated: the order of a hash table must not reach the tape.
    known: HashMap<K, Numbered>,
    symbols: Symbols,
    configured: BTreeMap<String, u32>,
    taken: HashSet<u32>,
    next: u32,
}

impl<K: Copy + Eq + Hash + AsRef<[u8]>> Numbering<K> {
    /// No symbol has appeared; ids that the configuration gives are not given to others.
    pub fn new(feed: &FeedConfig) -> Self {
        Self {
            known: HashMap::new(),
            symbols: Symbols::default(),
            configured: feed.symbols.clone(),
            taken: feed.symbols.values().copied().collect(),
            next: 1,
        }
    }

    /// The symbol that the feed writes as `written`; a new one is said in the side table. `None` if there is no room for it.
    #[inline]
    pub fn of(&mut self, written: K, arrival: &Arrival, out: &mut Output) -> Option<Numbered> {
        match self.known.get(&written) {
            Some(known) => Some(*known),
            None => self.add(written, arrival, out),
        }
    }

    #[cold]
    fn add(&mut self, written: K, arrival: &Arrival, out: &mut Output) -> Option<Numbered> {
        let place = self.symbols.list().len();
        if place >= MAX_SYMBOLS {
            return None;
        }
        let symbol = written.as_ref().trim_ascii().escape_ascii().to_string();
        let id = self.configured.get(&symbol).copied().unwrap_or_else(|| {
            while self.taken.contains(&self.next) {
                self.next += 1;
            }
            self.next += 1;
            self.next - 1
        });
        self.symbols.learn(id, written.as_ref(), arrival, out);
        let known = Numbered { place, id };
        self.known.insert(written, known);
        Some(known)
    }

    /// Ids and symbols by place.
    pub fn list(&self) -> &[(u32, String)] {
        self.symbols.list()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::FeedProtocol;
    use crate::time::{Stamp, StampClock};

    fn feed() -> FeedConfig {
        FeedConfig::one_line("f", FeedProtocol::IexTp, [239, 0, 0, 1].into(), 1)
    }

    const ARRIVAL: Arrival = Arrival { stamp: Stamp::new(7, StampClock::FILE), line: 0 };

    #[test]
    fn configured_ids_hold_and_the_others_count_around_them() {
        let mut feed = feed();
        feed.symbols = [("SPY".to_owned(), 2), ("QQQ".to_owned(), 4_000_000_000)].into();
        let (mut numbering, mut out) = (Numbering::new(&feed), Output::new(&feed));
        let written = [*b"IBM     ", *b"AAPL    ", *b"SPY     ", *b"QQQ     ", *b"\xff       "];
        let ids = written.map(|written| numbering.of(written, &ARRIVAL, &mut out).unwrap().id);
        assert_eq!(ids, [1, 3, 2, 4_000_000_000, 4]);
        let again = numbering.of(*b"AAPL    ", &ARRIVAL, &mut out);
        assert_eq!(again, Some(Numbered { place: 1, id: 3 }));
        assert_eq!(numbering.list()[4], (4, "\\xff".to_owned()));
        assert_eq!(out.side.split(|byte| *byte == b'\n').count(), 5 + 1, "each symbol is said once");
    }

    #[test]
    fn a_flood_of_symbols_ends_at_the_limit() {
        let (mut numbering, mut out) = (Numbering::new(&feed()), Output::new(&feed()));
        for number in 0..MAX_SYMBOLS as u64 {
            let numbered = numbering.of(number.to_le_bytes(), &ARRIVAL, &mut out);
            assert!(numbered.is_some_and(|numbered| u64::from(numbered.id) == number + 1));
        }
        assert_eq!(numbering.of(u64::MAX.to_le_bytes(), &ARRIVAL, &mut out), None);
        assert_eq!(numbering.list().len(), MAX_SYMBOLS);
    }
}
