//! Any bytes as a capture file: the source never panics, hands out no more bytes than there are,
//! tells a failure once, and ends. The block reader agrees with itself on every view.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Write as _;
use std::ops::ControlFlow;
use wiretape::capture::file::{FileOptions, FileSource};
use wiretape::capture::{Lease as _, Source as _, Take};
use wiretape::pcapng::read::{Blocks, View};

/// Through a pipe, so that no file is made; small enough that writing it never blocks.
const MOST_BYTES: usize = 60_000;

fn through_the_source(data: &[u8]) {
    use std::os::fd::AsRawFd as _;
    let (Ok((reader, mut writer)), true) = (std::io::pipe(), data.len() <= MOST_BYTES) else { return };
    if writer.write_all(data).is_err() {
        return;
    }
    drop(writer);
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
    let Ok(mut source) = FileSource::open(FileOptions { path, ..FileOptions::default() }) else { return };
    let mut bytes = 0;
    loop {
        match source.take() {
            Ok(Take::Lease(mut lease)) => {
                lease.walk(|packet| {
                    bytes += packet.bytes.len();
                    ControlFlow::Continue(())
                });
            }
            Ok(Take::Idle) => {}
            Ok(Take::End) => break,
            Err(_) => assert!(matches!(source.take(), Ok(Take::End))),
        }
    }
    assert!(bytes <= data.len());
}

fuzz_target!(|data: &[u8]| {
    through_the_source(data);
    for block in Blocks::new(data) {
        let Ok(block) = block else { break };
        match block.view() {
            Ok(View::Interface(interface)) => {
                let _ = (interface.to_def(), interface.tick_unit(), interface.fcs_bytes());
            }
            Ok(View::Enhanced(packet)) => _ = packet.flags_and_drops(),
            Ok(View::Simple(packet)) => _ = packet.bytes(0),
            Ok(View::Obsolete(packet)) => _ = packet.flags(),
            Ok(View::Statistics(statistics)) => _ = (statistics.counter(5), statistics.time_ticks(2)),
            _ => {}
        }
    }
});
