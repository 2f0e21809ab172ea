//! What the tests over captured feeds share: finding the captures, walking one through the real source, a judge for it.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use wiretape::capture::file::{FileOptions, FileSource};
use wiretape::capture::{Lease as _, Source as _, Take};
use wiretape::feed::sequenced::Layout;
use wiretape::feed::{FeedConfig, FeedProtocol};
use wiretape::packet::{Marks, Packet};
use wiretape::validate::{Judge, JudgeConfig};
use wiretape::wire::{Transport, dissect};

/// The folder of shared captures; without it the test does nothing, except on CI, where nothing may be skipped.
pub(crate) fn shared_captures() -> Option<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared =
        std::env::var_os("WIRETAPE_SHARED").map_or_else(|| manifest.join("../shared"), PathBuf::from);
    let captures = shared.join("captures");
    if captures.is_dir() {
        return Some(captures);
    }
    let why = format!("no capture files at {}", captures.display());
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    eprintln!("skipped: {why}");
    None
}

/// Every packet of a capture file, as the source gives it; but its UDP checksum is not judged: the addresses in many of these files
/// were changed after the capture, and the checksums were not.
pub(crate) fn each_packet(path: &Path, mut body: impl FnMut(&Packet<'_>)) {
    let path = path.to_str().unwrap().to_owned();
    let mut source = FileSource::open(FileOptions { path, ..FileOptions::default() }).unwrap();
    while let Take::Lease(mut lease) = source.take().unwrap() {
        lease.walk(|packet| {
            let marks = Marks(packet.marks.0 | Marks::CSUM_NOT_READY);
            body(&Packet { marks, ..packet });
            ControlFlow::Continue(())
        });
    }
}

/// Every UDP datagram of it: the packet, its payload, and the payload's length on the wire.
pub(crate) fn each_udp(path: &Path, mut body: impl FnMut(&Packet<'_>, &[u8], usize)) {
    each_packet(path, |packet| {
        let dissection = dissect(packet);
        if matches!(dissection.transport, Transport::Udp { .. }) {
            body(packet, dissection.payload, dissection.payload_on_wire);
        }
    });
}

/// A judge with one feed: a line for every address and port to which the file's datagrams go.
pub(crate) fn judge_of(path: &Path, protocol: FeedProtocol, layout: Layout) -> Judge {
    let mut feed: Option<FeedConfig> = None;
    each_packet(path, |packet| {
        let dissection = dissect(packet);
        let Transport::Udp { dst_port, .. } = dissection.transport else { return };
        let Some(group): Option<IpAddr> = dissection.network.dst() else { return };
        let fresh = FeedConfig { layout, ..FeedConfig::one_line("feed", protocol, group, dst_port) };
        let feed = feed.get_or_insert_with(|| fresh.clone());
        if !feed.lines.iter().any(|line| (line.group, line.port) == (group, dst_port)) {
            feed.lines.extend(fresh.lines);
        }
    });
    Judge::new(&JudgeConfig { feeds: feed.into_iter().collect(), ..JudgeConfig::default() })
}
