//! Reads a file through the source, to its end, as a capture thread does.

#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;
use wiretape::capture::file::{FileLease, FileOptions, FileSource};
use wiretape::capture::{Lease as _, Source as _, SourceCounts, SourceError, Take};
use wiretape::packet::{EpbFlags, InterfaceDef, LinkType};
use wiretape::time::StampClock;

/// A packet as it was handed out.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) ns: u64,
    pub(crate) clock: StampClock,
    pub(crate) bytes: Vec<u8>,
    pub(crate) wire_len: u32,
    pub(crate) interface: u32,
    pub(crate) link: LinkType,
    pub(crate) flags: EpbFlags,
    pub(crate) lost_before: u64,
}

/// Everything a file gave.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) packets: Vec<Seen>,
    pub(crate) interfaces: Vec<InterfaceDef>,
    pub(crate) error: Option<SourceError>,
    pub(crate) counts: SourceCounts,
    pub(crate) out_of_range: u64,
    pub(crate) pcapng: bool,
}

pub(crate) fn read_path(path: &Path) -> Outcome {
    let options = FileOptions { path: path.to_str().unwrap().to_owned(), ..FileOptions::default() };
    match FileSource::open(options) {
        Ok(source) => {
            let mut outcome = drain(source);
            outcome.pcapng = std::fs::read(path).unwrap().starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]);
            outcome
        }
        Err(error) => Outcome { error: Some(error), ..Outcome::default() },
    }
}

pub(crate) fn read_bytes(bytes: &[u8]) -> Outcome {
    read_options(bytes, FileOptions::default())
}

pub(crate) fn read_options(bytes: &[u8], options: FileOptions) -> Outcome {
    let (source, _file) = open(bytes, options);
    drain(source)
}

pub(crate) fn first_link_then_read(bytes: &[u8]) -> (Option<LinkType>, Outcome) {
    let (mut source, _file) = open(bytes, FileOptions::default());
    let link = source.first_link().unwrap();
    (link, drain(source))
}

pub(crate) fn open(bytes: &[u8], mut options: FileOptions) -> (FileSource, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file.path().to_str().unwrap().clone_into(&mut options.path);
    (FileSource::open(options).unwrap(), file)
}

pub(crate) fn drain(source: FileSource) -> Outcome {
    drain_into(source, Outcome::default())
}

/// Drains a source of which a lease was taken before.
pub(crate) fn drain_after(source: FileSource, before: FileLease) -> Outcome {
    let interfaces = before.interfaces().to_vec();
    drop(before);
    drain_into(source, Outcome { interfaces, ..Outcome::default() })
}

fn drain_into(mut source: FileSource, mut outcome: Outcome) -> Outcome {
    loop {
        match source.take() {
            Ok(Take::Lease(mut lease)) => {
                outcome.interfaces.extend(lease.interfaces().iter().cloned());
                let known = outcome.interfaces.len();
                let walked = lease.walk(|packet| {
                    assert!((packet.interface as usize) < known, "an interface comes before its packets");
                    outcome.packets.push(Seen {
                        ns: packet.stamp.ns,
                        clock: packet.stamp.clock,
                        bytes: packet.bytes.to_vec(),
                        wire_len: packet.wire_len,
                        interface: packet.interface,
                        link: packet.link,
                        flags: packet.flags,
                        lost_before: packet.lost_before,
                    });
                    ControlFlow::Continue(())
                });
                assert_eq!(walked.unreadable, 0);
            }
            Ok(Take::Idle) => source.wait(Duration::from_millis(10)).unwrap(),
            Ok(Take::End) => break,
            Err(error) => {
                outcome.error = Some(error);
                assert!(matches!(source.take(), Ok(Take::End)), "a failure is told once, then comes the end");
                break;
            }
        }
    }
    outcome.counts = source.counts();
    assert!(outcome.counts.received >= outcome.packets.len() as u64);
    outcome.out_of_range = source.stamps_out_of_range();
    outcome
}
