//! A small journal for the tests of this module.

use super::format::MIB;
use super::{Append, Journal, JournalOptions, Keeper, Writer};
use crate::packet::{EpbFlags, InterfaceDef, Judgement, LinkType, Marks, Packet};
use crate::time::{Stamp, StampClock};
use std::path::Path;

/// A journal of one queue with one interface.
pub(super) fn journal(dir: &Path) -> (Writer, Keeper) {
    let mut options = JournalOptions::new(dir);
    options.segment_bytes = 4 * MIB;
    let (journal, _) = Journal::open(options).expect("a temporary directory can be written");
    let (mut writers, keeper) = journal.start();
    let mut writer = writers.remove(0);
    assert_eq!(writer.add_interface(&InterfaceDef::named("eth0", LinkType::ETHERNET)), Append::Written);
    (writer, keeper)
}

/// Appends a packet of 100 bytes.
pub(super) fn append(writer: &mut Writer) -> Append {
    let packet = Packet {
        bytes: &[7; 100],
        wire_len: 100,
        stamp: Stamp::new(1_700_000_000_000_000_000, StampClock::USER),
        arrival_ns: 0,
        interface: 0,
        link: LinkType::ETHERNET,
        flags: EpbFlags::NONE,
        marks: Marks(0),
        gso_size: 0,
        lost_before: 0,
    };
    writer.append(&packet, Judgement::NOT_JUDGED)
}
