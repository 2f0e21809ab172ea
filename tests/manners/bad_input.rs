//! Words, interfaces, privilege, directories: a clear error and the documented exit code.

use crate::common::{need_tool, run_in_netns};
use crate::support::*;
use std::process::Command;
use wiretape::lab::net::Lab;

#[test]
fn words_that_are_not_understood_end_with_2_and_say_what_would_be_right() {
    for (words, said) in [
        (&["capture", "--bogus", "-i", "x"][..], "--bogus"),
        (&["capture"], "-i INTERFACE or -r FILE"),
        (&["capture", "-i", "x", "-r", "y"], "cannot be used with"),
        (&["capture", "-i", "x", "-c", "0"], "0 is not in 1.."),
        (&["capture", "-i", "x", "-c", "many"], "invalid value 'many'"),
        (&["capture", "-i", "x", "-B", "12parsecs"], "is no unit of bytes"),
        (&["capture", "-i", "x", "--duration", "soon"], "is no duration"),
        (&["capture", "-i", "x", "-w", "d", "--retain", "7"], "has no unit: say 500GiB, 7d"),
        (&["capture", "-i", "x", "-a", "moons:3"], "not one of duration, packets, filesize"),
        (&["capture", "-i", "x", "-w", "d", "-b", "files"], "KEY:VALUE"),
        (&["capture", "-i", "x", "-w", "-"], "tape follow"),
        (&["capture", "-i", "x", "--rotate", "1h"], "--journal <DIR>"),
        (&["capture", "-i", "x", "--shed", "payload:3"], "at least 64"),
        (&["capture", "-i", "x", "--cpus", "1,2:3"], "as many workers"),
        (&["capture", "-i", "x", "-j", "moon"], "adapter_unsynced"),
        (&["capture", "-r", "f", "-p"], "-p concerns an interface"),
        (&["capture", "-r", "f", "-B", "64"], "cannot be used with"),
        (&["gen"], "--interface"),
        (&["nonsense"], "unrecognized subcommand"),
    ] {
        let ran = ran(WIRETAPE, words);
        assert!(ran.out.is_empty(), "{ran:?}");
        ran.says(2, &[said]);
    }
    for words in [&["nonsense"][..], &["read"], &["read", "--bogus", "j"], &["verify"]] {
        ran(TAPE, words).says(2, &[]);
    }
}

#[test]
fn an_unknown_interface_is_answered_with_those_there_are_and_leaves_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    run_in_netns(|_| {
        for words in [&["-i", "nosuch0"][..], &["-i", "nosuch0", "udp"], &["-i", "nosuch0", "-J"]] {
            let words = [words, &["-w", text(&journal)]].concat();
            capture(&words).says(1, &["nosuch0: no such interface", "lo", Lab::SENDER, Lab::RECEIVER]);
        }
        capture(&["-i", "any", "-w", text(&journal)]).says(1, &["any", "-D lists them"]);
    });
    assert!(!journal.exists());
}

#[test]
fn without_privilege_the_capability_and_the_mend_are_named() {
    if !need_tool("setpriv") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    must("chmod", &["777", text(dir.path())]);
    let journal = dir.path().join("j");
    run_in_netns(|_| {
        for words in [&[][..], &["udp port 53"]] {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", WIRETAPE, "capture"]);
            command.args(["-i", Lab::RECEIVER, "-w", text(&journal)]).args(words);
            let ran = Ran::from(command.output().unwrap());
            ran.says(1, &["CAP_NET_RAW", "sudo", "setcap cap_net_raw", "wiretape"]);
        }
        // What needs no privilege works without it.
        let list = must("setpriv", &["--reuid", "65534", "--clear-groups", WIRETAPE, "capture", "-D"]);
        assert!(list.contains(Lab::RECEIVER), "{list}");
    });
    assert!(!journal.exists());
}

#[test]
fn a_journal_in_use_is_refused_and_its_holder_named() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    run_in_netns(|_| {
        let first = Live::start(&["-w", text(&journal)]);
        let pid = format!("pid {}", first.pid());
        capture(&["-i", Lab::RECEIVER, "-w", text(&journal), "-c", "1"])
            .says(1, &["in use by another capture", &pid]);
        first.stop().says(0, &[]);
        verifies(&journal);
    });
}

#[test]
fn what_is_no_journal_and_cannot_become_one_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("letters"), "mine").unwrap();
    run_in_netns(|_| {
        capture(&["-i", Lab::RECEIVER, "-w", text(&file)]).says(1, &["is not a directory"]);
        capture(&["-i", Lab::RECEIVER, "-w", text(&other)]).says(1, &["not empty and not a journal"]);
        assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
        ran(TAPE, &["info", text(&other)]).says(1, &["other"]);

        let fixed = dir.path().join("fixed");
        small_disk(&fixed, 16 << 20);
        must("mount", &["-o", "remount,ro", text(&fixed)]);
        let journal = fixed.join("j");
        capture(&["-i", Lab::RECEIVER, "-w", text(&journal)]).says(1, &["cannot be written", "read-only"]);
    });
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn too_small_a_disk_is_known_before_the_first_packet() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|_| {
        small_disk(dir.path(), 2 << 20);
        let journal = dir.path().join("j");
        capture(&["-i", Lab::RECEIVER, "-w", text(&journal), "--segment-size", "4MiB"])
            .says(1, &["no room for a segment of 4194304 bytes", "make room"]);
    });
}

#[test]
fn malformed_packets_are_counted_by_reason_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("j");
    run_in_netns(|_| {
        let good = datagram("10.0.0.2", 9, 60);
        let mut bad_sum = good.clone();
        *bad_sum.last_mut().unwrap() ^= 1;
        let mut long = good.clone();
        long[17] = 0xff; // total length beyond the frame
        let mut noise = good.clone();
        noise[14..].iter_mut().for_each(|b| *b = 0xff);
        let live = Live::start(&["-w", text(&journal), "--json"]);
        send_in(&[good, bad_sum, long, noise, vec![0xff; 14], vec![0; 60]]);
        let report = live.stop().says(0, &[]).json();
        adds_up(&report);
        assert_eq!(number(&report, "/packets/on_tape"), 6, "{report}");
        assert!(number(&report, "/packets/rejected") >= 3, "{report}");
        assert_eq!(number(&report, "/verdicts/udp-bad-checksum"), 1, "{report}");
        assert_eq!(packets_on(&journal).len(), 6);
        verifies(&journal);
    });
}
