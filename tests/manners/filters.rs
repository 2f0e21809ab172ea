//! Filters: compiled as tcpdump does, run in the kernel, and the same on files.

use crate::common::{need_tool, run_in_netns};
use crate::support::*;
use serde_json::Value;
use std::path::Path;
use wiretape::lab::net::Lab;

const EXPRESSIONS: [&str; 4] =
    ["udp port 5001", "vlan 7 and udp", "tcp[tcpflags] & tcp-syn != 0", "ip6 or len > 900"];

#[test]
fn compiled_programs_print_as_tcpdump_prints_them() {
    if !need_tool("tcpdump") {
        return;
    }
    run_in_netns(|_| {
        for dump in ["-d", "-dd", "-ddd"] {
            for expression in EXPRESSIONS {
                let theirs = must("tcpdump", &["-i", Lab::RECEIVER, dump, expression]);
                assert_eq!(must(WIRETAPE, &["capture", "-i", Lab::RECEIVER, dump, expression]), theirs);
            }
        }
        capture(&["-i", Lab::RECEIVER, "-d", "udp portt 53"]).says(2, &["udp portt 53", "syntax error"]);
        capture(&["-i", Lab::RECEIVER, "-d"]).says(2, &["give an expression"]);
    });
}

/// A live capture of 40 packets to four ports, with `words`; its report.
fn live(words: &[&str]) -> Value {
    let live = Live::start(&[&["--json"], words].concat());
    send_in(&mixed(40));
    let report = live.stop().says(0, &[]).json();
    adds_up(&report);
    report
}

#[test]
fn each_way_to_give_a_filter_works_in_the_kernel_and_on_a_file_alike() {
    let dir = tempfile::tempdir().unwrap();
    let (file, bpf) = (dir.path().join("a.pcap"), dir.path().join("port.bpf"));
    pcap(&file, &mixed(40));
    run_in_netns(|_| {
        std::fs::write(&bpf, must(WIRETAPE, &["capture", "-i", Lab::RECEIVER, "-ddd", "udp port 5001"]))
            .unwrap();
        for words in [&["-f", "udp port 5001"][..], &["udp", "port", "5001"], &["--bpf", text(&bpf)]] {
            let from_kernel = live(words);
            // The kernel counts what the filter let through, and nothing else.
            assert_eq!(number(&from_kernel, "/packets/received"), 10, "{words:?}: {from_kernel}");
            let from_file = report_of(&[&["-r", text(&file)], words].concat());
            assert_eq!(number(&from_file, "/packets/received"), 10, "{words:?}: {from_file}");
            assert_eq!(number(&from_file, "/packets/filtered"), 30, "{words:?}: {from_file}");
        }
        assert_eq!(
            number(&live(&["-Q", "inout", "--queues", "2", "udp port 5001"]), "/packets/received"),
            10
        );
    });
}

#[test]
fn a_bpf_file_that_is_none_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (file, bpf) = (dir.path().join("a.pcap"), dir.path().join("odd.bpf"));
    pcap(&file, &mixed(1));
    std::fs::write(&bpf, "3\n40 0 0 12\n").unwrap();
    capture(&["-r", text(&file), "--bpf", text(&bpf)]).says(2, &["odd.bpf"]);
    capture(&["-r", text(&file), "--bpf", "/nonexistent.bpf"]).says(1, &["/nonexistent.bpf"]);
}

#[test]
fn without_libpcap_expressions_are_refused_with_the_mend_and_all_else_works() {
    let dir = tempfile::tempdir().unwrap();
    let (file, bpf) = (dir.path().join("a.pcap"), dir.path().join("port.bpf"));
    pcap(&file, &mixed(40));
    run_in_netns(|_| {
        std::fs::write(&bpf, must(WIRETAPE, &["capture", "-i", Lab::RECEIVER, "-ddd", "udp port 5001"]))
            .unwrap();
        // In this thread's mount namespace the library is an empty file.
        let cache = must("sh", &["-c", "ldconfig -p 2>/dev/null | sed -n 's/.*libpcap.so.* => //p'"]);
        let mut libraries: Vec<_> = cache.lines().filter_map(|l| Path::new(l).canonicalize().ok()).collect();
        libraries.sort();
        libraries.dedup();
        for library in &libraries {
            must("mount", &["--bind", "/dev/null", text(library)]);
        }
        for words in [["-i", Lab::RECEIVER], ["-r", text(&file)]] {
            capture(&[&words[..], &["udp", "port", "5001"]].concat())
                .says(1, &["libpcap", "install", "--bpf"]);
        }
        let report = report_of(&["-r", text(&file), "--bpf", text(&bpf)]);
        assert_eq!(number(&report, "/packets/received"), 10);
        assert_eq!(number(&live(&["--bpf", text(&bpf)]), "/packets/received"), 10);
    });
}

const FEEDS: &str = r#"
[[feed]]
name = "left"
protocol = "moldudp64-itch50"
group = "239.7.7.7"
port = 5001

[[feed]]
name = "right"
protocol = "moldudp64"
group = "239.8.8.8"
port = 5002
interface = "wt1"

[[feed]]
name = "elsewhere"
protocol = "moldudp64"
group = "239.9.9.9"
port = 5003
interface = "eth9"
"#;

/// The kernel's list writes a group as the hexadecimal of its bytes in memory (here: of a little-endian machine).
fn joined(group: [u8; 4]) -> bool {
    let hex = format!("{:08X}", u32::from_le_bytes(group));
    std::fs::read_to_string("/proc/thread-self/net/igmp").unwrap().contains(&hex)
}

#[test]
fn configured_groups_are_joined_filtered_for_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("feeds.toml");
    std::fs::write(&config, FEEDS).unwrap();
    run_in_netns(|_| {
        assert!(!joined([239, 7, 7, 7]));
        let live = Live::start(&["--config", text(&config), "--join", "239.1.1.1", "--json"]);
        assert!(joined([239, 7, 7, 7]) && joined([239, 8, 8, 8]) && joined([239, 1, 1, 1]));
        assert!(!joined([239, 9, 9, 9]), "that feed is of another interface");
        let mut mold = b"SESSION001\0\0\0\0\0\0\0\x01\0\0".to_vec();
        mold.resize(20, 0);
        let mut heartbeat = datagram("239.7.7.7", 5001, 20);
        let at = heartbeat.len() - 20;
        heartbeat[at..].copy_from_slice(&mold);
        heartbeat[40..42].copy_from_slice(&[0, 0]); // no UDP checksum
        send_in(&[
            heartbeat,
            datagram("239.7.7.7", 5002, 20), // right group, wrong port
            datagram("239.9.9.9", 5003, 20),
            datagram("10.0.0.2", 5001, 20),
        ]);
        let report = live.stop().says(0, &[]).json();
        assert_eq!(number(&report, "/packets/received"), 1, "{report}");
        let names: Vec<_> = report["feeds"].as_array().unwrap().iter().map(|f| f["name"].clone()).collect();
        assert_eq!(names, ["left", "right"], "{report}");
        assert_eq!(number(&report, "/feeds/0/heartbeats"), 1, "{report}");
        assert!(!joined([239, 7, 7, 7]), "left again");
    });
}

#[test]
fn feeds_of_other_interfaces_alone_are_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("feeds.toml");
    std::fs::write(&config, &FEEDS[FEEDS.find("[[feed]]\nname = \"elsewhere\"").unwrap()..]).unwrap();
    run_in_netns(|_| {
        capture(&["-i", Lab::RECEIVER, "--config", text(&config)]).says(2, &["another interface than wt1"]);
    });
}

#[test]
fn config_check_says_what_a_file_means_or_where_it_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("good.toml"), dir.path().join("bad.toml"));
    std::fs::write(&good, FEEDS).unwrap();
    std::fs::write(&bad, FEEDS.replace("port = 5002", "port = 70000")).unwrap();
    let said = must(WIRETAPE, &["config", "check", text(&good)]);
    assert!(said.contains("239.7.7.7 port 5001") && said.contains("good.toml: ok, 3 feeds"), "{said}");
    let json: Value =
        serde_json::from_str(&must(WIRETAPE, &["config", "check", "--json", text(&good)])).unwrap();
    assert_eq!(number(&json, "/feeds/1/lines/0/port"), 5002);
    ran(WIRETAPE, &["config", "check", text(&bad)])
        .says(1, &["bad.toml:12:8: port 70000", "between 1 and 65535"]);
    ran(WIRETAPE, &["config", "check", "/nonexistent.toml"]).says(1, &["/nonexistent.toml"]);
    capture(&["-r", "x", "--config", text(&bad)]).says(2, &["bad.toml:12:8"]);
}
