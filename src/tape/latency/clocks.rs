//! What a tape knows of the clocks that stamped it: which they are, and how the NIC's clock stood to the host's.

use super::super::words;
use super::signed;
use crate::clock::ClockReading;
use crate::journal::{EventKind, Note};
use crate::time::{StampClock, delta_ns};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What was read beside the packets.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Clocks {
    /// Packets by the clock of their stamp.
    pub stamps: BTreeMap<&'static str, u64>,
    /// Readings of all clocks together.
    pub readings: u64,
    /// Widest interval that such a reading took, ns: no comparison of the clocks is better than this.
    pub uncertainty_ns: u32,
    /// Widest interval in which the NIC's clock was read, ns.
    pub nic_uncertainty_ns: u32,
    /// NIC's clock minus the host's (UTC or TAI, whichever the NIC's clock is on), smallest and largest, ns.
    pub nic_minus_host_ns: Option<(i64, i64)>,
    /// Times that the host's clock was set.
    pub steps: u64,
}

impl Clocks {
    pub(super) fn stamp(&mut self, clock: StampClock) {
        *self.stamps.entry(clock.name()).or_default() += 1;
    }

    pub(super) fn note(&mut self, note: &Note) {
        match note {
            Note::Clock(reading) => self.reading(reading),
            Note::Event(event) if event.kind == EventKind::CLOCK_STEP => self.steps += 1,
            Note::Event(_) | Note::Loss(_) => {}
        }
    }

    fn reading(&mut self, reading: &ClockReading) {
        self.readings += 1;
        self.uncertainty_ns = self.uncertainty_ns.max(reading.uncertainty_ns);
        let Some(nic_ns) = reading.phc_ns else { return };
        self.nic_uncertainty_ns = self.nic_uncertainty_ns.max(reading.phc_uncertainty_ns);
        let apart = [reading.realtime_ns, reading.tai_ns].map(|host_ns| delta_ns(nic_ns, host_ns));
        let nearest = apart.into_iter().min_by_key(|ns| ns.unsigned_abs()).unwrap_or(0);
        let (low, high) = self.nic_minus_host_ns.unwrap_or((nearest, nearest));
        self.nic_minus_host_ns = Some((low.min(nearest), high.max(nearest)));
    }

    /// Sentences on what the stamps are worth.
    pub(super) fn tell(&self, text: &mut String, whose: &str) {
        for (clock, packets) in &self.stamps {
            let _ =
                writeln!(text, "  {whose}{clock}: {} ({} packets)", meaning(clock), words::grouped(*packets));
        }
        if self.readings == 0 {
            let _ = writeln!(
                text,
                "  {whose}no clock readings on tape: nothing is known of how well the clocks were set"
            );
            return;
        }
        if let Some((low, high)) = self.nic_minus_host_ns {
            let _ = writeln!(
                text,
                "  {whose}NIC's clock minus the host's: {} to {} ns over {} readings, each known to {} ns",
                signed(low),
                signed(high),
                words::grouped(self.readings),
                words::grouped(u64::from(self.uncertainty_ns.max(self.nic_uncertainty_ns)))
            );
        }
        if self.steps > 0 {
            let _ =
                writeln!(text, "  {whose}the host's clock was set {} times during the capture", self.steps);
        }
        let _ = writeln!(
            text,
            "  {whose}how far the host's clock is from UTC does not stand on tape: ask its NTP or PTP daemon"
        );
    }
}

fn meaning(clock: &str) -> &'static str {
    match clock {
        "hw" => "the NIC's clock",
        "sw" => "the host's CLOCK_REALTIME, read by the kernel's receive path",
        "kernel" => "the host's CLOCK_REALTIME, read by the kernel on delivery",
        "user" => "the host's CLOCK_REALTIME, read by the program",
        "file" => "a capture file's clock: which one it was, the file does not say",
        _ => "no stamp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nics_clock_is_held_against_utc_or_tai_as_it_runs() {
        let mut clocks = Clocks::default();
        let tai_ns = 1_000 + 37_000_000_000;
        for (nic_ns, uncertainty_ns) in [(tai_ns - 20, 300), (tai_ns + 5, 200)] {
            clocks.note(&Note::Clock(ClockReading {
                realtime_ns: 1_000,
                tai_ns,
                phc_ns: Some(nic_ns),
                uncertainty_ns,
                ..ClockReading::default()
            }));
        }
        assert_eq!(clocks.nic_minus_host_ns, Some((-20, 5)));
        assert_eq!((clocks.readings, clocks.uncertainty_ns), (2, 300));
        let mut text = String::new();
        clocks.tell(&mut text, "");
        assert!(text.contains("-20 to 5 ns over 2 readings, each known to 300 ns"), "{text}");
    }
}
