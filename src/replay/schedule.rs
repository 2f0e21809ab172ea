//! When each packet is due: an offset from the anchor, computed afresh for every packet.
//!
//! Pure integer arithmetic. Nothing is added up from rounded parts: the offset of the millionth packet is as
//! exact as that of the first. Offsets never go backwards.

use crate::time::NS_PER_SEC;
use std::num::NonZeroU64;

/// Parts in one: multipliers and rates are kept in millionths, so that `-x 0.5` and `-M 2.5` are exact.
pub const MILLIONTHS: u64 = 1_000_000;

/// How fast to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// By the stamps, this many millionths times as fast (1,000,000 = as recorded).
    Recorded {
        /// Millionths of the recorded speed.
        speed_millionths: NonZeroU64,
    },
    /// A fixed packet rate, whatever the stamps say.
    PacketRate {
        /// Packets a second, in millionths.
        pps_millionths: NonZeroU64,
    },
    /// A fixed bit rate, counting the bytes of the frames as they are sent.
    BitRate {
        /// Bits a second.
        bits_per_second: NonZeroU64,
    },
    /// As fast as the sender takes them.
    TopSpeed,
    /// One whenever the caller says so.
    Stepped,
}

impl Pace {
    /// As recorded.
    pub const RECORDED: Self = match NonZeroU64::new(MILLIONTHS) {
        Some(speed_millionths) => Self::Recorded { speed_millionths },
        None => Self::TopSpeed,
    };
    /// True if packets have due times.
    pub const fn is_timed(self) -> bool {
        !matches!(self, Self::TopSpeed | Self::Stepped)
    }
}

/// Computes due times.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    pace: Pace,
    /// Offset at which the present round (of `-l N`) began.
    round_offset_ns: u64,
    round_first_ns: Option<u64>,
    round_packets: u64,
    round_bits: u64,
    last_offset_ns: u64,
    backwards: u64,
}

impl Schedule {
    /// A schedule of which nothing has been asked yet.
    pub const fn new(pace: Pace) -> Self {
        Self {
            pace,
            round_offset_ns: 0,
            round_first_ns: None,
            round_packets: 0,
            round_bits: 0,
            last_offset_ns: 0,
            backwards: 0,
        }
    }

    /// The next round of the same packets begins where the last one ended: by its stamps the first packet is due
    /// together with the last one before; by a rate, one interval later.
    pub fn next_round(&mut self) {
        self.round_offset_ns = match self.pace {
            Pace::Recorded { .. } | Pace::TopSpeed | Pace::Stepped => self.last_offset_ns,
            Pace::PacketRate { .. } | Pace::BitRate { .. } => {
                self.round_offset_ns.saturating_add(self.rate_offset())
            }
        };
        self.round_first_ns = None;
        self.round_packets = 0;
        self.round_bits = 0;
    }

    /// When the next packet is due, in ns after the anchor; `None` if it has no due time.
    pub fn due_ns(&mut self, stamp_ns: u64, bytes: usize) -> Option<u64> {
        let offset = match self.pace {
            Pace::TopSpeed | Pace::Stepped => return None,
            Pace::Recorded { speed_millionths } => self.recorded_offset(stamp_ns, speed_millionths),
            Pace::PacketRate { .. } | Pace::BitRate { .. } => self.rate_offset(),
        };
        self.round_packets += 1;
        self.round_bits =
            self.round_bits.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8));
        let offset = self.round_offset_ns.saturating_add(offset);
        // A stamp before its predecessor's (several interfaces, a stepped clock) is due at once, never in the past.
        self.last_offset_ns = self.last_offset_ns.max(offset);
        Some(self.last_offset_ns)
    }

    /// Packets whose stamps lay before their predecessor's.
    pub const fn backwards(&self) -> u64 {
        self.backwards
    }

    fn recorded_offset(&mut self, stamp_ns: u64, speed: NonZeroU64) -> u64 {
        let first = *self.round_first_ns.get_or_insert(stamp_ns);
        let offset = scale(stamp_ns.saturating_sub(first), MILLIONTHS, speed);
        if self.round_offset_ns.saturating_add(offset) < self.last_offset_ns || stamp_ns < first {
            self.backwards += 1;
        }
        offset
    }

    fn rate_offset(&self) -> u64 {
        match self.pace {
            Pace::PacketRate { pps_millionths } => {
                scale(self.round_packets, NS_PER_SEC * MILLIONTHS, pps_millionths)
            }
            Pace::BitRate { bits_per_second } => scale(self.round_bits, NS_PER_SEC, bits_per_second),
            Pace::Recorded { .. } | Pace::TopSpeed | Pace::Stepped => 0,
        }
    }
}

/// `value * times / by`, exact below the last unit, stopping at `u64::MAX`.
fn scale(value: u64, times: u64, by: NonZeroU64) -> u64 {
    let wide = u128::from(value) * u128::from(times) / u128::from(by.get());
    u64::try_from(wide).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nonzero(n: u64) -> NonZeroU64 {
        NonZeroU64::new(n).unwrap()
    }

    #[test]
    fn twice_the_speed_halves_every_offset() {
        let mut schedule = Schedule::new(Pace::Recorded { speed_millionths: nonzero(2 * MILLIONTHS) });
        assert_eq!(schedule.due_ns(1_000, 60), Some(0));
        assert_eq!(schedule.due_ns(2_001, 60), Some(500));
        assert_eq!(schedule.due_ns(9_000, 60), Some(4_000));
    }

    #[test]
    fn a_third_of_a_packet_a_second_is_exact_after_a_million_packets() {
        let mut schedule = Schedule::new(Pace::PacketRate { pps_millionths: nonzero(3 * MILLIONTHS) });
        let mut due = 0;
        for _ in 0..=3_000_000 {
            due = schedule.due_ns(0, 60).unwrap();
        }
        assert_eq!(due, 1_000_000 * NS_PER_SEC);
    }

    #[test]
    fn a_bit_rate_makes_each_packet_wait_for_the_bits_before_it() {
        let mut schedule = Schedule::new(Pace::BitRate { bits_per_second: nonzero(8_000) });
        assert_eq!(schedule.due_ns(0, 1_000), Some(0));
        assert_eq!(schedule.due_ns(0, 500), Some(NS_PER_SEC));
        assert_eq!(schedule.due_ns(0, 500), Some(NS_PER_SEC + NS_PER_SEC / 2));
    }

    #[test]
    fn a_second_round_starts_where_the_first_ended() {
        let mut schedule = Schedule::new(Pace::RECORDED);
        schedule.due_ns(100, 60);
        schedule.due_ns(700, 60);
        schedule.next_round();
        assert_eq!(schedule.due_ns(100, 60), Some(600));
        assert_eq!(schedule.due_ns(700, 60), Some(1_200));
        let mut rate = Schedule::new(Pace::PacketRate { pps_millionths: nonzero(1_000 * MILLIONTHS) });
        rate.due_ns(5, 60);
        rate.next_round();
        assert_eq!(rate.due_ns(5, 60), Some(1_000_000));
    }

    proptest! {
        #[test]
        fn due_times_never_go_backwards_and_end_where_the_stamps_say(
            stamps in proptest::collection::vec(0u64..=u64::MAX, 1..200),
            speed in 1u64..=1_000 * MILLIONTHS,
        ) {
            let mut schedule = Schedule::new(Pace::Recorded { speed_millionths: nonzero(speed) });
            let mut last = 0;
            let mut farthest = 0u128;
            for &stamp in &stamps {
                let due = schedule.due_ns(stamp, 60).unwrap();
                prop_assert!(due >= last);
                last = due;
                farthest = farthest.max(u128::from(stamp.saturating_sub(stamps[0])));
            }
            let exact = farthest * u128::from(MILLIONTHS) / u128::from(speed);
            prop_assert_eq!(u128::from(last), exact.min(u128::from(u64::MAX)));
        }

        #[test]
        fn sorted_stamps_never_count_as_backwards(mut stamps in proptest::collection::vec(0u64..1 << 62, 1..200)) {
            stamps.sort_unstable();
            let mut schedule = Schedule::new(Pace::RECORDED);
            for stamp in &stamps {
                schedule.due_ns(*stamp, 60);
            }
            prop_assert_eq!(schedule.backwards(), 0);
        }
    }
}
