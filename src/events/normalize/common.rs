//! What normalizers share: time since midnight made UTC, prices and sizes in DBN's widths, flags, symbols.

use crate::events::output::{Arrival, Output, SCHEMAS};
use crate::time::{NS_PER_SEC, StampClock, delta_ns};
use dbn::{Schema, flags};
use std::ops::Range;

const DAY_S: i64 = 86_400;
const DAY_NS: u64 = 86_400 * NS_PER_SEC;
/// Further from the stamp than this, another day may be nearer (days have 23 to 25 hours).
const SURELY_NEAREST_NS: u64 = 11 * 3_600 * NS_PER_SEC;

/// Makes UTC of times that count from the exchange's midnight, by the packet's stamp: of all midnights, the one counts that
/// brings the time nearest to the stamp. So an hour of skew around midnight does not cost a day.
#[derive(Clone, Debug)]
pub struct DayClock {
    /// Seconds that the exchange is ahead of UTC; `None` = New York.
    offset_s: Option<i32>,
    /// The last midnight used, ns since the Unix epoch.
    midnight_ns: u64,
}

impl DayClock {
    /// For an exchange `offset_s` seconds ahead of UTC all year, or, if `None`, for New York.
    pub const fn new(offset_s: Option<i32>) -> Self {
        Self { offset_s, midnight_ns: 0 }
    }

    /// The time in ns since the Unix epoch; `None` if it is outside a day (25 hours: clocks are put back) or before 1970.
    #[inline]
    pub fn utc_ns(&mut self, since_midnight_ns: u64, stamp_ns: u64) -> Option<u64> {
        if since_midnight_ns < DAY_NS {
            let at = self.midnight_ns + since_midnight_ns;
            if at.abs_diff(stamp_ns) < SURELY_NEAREST_NS {
                return Some(at);
            }
        }
        self.search(since_midnight_ns, stamp_ns)
    }

    #[cold]
    fn search(&mut self, since_midnight_ns: u64, stamp_ns: u64) -> Option<u64> {
        if since_midnight_ns >= DAY_NS + DAY_NS / 24 {
            return None;
        }
        let stamp_s = i64::try_from(stamp_ns / NS_PER_SEC).ok()?;
        let today = (stamp_s + i64::from(self.offset_s.unwrap_or(-5 * 3_600))).div_euclid(DAY_S);
        let midnights = (today - 1..=today + 1).filter_map(|day| {
            let offset_s = self.offset_s.map_or_else(|| new_york_offset_s(day), i64::from);
            u64::try_from(day * DAY_S - offset_s).ok()?.checked_mul(NS_PER_SEC)
        });
        let at = |midnight: &u64| midnight.checked_add(since_midnight_ns).map(|at| at.abs_diff(stamp_ns));
        let nearest = midnights.filter(|midnight| at(midnight).is_some()).min_by_key(at)?;
        self.midnight_ns = nearest;
        nearest.checked_add(since_midnight_ns)
    }
}

/// Seconds that New York is ahead of UTC at the midnight with which a day (days since 1970-01-01) begins, by the rules in force
/// since 2007: summer time from 2:00 on the second Sunday of March until 2:00 on the first Sunday of November.
fn new_york_offset_s(day: i64) -> i64 {
    let year = year_of(day);
    let (begin, end) = (sunday_on_or_after(days_to(year, 3, 8)), sunday_on_or_after(days_to(year, 11, 1)));
    // At midnight of the Sunday itself the clock has not changed yet.
    if begin < day && day <= end { -4 * 3_600 } else { -5 * 3_600 }
}

/// 1970-01-01 was a Thursday.
fn sunday_on_or_after(day: i64) -> i64 {
    day + (3 - day).rem_euclid(7)
}

/// Days from 1970-01-01 to a date (Gregorian; years are counted from March, so that the leap day comes last).
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1
        - 719_468
}

fn year_of(day: i64) -> i64 {
    let guess = 1970 + day.div_euclid(365);
    (guess - 3..=guess + 1).rev().find(|year| days_to(*year, 1, 1) <= day).unwrap_or(guess)
}

/// A price with four decimals as DBN has it, in 1e-9.
pub fn price4(price: u32) -> i64 {
    i64::from(price) * 100_000
}

/// A price with eight decimals as DBN has it, in 1e-9; `None` if it does not fit.
pub fn price8(price: u64) -> Option<i64> {
    i64::try_from(price).ok()?.checked_mul(10)
}

/// `ts_in_delta`: `recv_ns - sent_ns`, and true if it had to be saturated.
#[inline]
pub fn in_delta(recv_ns: u64, sent_ns: u64) -> (i32, bool) {
    let delta = delta_ns(recv_ns, sent_ns);
    match i32::try_from(delta) {
        Ok(delta) => (delta, false),
        Err(_) if delta < 0 => (i32::MIN, true),
        Err(_) => (i32::MAX, true),
    }
}

/// The low 32 bits of a sequence number.
#[inline]
pub const fn sequence32(seq: u64) -> u32 {
    (seq & 0xffff_ffff) as u32
}

/// A character as DBN stores it.
#[inline]
pub const fn c(byte: u8) -> std::ffi::c_char {
    byte.cast_signed()
}

/// Copies text into a DBN string field: cut to leave a terminating zero, without the padding at its end.
pub fn put_text<const N: usize>(into: &mut [std::ffi::c_char; N], text: &[u8]) {
    let text = text.trim_ascii_end();
    let (room, _) = into.split_at_mut(N - 1);
    for (to, from) in room.iter_mut().zip(text) {
        *to = c(*from);
    }
}

/// Knows whether a packet's stamp can be believed: [`flags::BAD_TS_RECV`] if nobody stamped it, or if it is earlier than
/// the one before on the same line.
#[derive(Clone, Default, Debug)]
pub struct StampWatch {
    last_ns: Vec<u64>,
}

impl StampWatch {
    /// The flag for this packet: [`flags::BAD_TS_RECV`] or nothing.
    pub fn flag(&mut self, arrival: &Arrival) -> u8 {
        if arrival.line >= self.last_ns.len() {
            self.last_ns.resize(arrival.line + 1, 0);
        }
        let Some(last_ns) = self.last_ns.get_mut(arrival.line) else { return 0 };
        let bad = arrival.stamp.clock == StampClock::NONE || arrival.stamp.ns < *last_ns;
        *last_ns = arrival.stamp.ns.max(*last_ns);
        if bad { flags::BAD_TS_RECV } else { 0 }
    }
}

/// Sets [`flags::LAST`] on the last record that a packet gave of each instrument, in each schema of its own.
///
/// [`PacketEnd::begin`] before a packet's records are put, [`PacketEnd::finish`] behind. Records are put without the flag.
#[derive(Debug)]
pub struct PacketEnd {
    begins: [usize; SCHEMAS.len()],
    /// Instruments seen in this pass, by a hash of their id: the pass and the id.
    seen: Vec<(u32, u32)>,
    pass: u32,
}

/// Schemas whose records carry flags: length of the record, offset of the flags, bytes.
const FLAGGED: [Option<(usize, usize)>; SCHEMAS.len()] = {
    use std::mem::offset_of;
    let mut flagged = [None; SCHEMAS.len()];
    flagged[Output::index(Schema::Mbo)] = Some((size_of::<dbn::MboMsg>(), offset_of!(dbn::MboMsg, flags)));
    flagged[Output::index(Schema::Trades)] =
        Some((size_of::<dbn::TradeMsg>(), offset_of!(dbn::TradeMsg, flags)));
    flagged[Output::index(Schema::Mbp1)] = Some((size_of::<dbn::Mbp1Msg>(), offset_of!(dbn::Mbp1Msg, flags)));
    flagged[Output::index(Schema::Tbbo)] = Some((size_of::<dbn::TbboMsg>(), offset_of!(dbn::TbboMsg, flags)));
    flagged
};
/// Where a record's instrument id stands (`RecordHeader`).
const INSTRUMENT: Range<usize> = {
    let at = std::mem::offset_of!(dbn::RecordHeader, instrument_id);
    at..at + 4
};
const FIRST_SEEN: usize = 512;

impl Default for PacketEnd {
    fn default() -> Self {
        Self { begins: [0; SCHEMAS.len()], seen: vec![(0, 0); FIRST_SEEN], pass: 0 }
    }
}

impl PacketEnd {
    /// A packet begins.
    #[inline]
    pub fn begin(&mut self, out: &Output) {
        for (begin, stream) in self.begins.iter_mut().zip(&out.streams) {
            *begin = stream.len();
        }
    }

    /// The packet has ended: flags what it put.
    #[inline]
    pub fn finish(&mut self, out: &mut Output) {
        let parts = out.streams.iter_mut().zip(self.begins).zip(FLAGGED);
        for ((stream, begin), flagged) in parts {
            let Some((length, flags_at)) = flagged else { continue };
            let Some(records) = stream.get_mut(begin..).filter(|records| !records.is_empty()) else {
                continue;
            };
            if records.len() == length {
                if let Some(flags) = records.get_mut(flags_at) {
                    *flags |= flags::LAST;
                }
                continue;
            }
            self.flag(records, length, flags_at);
        }
    }

    fn flag(&mut self, records: &mut [u8], length: usize, flags_at: usize) {
        // At most half full: searching ends soon.
        while records.len() / length * 2 > self.seen.len() {
            self.seen.resize(self.seen.len() * 2, (0, 0));
        }
        self.next_pass();
        let mask = self.seen.len() - 1;
        for record in records.chunks_exact_mut(length).rev() {
            let Some(id) = record.get(INSTRUMENT).and_then(|id| id.first_chunk::<4>()) else { continue };
            // Only compared with itself: the byte order does not matter.
            let id = u32::from_le_bytes(*id);
            let mut at = id.wrapping_mul(0x9e37_79b9) as usize >> 8 & mask;
            while let Some(seen) = self.seen.get_mut(at) {
                if *seen == (self.pass, id) {
                    break;
                }
                if seen.0 != self.pass {
                    *seen = (self.pass, id);
                    if let Some(flags) = record.get_mut(flags_at) {
                        *flags |= flags::LAST;
                    }
                    break;
                }
                at = (at + 1) & mask;
            }
        }
    }

    fn next_pass(&mut self) {
        self.pass = self.pass.wrapping_add(1);
        if self.pass == 0 {
            self.seen.fill((0, 0));
            self.pass = 1;
        }
    }
}

/// Instrument ids and symbols, in the order in which they became known.
#[derive(Clone, Default, Debug)]
pub struct Symbols {
    list: Vec<(u32, String)>,
}

impl Symbols {
    /// Notes an instrument's symbol (padding is cut off) and says so in the side table. The caller sees to it that
    /// each is learned once.
    pub fn learn(&mut self, id: u32, symbol: &[u8], arrival: &Arrival, out: &mut Output) {
        let symbol = symbol.trim_ascii().escape_ascii().to_string();
        let at_ns = arrival.stamp.ns;
        out.side(&crate::events::side::SideRow::Symbol { at_ns, instrument_id: id, symbol: &symbol });
        self.list.push((id, symbol));
    }
    /// All of them.
    pub fn list(&self) -> &[(u32, String)] {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{FeedConfig, FeedProtocol};
    use crate::time::Stamp;

    /// ns since the Unix epoch of `2026-MM-DD hh:mm:ss` UTC and the like, from a table made with `date -u -d … +%s`.
    const S: u64 = NS_PER_SEC;
    const H: u64 = 3_600 * S;

    #[test]
    fn a_time_of_day_is_new_yorks_in_winter_and_in_summer() {
        // 2019-01-30 14:30:00 UTC is 9:30 in New York; 2019-07-30 13:30:00 UTC too.
        for stamp_s in [1_548_858_600, 1_564_493_400] {
            let mut clock = DayClock::new(None);
            assert_eq!(clock.utc_ns(9 * H + 30 * 60 * S, stamp_s * S + 5), Some(stamp_s * S));
        }
    }

    #[test]
    fn summer_time_begins_and_ends_on_its_sundays() {
        // Days of 2026-03-08 and 2026-11-01 (Sundays): their midnights are still in the old time.
        assert_eq!((days_to(2026, 3, 8), days_to(2026, 11, 1)), (20_520, 20_758));
        assert_eq!(days_to(2024, 2, 29) + 1, days_to(2024, 3, 1));
        let offsets = [20_520, 20_521, 20_758, 20_759].map(new_york_offset_s);
        assert_eq!(offsets, [-5 * 3_600, -4 * 3_600, -4 * 3_600, -5 * 3_600]);
        for (year, march, november) in
            [(2015, 8, 1), (2020, 8, 1), (2023, 12, 5), (2024, 10, 3), (2027, 14, 7)]
        {
            assert_eq!(sunday_on_or_after(days_to(year, 3, 8)), days_to(year, 3, march));
            assert_eq!(sunday_on_or_after(days_to(year, 11, 1)), days_to(year, 11, november));
        }
        for day in -1000..40_000 {
            let year = year_of(day);
            assert!(days_to(year, 1, 1) <= day && day < days_to(year + 1, 1, 1));
        }
    }

    #[test]
    fn a_time_near_midnight_belongs_to_the_nearest_day() {
        // 2026-11-23 05:00:00 UTC is midnight in New York.
        let midnight = 1_795_410_000 * S;
        let mut clock = DayClock::new(None);
        assert_eq!(
            clock.utc_ns(24 * H - 1, midnight + 7),
            Some(midnight - 1),
            "sent just before, arrived after"
        );
        assert_eq!(clock.utc_ns(3, midnight - 9), Some(midnight + 3), "the exchange's clock is ahead");
        assert_eq!(clock.utc_ns(12 * H, midnight + 12 * H), Some(midnight + 12 * H));
        assert_eq!(clock.utc_ns(25 * H, midnight), None);
        assert_eq!(clock.utc_ns(u64::MAX, midnight), None);
        let mut fixed = DayClock::new(Some(3_600));
        assert_eq!(fixed.utc_ns(0, 1_795_388_400 * S), Some(1_795_388_400 * S), "23:00 UTC");
        for stamp in [0, 1, u64::MAX] {
            // Nonsense stamps give an answer or none; they do not panic.
            let _ = DayClock::new(None).utc_ns(12 * H, stamp);
        }
        assert_eq!(DayClock::new(None).utc_ns(24 * H, 2 * H), Some(29 * H), "the only midnight there is");
    }

    #[test]
    fn what_does_not_fit_is_saturated_or_refused() {
        assert_eq!(in_delta(10, 4), (6, false));
        assert_eq!(in_delta(4, 10), (-6, false));
        assert_eq!(in_delta(u64::MAX, 0), (i32::MAX, true));
        assert_eq!(in_delta(0, u64::MAX), (i32::MIN, true));
        assert_eq!(price4(u32::MAX), 429_496_729_500_000);
        assert_eq!(price8(123), Some(1230));
        assert_eq!(price8(u64::MAX), None);
        assert_eq!(price8(i64::MAX.cast_unsigned() / 10 + 1), None);
    }

    #[test]
    fn only_the_last_record_of_an_instrument_in_a_packet_is_flagged() {
        let feed = FeedConfig::one_line("f", FeedProtocol::MoldUdp64Itch50, [239, 0, 0, 1].into(), 1);
        let mut out = Output::new(&feed);
        let mut end = PacketEnd::default();
        let record = |id| dbn::MboMsg {
            hd: dbn::RecordHeader::new::<dbn::MboMsg>(160, 1, id, 0),
            ..Default::default()
        };
        let ids = |out: &Output| -> Vec<(u32, bool)> {
            let mbo = &out.streams[Output::index(Schema::Mbo)];
            let of = |record: &[u8]| {
                (u32::from_le_bytes(record[4..8].try_into().unwrap()), record[36] & flags::LAST != 0)
            };
            mbo.chunks_exact(56).map(of).collect()
        };
        for packet in [&[7, 7, 9, 7][..], &[9], &[], &[7, 9]] {
            end.begin(&out);
            for id in packet {
                out.put(Schema::Mbo, &record(*id));
            }
            end.finish(&mut out);
        }
        let expected = [(7, false), (7, false), (9, true), (7, true), (9, true), (7, true), (9, true)];
        assert_eq!(ids(&out), expected);
        // Many instruments: the table grows.
        out.streams[0].clear();
        end.begin(&out);
        for id in 0..3000 {
            out.put(Schema::Mbo, &record(id % 2000));
        }
        end.finish(&mut out);
        let last = ids(&out).iter().map(|(_, last)| *last).collect::<Vec<_>>();
        assert!(last[1000..].iter().all(|last| *last) && last[..1000].iter().all(|last| !last));
    }

    #[test]
    fn a_stamp_that_steps_back_on_its_line_is_not_believed() {
        let mut watch = StampWatch::default();
        let mut flag = |ns, clock, line| watch.flag(&Arrival { stamp: Stamp::new(ns, clock), line });
        assert_eq!(flag(10, StampClock::FILE, 0), 0);
        assert_eq!(flag(5, StampClock::FILE, 1), 0, "another line");
        assert_eq!(flag(9, StampClock::FILE, 0), flags::BAD_TS_RECV);
        assert_eq!(flag(10, StampClock::FILE, 0), 0);
        assert_eq!(flag(11, StampClock::NONE, 0), flags::BAD_TS_RECV);
    }
}
