//! What an append costs at its worst, for several ways of writing: the numbers of
//! `docs/decisions/journal-write-path.md`.
//!
//! `cargo bench --bench append_tail -- [DIR [APPENDS]]` appends packets of 256 bytes at a steady 500,000/s into
//! files below DIR (default: the directory for temporary files) and prints, for each variant, how long single
//! appends took. Variants run one after the other, the whole series twice, so that drift shows.

#![expect(clippy::print_stdout, reason = "its output is its result")]

use hdrhistogram::Histogram;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use wiretape::clock::{Clock, SystemClock};
use wiretape::journal::format::{PacketBlock, encode, packet_block_bytes};
use wiretape::journal::{Append, Journal, JournalOptions};
use wiretape::packet::{EpbFlags, InterfaceDef, Judgement, LinkType, Marks, Packet};
use wiretape::sys::segment_map::{MapWriter, SegmentMap, map};
use wiretape::time::{Stamp, StampClock};

const PACKET_BYTES: usize = 256;
const EVERY_NS: u64 = 2_000;

fn packet(bytes: &[u8], ns: u64) -> Packet<'_> {
    Packet {
        bytes,
        wire_len: 256,
        stamp: Stamp::new(ns, StampClock::USER),
        arrival_ns: ns,
        interface: 0,
        link: LinkType::ETHERNET,
        flags: EpbFlags(EpbFlags::INBOUND),
        marks: Marks(0),
        gso_size: 0,
        lost_before: 0,
    }
}

fn block<'a>(p: &Packet<'a>, seq: u64) -> PacketBlock<'a> {
    PacketBlock {
        bytes: p.bytes,
        wire_len: p.wire_len,
        stamp: p.stamp,
        arrival_ns: p.arrival_ns,
        interface: 0,
        flags: p.flags,
        marks: p.marks,
        gso_size: 0,
        lost_before: 0,
        judgement: Judgement::NOT_JUDGED,
        seq,
    }
}

/// Calls `append` at a steady pace; each call's duration is recorded.
fn paced(appends: u64, mut append: impl FnMut(u64, &Packet<'_>)) -> Histogram<u64> {
    let mut durations =
        Histogram::new_with_max(60_000_000_000, 3).expect("3 digits up to a minute are allowed");
    let bytes = [0x5A; PACKET_BYTES];
    let clock = SystemClock;
    let mut due = clock.monotonic_ns();
    for n in 0..appends {
        while clock.monotonic_ns() < due {
            std::hint::spin_loop();
        }
        due += EVERY_NS;
        let begun = clock.monotonic_ns();
        append(n, &packet(&bytes, begun));
        durations.saturating_record(clock.monotonic_ns() - begun);
    }
    durations
}

fn print(name: &str, durations: &Histogram<u64>) {
    let over_a_ms = durations.len() - durations.count_between(0, 1_000_000);
    let at = |q| durations.value_at_quantile(q);
    println!(
        "{name:<44} {:>8} {:>8} {:>9} {:>10} {:>11} {over_a_ms:>7}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        durations.max()
    );
}

/// Appends into one mapping, without a keeper.
fn into_map(writer: &mut MapWriter, appends: u64) -> Histogram<u64> {
    let len = packet_block_bytes(PACKET_BYTES, 0);
    let mut at = 0;
    paced(appends, |n, p| {
        let Some(room) = writer.room(at, len) else { return };
        let word = encode::packet(room, 7, &block(p, n));
        assert!(writer.commit(at, word), "the mapping is long enough");
        at += len;
    })
}

fn file(dir: &Path) -> File {
    let path = dir.join("append_tail.tmp");
    let _ = std::fs::remove_file(&path);
    OpenOptions::new().read(true).write(true).create_new(true).open(path).expect("DIR can be written")
}

fn mapped(file: &File, len: usize) -> (SegmentMap, MapWriter) {
    map(file, len).expect("the file can be mapped")
}

fn journal(dir: &Path, appends: u64, sync_ms: u64) -> Histogram<u64> {
    let dir = dir.join("append_tail.journal");
    let _ = std::fs::remove_dir_all(&dir);
    let mut options = JournalOptions::new(&dir);
    options.segment_bytes = 128 << 20;
    options.sync_interval = std::time::Duration::from_millis(sync_ms);
    let (journal, _) = Journal::open(options).expect("the journal can be opened");
    let (mut writers, keeper) = journal.start();
    let mut writer = writers.remove(0);
    assert_eq!(writer.add_interface(&InterfaceDef::named("bench", LinkType::ETHERNET)), Append::Written);
    let stop = AtomicBool::new(false);
    let mut waited = 0_u64;
    let (durations, report) = std::thread::scope(|scope| {
        let keeping = scope.spawn(|| keeper.run(&stop));
        let durations = paced(appends, |_, p| {
            while writer.append(p, Judgement::NOT_JUDGED) != Append::Written {
                waited += 1;
                std::hint::spin_loop();
            }
        });
        writer.finish(&[]);
        stop.store(true, Ordering::Release);
        (durations, keeping.join().expect("the keeper ends"))
    });
    let ms = |ns: u64| ns / 1_000_000;
    println!(
        "  keeper: longest sync {} ms, prepare {} ms, populate {} ms; {} segments; NotReady {waited} times",
        ms(report.stats.longest_sync_ns),
        ms(report.stats.longest_prepare_ns),
        ms(report.stats.longest_populate_ns),
        report.stats.sealed
    );
    let _ = std::fs::remove_dir_all(&dir);
    durations
}

fn inline_write(dir: &Path, appends: u64) -> Histogram<u64> {
    let mut file = file(dir);
    let len = packet_block_bytes(PACKET_BYTES, 0);
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    paced(appends, |n, p| {
        if at + len > buffer.len() {
            file.write_all(&buffer[..at]).expect("the file can be written");
            at = 0;
        }
        let _ = encode::packet(&mut buffer[at..at + len], 7, &block(p, n));
        at += len;
    })
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let appends: u64 = args.next().map_or(1_000_000, |n| n.parse().expect("APPENDS is a number"));
    let len = packet_block_bytes(PACKET_BYTES, 0) * usize::try_from(appends).expect("it fits");
    let len = len.next_multiple_of(1 << 20);
    println!(
        "{:<44} {:>8} {:>8} {:>9} {:>10} {:>11} {:>7}",
        "ns", "p50", "p99", "p99.9", "p99.99", "max", ">1 ms"
    );
    for _ in 0..2 {
        let mut memory = vec![0; packet_block_bytes(PACKET_BYTES, 0)];
        let control = paced(appends, |n, p| {
            let _ = encode::packet(&mut memory, 7, &block(p, n));
        });
        print("one block of memory again and again (control)", &control);
        let sparse = file(&dir);
        sparse.set_len(len as u64).expect("the file can grow");
        print("sparse file, mapped", &into_map(&mut mapped(&sparse, len).1, appends));
        let allocated = file(&dir);
        wiretape::sys::fs::allocate(&allocated, len as u64).expect("there is room");
        print("fallocate, mapped", &into_map(&mut mapped(&allocated, len).1, appends));
        let populated = file(&dir);
        wiretape::sys::fs::allocate(&populated, len as u64).expect("there is room");
        let (keeper, mut writer) = mapped(&populated, len);
        keeper.populate(0, len as u64).expect("it can be populated");
        print("fallocate, populated whole beforehand", &into_map(&mut writer, appends));
        drop((keeper, writer));
        print("write(2) of 1 MiB in between", &inline_write(&dir, appends));
        print("journal: populate ahead, msync each 250 ms", &journal(&dir, appends, 250));
        print("journal: populate ahead, msync each 1 s", &journal(&dir, appends, 1000));
        let _ = std::fs::remove_file(dir.join("append_tail.tmp"));
    }
}
