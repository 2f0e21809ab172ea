//! The room: all configured feeds of a capture, given what stands on its tape in merged order.

use super::normalize::Normalizer;
use super::output::{Arrival, Output};
use crate::feed::{FeedConfig, Protocol};
use crate::packet::{Findings, Loss, Packet, Verdict};
use crate::wire::{Transport, dissect};

/// One feed: what speaks on it, what makes its events, what was made.
#[derive(Debug)]
struct Feed {
    config: FeedConfig,
    speaker: Box<dyn Protocol>,
    normalizer: Option<Box<dyn Normalizer>>,
    output: Output,
}

/// All feeds of one capture.
#[derive(Debug)]
pub struct Room {
    feeds: Vec<Feed>,
}

impl Room {
    /// A room that has seen nothing.
    pub fn new(feeds: &[FeedConfig]) -> Self {
        let feed = |config: &FeedConfig| Feed {
            config: config.clone(),
            speaker: config.protocol.speaker(config.layout),
            normalizer: super::normalize::normalizer(config),
            output: Output::new(config),
        };
        Self { feeds: feeds.iter().map(feed).collect() }
    }

    /// A packet on tape.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        let dissection = dissect(packet);
        let Transport::Udp { dst_port, .. } = dissection.transport else { return };
        if dissection.verdict != Verdict::ACCEPTED || dissection.findings.has(Findings::FRAGMENT) {
            return;
        }
        let (src, dst) = (dissection.network.src(), dissection.network.dst());
        for feed in &mut self.feeds {
            let line = feed.config.lines.iter().position(|line| {
                Some(line.group) == dst
                    && line.port == dst_port
                    && (line.source.is_none() || line.source == src)
            });
            let Some(line) = line else { continue };
            let arrival = Arrival { stamp: packet.stamp, line };
            if let Ok(frame) = feed.speaker.frame(dissection.payload, dissection.payload_on_wire)
                && let Some(normalizer) = &mut feed.normalizer
            {
                normalizer.packet(&arrival, &frame, 0, &mut feed.output);
            }
        }
    }

    /// A loss on tape.
    pub fn loss(&mut self, loss: &Loss) {
        let _ = loss;
    }

    /// A clock reading on tape: tape time has come to `now_ns` (`CLOCK_REALTIME`, ns since the Unix epoch).
    pub fn time(&mut self, now_ns: u64) {
        for feed in &mut self.feeds {
            if let Some(normalizer) = &mut feed.normalizer {
                normalizer.tick(now_ns, &mut feed.output);
            }
        }
    }

    /// The tape has ended: what was held is declared, what was counted is written.
    pub fn finish(&mut self) {}

    /// What each feed made since its buffers were last emptied (by the caller), in the order of the configuration.
    pub fn outputs(&mut self) -> impl Iterator<Item = (&FeedConfig, &mut Output)> {
        self.feeds.iter_mut().map(|feed| (&feed.config, &mut feed.output))
    }
    /// The same, with the instrument ids and symbols that the feed's normalizer knows by now.
    pub fn outputs_with_symbols(
        &mut self,
    ) -> impl Iterator<Item = (&FeedConfig, &[(u32, String)], &mut Output)> {
        self.feeds.iter_mut().map(|feed| {
            let symbols = feed.normalizer.as_ref().map_or(&[][..], |normalizer| normalizer.symbols());
            (&feed.config, symbols, &mut feed.output)
        })
    }
}
