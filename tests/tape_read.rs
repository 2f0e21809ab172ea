//! `tape read` beside tcpdump and tshark, and on journals.

mod tape_common;

use tape_common::{START_NS, captures, feed, mold_frame, other, tape, tape_ok, write_journal};
use wiretape::packet::LinkType;

#[test]
fn every_capture_file_gives_one_line_for_each_packet_that_capinfos_counts() {
    let files: Vec<String> = captures().iter().map(|p| p.display().to_string()).collect();
    if files.is_empty() {
        return;
    }
    // Files that capinfos cannot read whole are left out of its table.
    let args: Vec<&str> =
        ["-T", "-r", "-m", "-c"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let Some(table) = other("capinfos", &args) else { return };
    assert!(table.lines().count() > files.len() * 9 / 10);
    for (name, theirs) in table.lines().filter_map(|line| line.rsplit_once(',')) {
        let ours = tape_ok(&["read", name]);
        assert_eq!(ours.lines().count().to_string(), theirs, "{name}");
    }
    for name in files {
        let read = tape(&["read", &name]);
        assert!(matches!(read.status.code(), Some(0 | 1)), "{name}: {read:?}");
    }
}

#[test]
fn hex_is_laid_out_as_tcpdump_lays_it_out() {
    let Some(path) = captures().into_iter().find(|p| p.ends_with("nasdaq-itch50-OrderDeleteMessage.pcap"))
    else {
        return;
    };
    let name = path.to_str().expect("plain names");
    for letters in ["-x", "-xx", "-X", "-XX"] {
        let Some(theirs) = other("tcpdump", &["-nn", letters, "-r", name]) else { return };
        let hex = |text: &str| -> Vec<String> {
            text.lines().filter(|l| l.starts_with('\t')).map(str::trim_end).map(str::to_owned).collect()
        };
        let ours = tape_ok(&["read", letters, name]);
        assert_eq!(hex(&ours), hex(&theirs), "{letters}");
    }
}

#[test]
fn filter_words_choose_what_tcpdump_chooses() {
    for path in captures().iter().filter(|p| p.ends_with("feeds/cme-mdp3-volume-both-lines-lossy.pcap")) {
        let name = path.to_str().expect("plain names");
        for words in ["udp", "dst port 14320", "not dst net 224.0.31.0/24", "greater 300 and udp", "tcp"] {
            let Some(theirs) = other("tcpdump", &["-nn", "-r", name, words]) else { return };
            let ours = tape_ok(&["read", name, words]);
            assert_eq!(ours.lines().count(), theirs.lines().count(), "{words}");
        }
        let wrong = tape(&["read", name, "udp", "nonsense", "("]);
        assert_eq!(wrong.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&wrong.stderr).contains("filter `udp nonsense (`"));
    }
}

#[test]
fn a_journal_is_read_in_order_of_stamp_over_its_queues() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("j");
    write_journal(&journal, 2, &feed(40), |_| LinkType::ETHERNET);
    let journal = journal.to_str().expect("plain names");
    let text = tape_ok(&["read", journal]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 40);
    assert!(lines.is_sorted(), "stamps ascend");
    assert!(
        lines[0].starts_with(
            "2023-11-14 22:13:20.123456789 sw IP 10.0.0.1.30001 > 239.1.2.3.26477: UDP, length 48 Mold TAPETEST01 \
             seq 1 count 2"
        ),
        "{}",
        lines[0]
    );
    assert_eq!(lines.iter().filter(|l| l.contains("[gap]")).count(), 2);
    // A segment alone is its queue's part.
    assert_eq!(tape_ok(&["read", &format!("{journal}/q00-000000.pcapng")]).lines().count(), 20);
}

#[test]
fn json_lines_carry_integers_names_and_the_place_on_tape() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("j");
    write_journal(&journal, 2, &feed(30), |_| LinkType::ETHERNET);
    let journal = journal.to_str().expect("plain names");
    let objects: Vec<serde_json::Value> = tape_ok(&["read", "--json", journal])
        .lines()
        .map(|line| serde_json::from_str(line).expect("one object a line"))
        .collect();
    assert_eq!(objects.len(), 30);
    assert_eq!(objects[1]["stamp_ns"], START_NS + 1_000);
    assert_eq!(objects[1]["arrival_ns"], START_NS + 3_000);
    assert_eq!(objects[1]["queue"], 1);
    assert_eq!(objects[1]["verdict"], "accepted");
    assert_eq!(objects[1]["interface"], "test1");
    assert_eq!(objects[1]["moldudp64"]["sequence"], 1);
    assert_eq!(objects[1]["wire_bytes"], mold_frame(1, 2, 0).len());
    let gaps = objects.iter().filter(|o| o["findings"].as_array().is_some_and(|f| f.contains(&"gap".into())));
    assert_eq!(gaps.count(), 2);
}

#[test]
fn begin_end_count_and_verdict_choose_packets() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("j");
    write_journal(&journal, 2, &feed(40), |_| LinkType::ETHERNET);
    let journal = journal.to_str().expect("plain names");
    let count = |words: &[&str]| tape_ok(&[&["read"], words, &[journal]].concat()).lines().count();
    assert_eq!(count(&["--begin", "10us", "--end", "5us"]), 5);
    assert_eq!(count(&["--begin", "-4us"]), 5);
    assert_eq!(count(&["-c", "7"]), 7);
    assert_eq!(count(&["--verdict", "accepted"]), 40);
    assert_eq!(count(&["--verdict", "udp-bad-checksum"]), 0);
    assert_eq!(count(&["-Q", "in"]), 40);
    assert_eq!(count(&["-Q", "out"]), 0);
}

#[test]
fn a_written_selection_opens_in_tshark_with_the_same_packets() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, out) = (dir.path().join("j"), dir.path().join("out.pcapng"));
    write_journal(&journal, 2, &feed(40), |_| LinkType::ETHERNET);
    let (journal, out) = (journal.to_str().expect("plain"), out.to_str().expect("plain"));
    tape_ok(&["read", journal, "-w", out, "-c", "25"]);
    let Some(theirs) = other("tshark", &["-n", "-r", out, "-T", "fields", "-e", "frame.time_epoch"]) else {
        return;
    };
    let times: Vec<&str> = theirs.lines().collect();
    assert_eq!(times.len(), 25);
    assert_eq!(times[1], "1700000000.123457789");
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("j");
    write_journal(
        &journal,
        1,
        &feed(20_000)
            .into_iter()
            .map(|mut m| {
                m.queue = 0;
                m
            })
            .collect::<Vec<_>>(),
        |_| LinkType::ETHERNET,
    );
    let command = format!(
        "set -o pipefail; {} read {} | head -n 1",
        env!("CARGO_BIN_EXE_tape"),
        journal.to_str().expect("plain names")
    );
    let output = std::process::Command::new("bash").args(["-c", &command]).output().expect("bash runs");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}

#[test]
fn what_cannot_be_read_is_named_with_exit_code_1_and_what_cannot_be_understood_with_2() {
    let failure = tape(&["read", "/no/such/journal"]);
    assert_eq!(failure.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failure.stderr).contains("/no/such/journal"));
    let empty = tempfile::tempdir().expect("a directory");
    let failure = tape(&["read", empty.path().to_str().expect("plain")]);
    assert_eq!(failure.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failure.stderr).contains("holds no journal"));
    for wrong in
        [&["read"][..], &["read", "j", "--verdict", "good"], &["read", "j", "-c", "0"], &["play"], &[]]
    {
        assert_eq!(tape(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
