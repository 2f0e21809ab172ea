//! Crashes: what was committed is there, nothing half-written is shown, the next start works.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the answer")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use wiretape::journal::format::decode::{self, Block, Damage};
use wiretape::journal::format::{EndOfSegment, MIB, MIB_BYTES, segment_name};
use wiretape::journal::manifest::Manifest;
use wiretape::journal::{Append, Journal, JournalOptions, Recovery, recover};
use wiretape::packet::{EpbFlags, InterfaceDef, Judgement, LinkType, Marks, Packet};
use wiretape::time::{Stamp, StampClock};

const CHILD_DIR: &str = "WIRETAPE_TEST_CRASH_DIR";

fn options(dir: &Path) -> JournalOptions {
    let mut options = JournalOptions::new(dir);
    options.segment_bytes = 4 * MIB;
    options.sync_interval = Duration::from_millis(20);
    options
}

fn packet(bytes: &[u8], n: u64) -> Packet<'_> {
    Packet {
        bytes,
        wire_len: u32::try_from(bytes.len()).unwrap(),
        stamp: Stamp::new(1_700_000_000_000_000_000 + n, StampClock::USER),
        arrival_ns: 0,
        interface: 0,
        link: LinkType::ETHERNET,
        flags: EpbFlags::NONE,
        marks: Marks(0),
        gso_size: 0,
        lost_before: 0,
    }
}

/// The bytes of packet `n`: their length and every byte follow from it.
fn body(n: u64, out: &mut Vec<u8>) {
    out.clear();
    out.resize(usize::try_from(n * 37 % 1500).unwrap(), n.to_le_bytes()[0]);
    out.extend_from_slice(&n.to_le_bytes());
}

/// Packets of a queue's segments from `first` on; panics on anything that is not whole.
fn packets_of(dir: &Path, from: u32) -> Vec<u64> {
    let mut seqs = Vec::new();
    let mut expected = Vec::new();
    for index in from.. {
        let Ok(bytes) = std::fs::read(dir.join(segment_name(0, index))) else { break };
        let (mut at, mut id) = (0, 0);
        while at < bytes.len() {
            let (block, len) =
                decode::block(&bytes[at..], id).unwrap_or_else(|e| panic!("{index} at {at}: {e}"));
            match block {
                Block::SegmentHeader(header) => id = header.segment_id,
                Block::Packet(p) => {
                    body(p.seq, &mut expected);
                    assert_eq!(p.bytes, expected);
                    seqs.push(p.seq);
                }
                _ => {}
            }
            at += len;
        }
    }
    seqs
}

/// The child's part: appends for ever, and says after each piece how far it has come.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let (journal, _) = Journal::open(options(Path::new(&dir))).unwrap();
    let (mut writers, keeper) = journal.start();
    let mut writer = writers.remove(0);
    std::thread::spawn(move || keeper.run(&std::sync::atomic::AtomicBool::new(false)));
    assert_eq!(writer.add_interface(&InterfaceDef::named("eth0", LinkType::ETHERNET)), Append::Written);
    let mut bytes = Vec::new();
    for n in 0_u64.. {
        body(n, &mut bytes);
        while writer.append(&packet(&bytes, n), Judgement::NOT_JUDGED) != Append::Written {
            std::thread::yield_now();
        }
        if n % 50 == 0 {
            // Straight to the pipe: the test harness captures what `println!` writes.
            std::io::stderr().write_all(format!("\nat {n}\n").as_bytes()).unwrap();
        }
    }
}

fn next_index(dir: &Path) -> u32 {
    (0..1_000_000).find(|index| !dir.join(segment_name(0, *index)).exists()).unwrap()
}

#[test]
fn after_a_kill_every_reported_record_is_read_back_and_the_next_start_works() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("j");
    let rounds: u64 = std::env::var("WIRETAPE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    for round in 0..rounds {
        let first = next_index(&dir);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_it_is_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD_DIR, &dir)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let reader = std::thread::spawn(move || {
            let told =
                lines.lines().map_while(Result::ok).filter_map(|line| line.strip_prefix("at ")?.parse().ok());
            told.last().unwrap_or(0_u64)
        });
        std::thread::sleep(Duration::from_millis(30 + (round * 7919) % 170));
        child.kill().unwrap();
        child.wait().unwrap();
        let last = reader.join().unwrap();
        let (journal, recovery) = Journal::open(options(&dir)).unwrap();
        let (writers, keeper) = journal.start();
        drop(writers);
        keeper.finish();
        assert!(recovery.unreadable.is_empty() && recovery.remarks.is_empty(), "{recovery:?}");
        assert!(recovery.recovered.iter().all(|r| r.quarantined.is_none()), "{recovery:?}");
        let seqs = packets_of(&dir, first);
        assert!(seqs.iter().copied().eq(0..seqs.len() as u64), "without a hole, in order");
        assert!(last == 0 || seqs.len() as u64 > last, "round {round}: {} read, {last} reported", seqs.len());
        let manifest = Manifest::parse(&std::fs::read(dir.join("manifest")).unwrap()).unwrap();
        assert!(manifest.lines.iter().all(|line| line.chain_holds));
        for sealed in manifest.kept() {
            let path = dir.join(&sealed.name);
            assert_eq!(*blake3::hash(&std::fs::read(&path).unwrap()).as_bytes(), sealed.blake3);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
        }
        assert_eq!(manifest.kept().len(), next_index(&dir) as usize, "every segment is sealed");
    }
}

/// A journal as a kill leaves it, with `packets` packets: the writer is forgotten, not dropped.
fn left_open(dir: &Path, packets: u64) {
    let (journal, _) = Journal::open(options(dir)).unwrap();
    let (mut writers, keeper) = journal.start();
    let mut writer = writers.remove(0);
    assert_eq!(writer.add_interface(&InterfaceDef::named("eth0", LinkType::ETHERNET)), Append::Written);
    let mut bytes = Vec::new();
    for n in 0..packets {
        body(n, &mut bytes);
        assert_eq!(writer.append(&packet(&bytes, n), Judgement::NOT_JUDGED), Append::Written);
    }
    std::mem::forget(writer);
    keeper.finish();
}

fn reopen(dir: &Path) -> Recovery {
    let (journal, recovery) = Journal::open(options(dir)).unwrap();
    let (writers, keeper) = journal.start();
    for writer in writers {
        writer.finish(&[]);
    }
    keeper.finish();
    recovery
}

fn segment(dir: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(dir.join(segment_name(0, 0))).unwrap()
}

fn end_of(dir: &Path) -> EndOfSegment {
    let scan = recover::scan(&File::open(dir.join(segment_name(0, 0))).unwrap()).unwrap();
    assert!(scan.ended && scan.bytes == scan.file_bytes && !scan.is_damaged());
    scan.end
}

#[test]
fn a_torn_tail_is_cut_at_the_last_whole_record() {
    let dir = tempfile::tempdir().unwrap();
    left_open(dir.path(), 100);
    let scan = recover::scan(&segment(dir.path())).unwrap();
    assert_eq!(scan.stopped, Some(Damage::Uncommitted));
    // A record whose body is there and whose first word is not.
    segment(dir.path()).write_all_at(&[7; 300], scan.bytes + 4).unwrap();
    let recovery = reopen(dir.path());
    assert_eq!(recovery.recovered[0].packets, 100);
    assert_eq!(recovery.recovered[0].quarantined, None);
    assert_eq!(recovery.recovered[0].cut.as_ref().unwrap().0, scan.bytes);
    let end = end_of(dir.path());
    assert_eq!((end.packets, end.flags), (100, EndOfSegment::RECOVERED));
    assert_eq!(packets_of(dir.path(), 0).len(), 100);
    assert!(reopen(dir.path()).is_clean());
}

#[test]
fn a_committed_record_with_a_wrong_byte_is_damage_and_its_bytes_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    left_open(dir.path(), 3000);
    let file = segment(dir.path());
    let whole = recover::scan(&file).unwrap();
    assert!(whole.bytes > 2 * MIB);
    file.write_all_at(&[0xAA], MIB / 2).unwrap();
    let recovery = reopen(dir.path());
    let recovered = &recovery.recovered[0];
    let (name, bytes) = recovered.quarantined.clone().unwrap();
    let cut = recovered.cut.as_ref().unwrap().0;
    assert!(cut <= MIB / 2 && cut > MIB / 2 - 2000);
    assert_eq!(name, format!("{}.damaged", segment_name(0, 0)));
    assert_eq!(cut + bytes, whole.bytes);
    assert_eq!(std::fs::metadata(dir.path().join(name)).unwrap().len(), bytes);
    assert_eq!(end_of(dir.path()).flags, EndOfSegment::RECOVERED | EndOfSegment::DAMAGED);
}

#[test]
fn a_hole_with_anchors_beyond_it_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    left_open(dir.path(), 3000);
    segment(dir.path()).write_all_at(&vec![0; MIB_BYTES - 4096], 4096).unwrap();
    let recovery = reopen(dir.path());
    assert!(recovery.recovered[0].quarantined.is_some());
    assert!(recovery.recovered[0].cut.as_ref().unwrap().0 <= 4096);
}

#[test]
fn what_was_prepared_and_never_used_is_removed_and_what_cannot_be_read_is_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    left_open(dir.path(), 1);
    std::fs::write(dir.path().join(segment_name(0, 1)), vec![0; 8192]).unwrap();
    std::fs::write(dir.path().join(segment_name(0, 2)), b"").unwrap();
    std::fs::write(dir.path().join(segment_name(0, 3)), b"what is this").unwrap();
    let recovery = reopen(dir.path());
    assert_eq!(recovery.unused, [segment_name(0, 1), segment_name(0, 2)]);
    assert_eq!(recovery.unreadable, [segment_name(0, 3)]);
    assert!(dir.path().join(format!("{}.damaged", segment_name(0, 3))).exists());
    let manifest = Manifest::parse(&std::fs::read(dir.path().join("manifest")).unwrap()).unwrap();
    assert_eq!(
        manifest.names().collect::<Vec<_>>(),
        [segment_name(0, 0), segment_name(0, 4)],
        "numbering goes on"
    );
}

#[test]
fn a_seal_that_was_interrupted_before_its_line_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    left_open(dir.path(), 10);
    reopen(dir.path());
    let before = std::fs::read(dir.path().join(segment_name(0, 0))).unwrap();
    // Both lines go, and a torn one stays.
    std::fs::write(dir.path().join("manifest"), b"q00-000000.pcapng 17").unwrap();
    let recovery = reopen(dir.path());
    assert_eq!(recovery.recovered.len(), 2);
    assert!(recovery.recovered.iter().all(|r| r.cut.is_none()));
    assert_eq!(std::fs::read(dir.path().join(segment_name(0, 0))).unwrap(), before);
    assert!(reopen(dir.path()).is_clean());
}

#[test]
fn every_cut_of_a_segment_recovers_to_a_whole_one() {
    let dir = tempfile::tempdir().unwrap();
    left_open(dir.path(), 20);
    let file = segment(dir.path());
    let bytes = recover::scan(&file).unwrap().bytes;
    let mut whole = vec![0; usize::try_from(bytes).unwrap()];
    file.read_exact_at(&mut whole, 0).unwrap();
    let journal = tempfile::tempdir().unwrap();
    left_open(journal.path(), 0);
    let mut most = 0;
    for cut in (0..whole.len()).step_by(37) {
        let name = journal.path().join(segment_name(0, 0));
        std::fs::remove_file(journal.path().join("manifest")).unwrap();
        for entry in std::fs::read_dir(journal.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.to_str().unwrap().contains("pcapng") {
                std::fs::remove_file(path).unwrap();
            }
        }
        std::fs::write(&name, &whole[..cut]).unwrap();
        let recovery = reopen(journal.path());
        if let Some(recovered) = recovery.recovered.first() {
            assert!(recovered.packets >= most, "a longer file never has fewer packets");
            most = recovered.packets;
            assert_eq!(packets_of(journal.path(), 0).len() as u64, most);
        }
    }
    assert!(most >= 19);
}
