//! What a replay did, counted, and how near it came to its schedule.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt::Write as _;

/// Percentiles of one distribution, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// Values recorded.
    pub count: u64,
    /// Median, ns.
    pub p50_ns: u64,
    /// 90th percentile, ns.
    pub p90_ns: u64,
    /// 99th percentile, ns.
    pub p99_ns: u64,
    /// 99.9th percentile, ns.
    pub p99_9_ns: u64,
    /// Greatest, ns.
    pub max_ns: u64,
}

impl Spread {
    /// The percentiles of `histogram`.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            p50_ns: histogram.value_at_quantile(0.5),
            p90_ns: histogram.value_at_quantile(0.9),
            p99_ns: histogram.value_at_quantile(0.99),
            p99_9_ns: histogram.value_at_quantile(0.999),
            max_ns: histogram.max(),
        }
    }
}

/// Packets that were not sent, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Longer than the interface or the datagram service takes.
    pub too_long: u64,
    /// Another link type than the interface sends.
    pub other_link: u64,
    /// Not a whole UDP datagram (other protocol, fragment, damaged, or shortened by the snap length).
    pub not_udp: u64,
    /// The other address family than the socket's.
    pub other_family: u64,
    /// The destination could not be reached (no route, refused by a firewall).
    pub unreachable: u64,
}

impl Skipped {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.too_long + self.other_link + self.not_udp + self.other_family + self.unreachable
    }
}

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReplayReport {
    /// Where to, as the user named it.
    pub to: String,
    /// Packets played (sent or skipped).
    pub packets: u64,
    /// Sent.
    pub sent: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Not sent, by reason.
    pub skipped: Skipped,
    /// Sent with fewer bytes than were on the wire, because the capture holds no more.
    pub shortened: u64,
    /// Times the kernel's queue was full and the packet was tried again.
    pub retries: u64,
    /// Packets whose stamps lay before their predecessor's; they were sent at once.
    pub backwards: u64,
    /// From the first send to the last, ns.
    pub duration_ns: u64,
    /// From the first due time to the last, ns (0 if packets had none).
    pub intended_duration_ns: u64,
    /// Lateness of the last packet against that of the first, ns: what a schedule without one anchor would add up.
    pub drift_ns: i64,
    /// Actual minus intended send time. Never negative: nothing is sent early.
    pub lateness: Option<Spread>,
    /// Distance between the actual and the intended gap to the packet before.
    pub gap_error: Option<Spread>,
    /// What the send call took.
    pub send_call: Spread,
    /// How long before each due time the pacer spun, ns (0 if packets had none).
    pub spin_ns: u64,
    /// True if it was interrupted.
    pub interrupted: bool,
}

impl ReplayReport {
    /// Packets sent a second, over the time from first to last send.
    pub fn packets_per_second(&self) -> f64 {
        rate(self.sent.saturating_sub(1), self.duration_ns)
    }
    /// Megabits sent a second.
    pub fn megabits_per_second(&self) -> f64 {
        rate(self.bytes.saturating_mul(8), self.duration_ns) / 1e6
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut t = String::new();
        let _ = writeln!(
            t,
            "Played {} packets to {}{}",
            self.packets,
            self.to,
            if self.interrupted { " (interrupted)" } else { "" }
        );
        let _ = writeln!(
            t,
            "  sent        {} packets, {} bytes in {:.6} s: {:.2} Mbps, {:.0} pps",
            self.sent,
            self.bytes,
            seconds(self.duration_ns),
            self.megabits_per_second(),
            self.packets_per_second()
        );
        for (count, reason) in self.reasons() {
            if count > 0 {
                let _ = writeln!(t, "  {reason:<11} {count} packets");
            }
        }
        if let (Some(late), Some(gap)) = (self.lateness, self.gap_error) {
            let _ = writeln!(
                t,
                "  intended    {:.6} s; drift from first to last packet {:+} ns",
                seconds(self.intended_duration_ns),
                self.drift_ns
            );
            let _ = writeln!(
                t,
                "  {:<24}{:>10}{:>10}{:>10}{:>10}{:>12}",
                "ns", "p50", "p90", "p99", "p99.9", "max"
            );
            row(&mut t, "actual - intended time", late);
            row(&mut t, "|actual - intended gap|", gap);
            row(&mut t, "send call", self.send_call);
        }
        t
    }

    fn reasons(&self) -> [(u64, &'static str); 8] {
        [
            (self.skipped.too_long, "not sent: longer than the interface's MTU:"),
            (self.skipped.other_link, "not sent: another link type than the interface's:"),
            (self.skipped.not_udp, "not sent: no whole UDP datagram:"),
            (self.skipped.other_family, "not sent: other address family than the destination's:"),
            (self.skipped.unreachable, "not sent: destination unreachable:"),
            (self.shortened, "sent shortened, as captured:"),
            (self.retries, "tried again because the kernel's queue was full:"),
            (self.backwards, "stamps going backwards, sent at once:"),
        ]
    }
}

fn row(t: &mut String, name: &str, s: Spread) {
    let _ = writeln!(
        t,
        "  {name:<24}{:>10}{:>10}{:>10}{:>10}{:>12}",
        s.p50_ns, s.p90_ns, s.p99_ns, s.p99_9_ns, s.max_ns
    );
}

fn rate(units: u64, over_ns: u64) -> f64 {
    if over_ns == 0 { 0.0 } else { float(units) / seconds(over_ns) }
}

fn seconds(ns: u64) -> f64 {
    float(ns) / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "for display only")]
fn float(n: u64) -> f64 {
    n as f64
}
