//! Opening a journal: what is made, what is refused and in which words; a full disk; foreign readers.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the answer")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use wiretape::journal::format::{MIB, segment_name};
use wiretape::journal::{
    Append, Description, Event, EventKind, Journal, JournalError, JournalOptions, Note, OnFull, State,
};
use wiretape::packet::{EpbFlags, InterfaceDef, Judgement, LinkType, Loss, LossPlace, Marks, Packet};
use wiretape::pcapng::write::InterfaceStats;
use wiretape::time::{Stamp, StampClock};

fn options(dir: &Path) -> JournalOptions {
    let mut options = JournalOptions::new(dir);
    options.segment_bytes = 4 * MIB;
    options
}

fn open_and_close(options: JournalOptions) -> Result<(), JournalError> {
    let (journal, _) = Journal::open(options)?;
    let (writers, keeper) = journal.start();
    for writer in writers {
        writer.finish(&[]);
    }
    keeper.finish();
    Ok(())
}

fn packet(bytes: &[u8], n: u64) -> Packet<'_> {
    Packet {
        bytes,
        wire_len: u32::try_from(bytes.len()).unwrap(),
        stamp: Stamp::new(1_700_000_000_123_456_789 + n, StampClock::HARDWARE),
        arrival_ns: 0,
        interface: 0,
        link: LinkType::ETHERNET,
        flags: EpbFlags(EpbFlags::INBOUND),
        marks: Marks(0),
        gso_size: 0,
        lost_before: 0,
    }
}

/// Says that a test is skipped, or fails where nothing may be skipped.
fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    eprintln!("skipped: {why}");
}

#[test]
fn each_start_adds_its_entry_and_a_reopened_journal_goes_on_numbering() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("new/journal");
    open_and_close(options(&dir)).unwrap();
    open_and_close(options(&dir)).unwrap();
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o750);
    let description = Description::read(&dir).unwrap();
    assert_eq!(description.captures.len(), 2);
    assert_ne!(description.captures[0].id, description.captures[1].id);
    assert!(dir.join(segment_name(0, 0)).exists() && dir.join(segment_name(0, 1)).exists());
    assert!(!dir.join("journal.toml.new").exists());
}

#[test]
fn what_is_no_journal_is_refused_in_words_that_name_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = open_and_close(options(&file)).unwrap_err();
    assert!(matches!(error, JournalError::NotADirectory(_)), "{error}");
    let error = open_and_close(options(&file.join("below"))).unwrap_err();
    assert!(matches!(error, JournalError::NotADirectory(_) | JournalError::NotWritable { .. }), "{error}");
    let error = open_and_close(options(dir.path())).unwrap_err();
    assert!(matches!(error, JournalError::NotAJournal(_)), "{error}");
    assert!(error.to_string().contains("name a new or an empty directory"));
    let mut small = options(&dir.path().join("small"));
    small.segment_bytes = MIB;
    assert!(matches!(open_and_close(small), Err(JournalError::Option(_))));
    let mut greedy = options(&dir.path().join("greedy"));
    greedy.retain_bytes = Some(8 * MIB);
    assert!(matches!(open_and_close(greedy), Err(JournalError::Option(_))));
    assert!(!dir.path().join("small").exists(), "nothing is made for options that cannot be");
}

#[test]
fn a_journal_in_use_is_refused_and_its_holder_named() {
    let dir = tempfile::tempdir().unwrap();
    let held = Journal::open(options(dir.path())).unwrap();
    let error = open_and_close(options(dir.path())).unwrap_err();
    assert!(matches!(error, JournalError::InUse { .. }));
    assert!(error.to_string().contains(&format!("pid {} since 2", std::process::id())), "{error}");
    drop(held);
    open_and_close(options(dir.path())).unwrap();
}

#[test]
fn a_journal_with_unknown_features_or_damage_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open_and_close(options(dir.path())).unwrap();
    let path = dir.path().join("journal.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("incompatible = []", "incompatible = [\"encrypted\"]")).unwrap();
    let error = open_and_close(options(dir.path())).unwrap_err();
    assert!(
        matches!(error, JournalError::Unknown { .. }) && error.to_string().contains("encrypted"),
        "{error}"
    );
    std::fs::write(&path, text.replace("format_version = 1", "format_version = 9")).unwrap();
    assert!(open_and_close(options(dir.path())).unwrap_err().to_string().contains("format version 9"));
    std::fs::write(&path, "format_version = ").unwrap();
    assert!(matches!(open_and_close(options(dir.path())), Err(JournalError::Damaged { .. })));
    std::fs::write(&path, text).unwrap();
    std::fs::write(dir.path().join("manifest"), "not a manifest\n").unwrap();
    assert!(matches!(open_and_close(options(dir.path())), Err(JournalError::Damaged { .. })));
}

/// A tmpfs of its own, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path, size: &str, more: &str) -> Option<Self> {
        std::fs::create_dir_all(at).ok()?;
        let options = format!("size={size}{more}");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "wiretape-test"]).arg(at).status();
        status.is_ok_and(|s| s.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_read_only_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Tmpfs::mount(&dir.path().join("ro"), "1m", ",ro") else {
        return skip("a file system cannot be mounted here");
    };
    for dir in [dir.path().join("ro"), dir.path().join("ro/journal")] {
        let error = open_and_close(options(&dir)).unwrap_err();
        assert!(matches!(error, JournalError::NotWritable { .. }), "{error}");
    }
}

#[test]
fn no_room_for_the_first_segment_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mounted) = Tmpfs::mount(&dir.path().join("t"), "3m", "") else {
        return skip("a file system cannot be mounted here");
    };
    let error = open_and_close(options(&mounted.0.join("j"))).unwrap_err();
    assert!(matches!(error, JournalError::NoRoom { .. }), "{error}");
}

#[test]
fn a_full_disk_stops_the_tape_counted_and_it_resumes_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mounted) = Tmpfs::mount(&dir.path().join("t"), "20m", "") else {
        return skip("a file system cannot be mounted here");
    };
    let dir = mounted.0.join("j");
    let (journal, _) = Journal::open(options(&dir)).unwrap();
    let (mut writers, mut keeper) = journal.start();
    let handle = keeper.handle();
    let mut writer = writers.remove(0);
    assert_eq!(writer.add_interface(&InterfaceDef::named("eth0", LinkType::ETHERNET)), Append::Written);
    let bytes = vec![1; 60_000];
    let (mut written, mut refused) = (0_u64, 0_u64);
    while refused < 10 {
        match writer.append(&packet(&bytes, written), Judgement::NOT_JUDGED) {
            Append::Written => written += 1,
            Append::NotReady => drop(keeper.step()),
            Append::Full => refused += 1,
        }
    }
    assert_eq!(handle.state(), State::Full);
    assert!(handle.stats().reason.contains("the disk is full"), "{}", handle.stats().reason);
    assert!(written > 200, "{written}: nearly all of the disk was used");
    // Somebody makes room; the keeper tries again within a second or so.
    while keeper.step() {}
    std::fs::remove_file(dir.join(segment_name(0, 0))).unwrap();
    for _ in 0..300 {
        keeper.step();
        if writer.append(&packet(&bytes, written), Judgement::NOT_JUDGED) == Append::Written {
            written += 1;
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(handle.state(), State::Ok);
    assert_eq!(writer.packets(), written);
    writer.finish(&[]);
    let report = keeper.finish();
    assert!(report.events.iter().any(|e| e.text.contains("can be written again")), "{:?}", report.events);
}

#[test]
fn on_a_full_disk_the_oldest_segments_make_room_if_the_policy_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mounted) = Tmpfs::mount(&dir.path().join("t"), "24m", "") else {
        return skip("a file system cannot be mounted here");
    };
    let mut options = options(&mounted.0.join("j"));
    options.on_full = OnFull::DropOldest;
    let (journal, _) = Journal::open(options).unwrap();
    let (mut writers, mut keeper) = journal.start();
    let mut writer = writers.remove(0);
    assert_eq!(writer.add_interface(&InterfaceDef::named("eth0", LinkType::ETHERNET)), Append::Written);
    let bytes = vec![1; 60_000];
    let mut written = 0;
    while written < 1500 {
        match writer.append(&packet(&bytes, written), Judgement::NOT_JUDGED) {
            Append::Written => written += 1,
            Append::NotReady => drop(keeper.step()),
            Append::Full => panic!("{:?}", keeper.handle().stats()),
        }
    }
    writer.finish(&[]);
    let report = keeper.finish();
    assert!(report.stats.retired > 10, "{:?}", report.stats);
    let manifest = std::fs::read_to_string(mounted.0.join("j/manifest")).unwrap();
    assert_eq!(manifest.lines().filter(|l| l.starts_with("retired ")).count() as u64, report.stats.retired);
}

fn run(program: &str, args: &[&str]) -> Option<(String, String)> {
    let out = Command::new(program).args(args).output().ok()?;
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    Some((
        String::from_utf8_lossy(&out.stdout).into_owned(),
        String::from_utf8_lossy(&out.stderr).into_owned(),
    ))
}

#[test]
fn other_programs_open_a_sealed_segment_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("j");
    let mut opts = options(&dir);
    opts.hardware = "test rack".into();
    opts.os = "Linux 6".into();
    let (journal, _) = Journal::open(opts).unwrap();
    let (mut writers, keeper) = journal.start();
    let mut writer = writers.remove(0);
    assert_eq!(writer.add_interface(&InterfaceDef::named("eth7", LinkType::ETHERNET)), Append::Written);
    let mut frame = [0x5A; 200];
    frame[12..14].copy_from_slice(&0x88B5_u16.to_be_bytes());
    for n in 0..8000 {
        let mut p = packet(&frame[..60 + usize::try_from(n % 140).unwrap()], n);
        p.lost_before = u64::from(n == 5) * 9;
        assert_eq!(writer.append(&p, Judgement::NOT_JUDGED), Append::Written);
        if n % 1000 == 0 {
            let loss = Loss { place: LossPlace::RING, packets: 9, from_ns: 1, to_ns: 2 };
            assert_eq!(writer.note(&Note::Loss(loss)), Append::Written);
            let event = Event { at_ns: 1, kind: EventKind::START, value: 0, text: "begun".into() };
            assert_eq!(writer.note(&Note::Event(event)), Append::Written);
            assert_eq!(writer.note(&Note::Clock(wiretape::clock::ClockReading::default())), Append::Written);
        }
    }
    let stats = InterfaceStats { received: Some(8009), os_dropped: Some(9), ..InterfaceStats::default() };
    writer.finish(&[stats]);
    keeper.finish();
    let file = dir.join(segment_name(0, 0));
    let file = file.to_str().unwrap();
    let fields = ["frame.time_epoch", "frame.len", "frame.interface_name", "frame.packet_flags_direction"];
    let mut args = vec!["-r", file, "-T", "fields"];
    for field in fields {
        args.extend(["-e", field]);
    }
    let Some((out, err)) = run("tshark", &args) else { return skip("tshark is not installed") };
    let warnings: Vec<_> = err.lines().filter(|line| !line.contains("as user \"root\"")).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 8000);
    assert!(lines[3].starts_with("1700000000.123456792\t63\teth7\t"), "{}", lines[3]);
    if let Some((out, err)) = run("capinfos", &["-M", file]) {
        assert!(err.is_empty(), "{err}");
        assert!(out.contains("Number of packets:   8000"), "{out}");
        assert!(out.contains("test rack") && out.contains("Linux 6") && out.contains("Name = eth7"), "{out}");
        assert!(out.contains("Number of stat entries = 1"), "{out}");
    }
    if let Some((out, err)) = run("tcpdump", &["-r", file, "-tt", "--nano", "-n"]) {
        assert_eq!(out.lines().filter(|line| line.starts_with("1700000000.")).count(), 8000);
        let reading = |line: &str| line.starts_with("reading from file");
        assert!(err.lines().all(reading), "{err}");
        assert!(out.starts_with("1700000000.123456789 "), "{}", out.lines().next().unwrap());
    }
}
