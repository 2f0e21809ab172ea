//! Capture files, whole and broken.

use crate::common::need_tool;
use crate::support::*;
use std::io::Write;
use std::process::{Command, Stdio};

/// Bytes of a classic pcap file's head, and before each packet of it.
const HEAD: usize = 24;
const RECORD: usize = 16;

#[test]
fn packets_before_the_damage_are_kept_and_its_offset_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let frames = mixed(10);
    let one = RECORD + frames[0].len();
    let whole = dir.path().join("whole.pcap");
    pcap(&whole, &frames);
    let bytes = std::fs::read(&whole).unwrap();
    let cut_at = HEAD + 6 * one;
    let mut absurd = bytes.clone();
    absurd[cut_at + 8..cut_at + 12].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    for (name, damaged) in [("truncated", bytes[..cut_at + 30].to_vec()), ("absurd", absurd)] {
        let (path, journal) = (dir.path().join(name), dir.path().join(format!("{name}.j")));
        std::fs::write(&path, damaged).unwrap();
        let ran = capture(&["-r", text(&path), "-w", text(&journal), "--json"]);
        ran.says(1, &[name, &cut_at.to_string()]);
        let report = ran.json();
        adds_up(&report);
        assert_eq!(number(&report, "/packets/on_tape"), 6, "{name}: {report}");
        assert_eq!(packets_on(&journal).len(), 6, "{name}");
        verifies(&journal);
        // As text, too, and the three lines still come.
        capture(&["-r", text(&path)]).says(1, &["6 packets captured", "FAILED", &cut_at.to_string()]);
    }
}

#[test]
fn what_is_no_capture_file_is_named_for_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    let made = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let words = |path: &std::path::Path| capture(&["-r", path.to_str().unwrap(), "-w", text(&journal)]);
    words(&made("empty", b"")).says(1, &["empty"]);
    words(&made("letter", b"Dear reader, this is no capture file at all.")).says(1, &["letter"]);
    words(&made("zipped.pcap.gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8]))
        .says(1, &["gzip"]);
    words(&dir.path().join("absent")).says(1, &["absent", "No such file"]);
    words(dir.path()).says(1, &[text(dir.path())]);
    if need_tool("setpriv") && nix::unistd::geteuid().is_root() {
        let secret = made("secret", b"x");
        must("chmod", &["600", text(&secret)]);
        must("chmod", &["755", text(dir.path())]);
        ran("setpriv", &["--reuid", "65534", "--clear-groups", WIRETAPE, "capture", "-r", text(&secret)])
            .says(1, &["secret", "ermission denied"]);
    }
}

#[test]
fn a_file_that_cannot_be_opened_leaves_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    capture(&["-r", "/nonexistent/a.pcap", "-w", text(&journal)]).says(1, &[]);
    assert!(!journal.exists());
}

#[test]
fn standard_input_is_a_capture_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pcap");
    pcap(&path, &mixed(8));
    let mut child = Command::new(WIRETAPE)
        .args(["capture", "-r", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&std::fs::read(&path).unwrap()).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(number(&ran.says(0, &[]).json(), "/packets/seen"), 8);
}

#[test]
fn count_and_snap_length_hold_for_files_too() {
    let dir = tempfile::tempdir().unwrap();
    let (path, journal) = (dir.path().join("a.pcap"), dir.path().join("j"));
    pcap(&path, &mixed(40));
    let report = report_of(&["-r", text(&path), "-w", text(&journal), "-c", "3", "-s", "60"]);
    adds_up(&report);
    assert_eq!(report["ended"], "the count was reached");
    assert_eq!(packets_on(&journal).iter().map(|(b, w)| (b.len(), *w)).collect::<Vec<_>>(), [(60, 142); 3]);
}
