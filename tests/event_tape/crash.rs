//! What a kill, a full disk or retention leaves.

use super::common::run_in_netns;
use super::made::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use wiretape::events::tape::{Capture, State};
use wiretape::pipeline::{Hooks, run};
use wiretape::tape::events::EventsOptions;
use wiretape::tape::outcome::Outcome;

const CHILD: &str = "WIRETAPE_TEST_EVENT_TAPE_CHILD";

struct Telling;
impl Hooks for Telling {
    fn ready(&mut self, _: &str) {
        std::io::stderr().write_all(b"\nready\n").unwrap();
    }
}

/// Not a test by itself: captures a file until it is killed.
#[test]
fn child_that_captures_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let dir = Path::new(&dir);
    run(config(from_file(&dir.join("f.pcap")), &dir.join("j"), 1), &mut Telling).unwrap();
}

#[test]
fn what_a_killed_capture_leaves_is_a_prefix_and_can_be_made_whole() {
    let rounds: u64 = std::env::var("WIRETAPE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let dir = tempfile::tempdir().unwrap();
    let (file, journal) = (dir.path().join("f.pcap"), dir.path().join("j"));
    pcap(&file, &datagrams(9, 20_000), &[]);
    let mut cut = 0;
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::child_that_captures_until_it_is_killed",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        std::thread::sleep(Duration::from_millis(20 + (round * 7919) % 400));
        child.kill().unwrap();
        child.wait().unwrap();
        // As it was left: nobody has tidied up.
        let (outcome, said) = decode(&journal, &EventsOptions::default());
        assert_eq!(outcome, Outcome::Good, "round {round}: {said}");
        // The next start ends journal and event tape.
        let small = dir.path().join("small.pcap");
        pcap(&small, &datagrams(1, 5), &[]);
        capture(from_file(&small), &journal, 1);
        for tape in event_tapes(&journal) {
            // Killed before it was described: nothing is in it.
            let Some(Capture { state, .. }) = Capture::read(&tape).unwrap() else { continue };
            assert!(matches!(state, State::Sealed | State::Cut), "{state:?}");
            cut += u64::from(state == State::Cut);
        }
        let (outcome, said) = decode(&journal, &EventsOptions::default());
        assert_eq!(outcome, Outcome::Good, "round {round}: {said}");
        let (outcome, said) = decode(&journal, &EventsOptions { rebuild: true, ..EventsOptions::default() });
        assert_eq!(outcome, Outcome::Good, "{said}");
        is_same(&journal);
    }
    assert!(cut > 0, "no kill came before the end");
}

#[test]
fn a_full_disk_for_events_stops_them_and_not_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (file, journal) = (dir.path().join("f.pcap"), dir.path().join("j"));
    pcap(&file, &datagrams(10, 5_000), &[]);
    run_in_netns(|_| {
        // The first capture makes the directory; a small disk goes where its event tapes would.
        capture(from_file(&file), &journal, 1);
        std::fs::remove_dir_all(journal.join("events")).unwrap();
        std::fs::create_dir(journal.join("events")).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=262144", "tmpfs"])
            .arg(journal.join("events"))
            .status()
            .unwrap();
        assert!(mounted.success());
        let report = capture(from_file(&file), &journal, 1);
        let events = report.events.clone().unwrap();
        assert_eq!(events.state, "stopped", "{events:?}");
        assert!(events.reason.contains("No space left"), "{events:?}");
        assert!(report.warnings.iter().any(|w| w.contains("the event tape was stopped after")), "{report:?}");
        assert!(events.packets < report.packets.on_tape && report.lossless() && report.adds_up());
        let (outcome, said) = decode(&journal, &EventsOptions::default());
        assert_eq!(outcome, Outcome::Good, "{said}");
        assert!(Command::new("umount").arg(journal.join("events")).status().unwrap().success());
        let (outcome, said) = decode(&journal, &EventsOptions { rebuild: true, ..EventsOptions::default() });
        assert_eq!(outcome, Outcome::Good, "{said}");
        is_same(&journal);
    });
}
