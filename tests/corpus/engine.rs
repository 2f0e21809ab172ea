//! The built engine on one file, and the journal that it made.

use std::path::Path;
use std::process::{Command, Output};
use wiretape::journal::reader::{ReadOptions, Record, Tape};
use wiretape::packet::{EpbFlags, Judgement, LinkType};
use wiretape::time::StampClock;

/// A packet on tape.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taped {
    pub(crate) ns: u64,
    pub(crate) clock: StampClock,
    pub(crate) bytes: Vec<u8>,
    pub(crate) wire_len: u32,
    pub(crate) link: LinkType,
    pub(crate) flags: EpbFlags,
    pub(crate) lost_before: u64,
    pub(crate) judgement: Judgement,
}

/// `wiretape capture -r FILE -w DIR --json`, with `words` behind.
pub(crate) fn capture(file: &Path, journal: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wiretape"))
        .args(["capture", "--json", "-q", "--segment-size", "4MiB", "-r"])
        .arg(file)
        .arg("-w")
        .arg(journal)
        .args(words)
        .output()
        .unwrap()
}

/// Every packet of a journal with one queue, in its order; none if there is no journal.
pub(crate) fn packets(journal: &Path) -> Vec<Taped> {
    let mut found = vec![];
    if !journal.exists() {
        return found;
    }
    let tape = Tape::open(journal).unwrap();
    for queue in tape.queues() {
        let mut reader = tape.queue(queue, ReadOptions::default());
        while let Some(record) = reader.next_record().unwrap() {
            if let Record::Packet(packet) = record {
                found.push(Taped {
                    ns: packet.stamp.ns,
                    clock: packet.stamp.clock,
                    bytes: packet.bytes.to_vec(),
                    wire_len: packet.wire_len,
                    link: packet.link,
                    flags: packet.flags,
                    lost_before: packet.lost_before,
                    judgement: packet.judgement,
                });
            }
        }
    }
    found
}
