//! The degradation ladder: what is given up under load, in a fixed order.
//!
//! Decoding first (the bytes are on tape, it can be redone), then payload beyond a
//! length if the operator allowed that. Packets go last, and only the kernel drops
//! those, because its ring is full. Pure: told how the ring stands, answers a change.

/// What the operator allows to be shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// Nothing: the kernel drops packets while everything is decoded.
    Nothing,
    /// Decoding and validation.
    Decoding,
    /// Decoding, then the payload beyond this many bytes.
    Payload {
        /// Bytes of each packet that are kept.
        keep_bytes: usize,
    },
}

/// Pressed for this long, the ladder goes down a step: more is given up.
const PATIENCE_NS: u64 = 1_000_000;
/// At ease for this long, it goes back up a step.
const RECOVERY_NS: u64 = 100_000_000;

/// A step of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The new level: 0 = everything is done.
    pub level: u8,
    /// Why, for people.
    pub why: &'static str,
}

/// One queue's ladder.
#[derive(Debug)]
pub struct Ladder {
    allowed: Shed,
    level: u8,
    /// When the ring's state last turned.
    since_ns: u64,
    was_pressed: bool,
}

impl Ladder {
    /// At the top: everything is done.
    pub const fn new(allowed: Shed) -> Self {
        Self { allowed, level: 0, since_ns: 0, was_pressed: false }
    }
    /// True while packets are decoded and validated.
    pub const fn decodes(&self) -> bool {
        self.level == 0
    }
    /// How many bytes of each packet are kept; none = all.
    pub const fn keep_bytes(&self) -> Option<usize> {
        match self.allowed {
            Shed::Payload { keep_bytes } if self.level >= 2 => Some(keep_bytes),
            _ => None,
        }
    }
    /// Told at `monotonic_ns` whether the ring is at least half full; answers a change of level.
    pub fn observe(&mut self, pressed: bool, monotonic_ns: u64) -> Option<Change> {
        if pressed != self.was_pressed {
            self.was_pressed = pressed;
            self.since_ns = monotonic_ns;
        }
        let for_ns = monotonic_ns.saturating_sub(self.since_ns);
        if pressed && for_ns >= PATIENCE_NS && self.level < self.deepest() {
            self.level += 1;
        } else if !pressed && for_ns >= RECOVERY_NS && self.level > 0 {
            self.level -= 1;
        } else {
            return None;
        }
        self.since_ns = monotonic_ns;
        Some(Change { level: self.level, why: self.why() })
    }

    const fn deepest(&self) -> u8 {
        match self.allowed {
            Shed::Nothing => 0,
            Shed::Decoding => 1,
            Shed::Payload { .. } => 2,
        }
    }
    const fn why(&self) -> &'static str {
        match self.level {
            0 => "the ring has drained: everything is done again",
            1 => "the ring was half full for 1 ms: decoding is shed, bytes go to tape unjudged",
            _ => "the ring is still half full: payload is shortened as allowed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_goes_first_then_payload_and_both_come_back() {
        let mut ladder = Ladder::new(Shed::Payload { keep_bytes: 96 });
        assert_eq!(ladder.observe(true, 1), None);
        assert_eq!(ladder.observe(true, PATIENCE_NS + 1).map(|c| c.level), Some(1));
        assert!(!ladder.decodes() && ladder.keep_bytes().is_none());
        assert_eq!(ladder.observe(true, 2 * PATIENCE_NS + 1).map(|c| c.level), Some(2));
        assert_eq!(ladder.keep_bytes(), Some(96));
        assert_eq!(ladder.observe(true, 90 * PATIENCE_NS), None);
        let calm = 100 * PATIENCE_NS;
        assert_eq!(ladder.observe(false, calm), None);
        assert_eq!(ladder.observe(false, calm + RECOVERY_NS).map(|c| c.level), Some(1));
        assert_eq!(ladder.observe(false, calm + 2 * RECOVERY_NS).map(|c| c.level), Some(0));
        assert!(ladder.decodes());
    }

    #[test]
    fn what_the_operator_did_not_allow_is_never_shed() {
        let mut ladder = Ladder::new(Shed::Nothing);
        assert_eq!((0..1000).filter_map(|i| ladder.observe(true, i * PATIENCE_NS)).count(), 0);
        let mut ladder = Ladder::new(Shed::Decoding);
        assert_eq!((0..1000).filter_map(|i| ladder.observe(true, i * PATIENCE_NS)).count(), 1);
        assert_eq!(ladder.keep_bytes(), None);
    }
}
