//! Every option of `wiretape capture` has its effect.

use crate::common::{need_tool, run_in_netns};
use crate::support::*;
use std::collections::BTreeMap;
use std::time::Duration;
use wiretape::lab::net::Lab;

#[test]
fn a_snap_length_cuts_what_is_kept_and_not_the_length_on_the_wire() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|_| {
        for mode in ["latency", "throughput"] {
            let journal = dir.path().join(mode);
            let live = Live::start(&["-w", text(&journal), "-s", "60", "--mode", mode]);
            send_in(&mixed(5));
            live.stop().says(0, &[]);
            let lengths: Vec<_> = packets_on(&journal).iter().map(|(b, wire)| (b.len(), *wire)).collect();
            assert_eq!(lengths, [(60, 142); 5], "{mode}");
        }
    });
}

#[test]
fn promiscuous_mode_is_on_unless_p_is_given() {
    if !need_tool("ip") {
        return;
    }
    run_in_netns(|_| {
        for (words, promiscuity) in [(&[][..], "promiscuity 1"), (&["-p"], "promiscuity 0")] {
            let live = Live::start(words);
            let shown = must("ip", &["-d", "link", "show", Lab::RECEIVER]);
            assert!(shown.contains(promiscuity), "{words:?}: {shown}");
            live.stop().says(0, &[]);
        }
    });
}

#[test]
fn directions_select_what_comes_in_what_goes_out_or_both() {
    run_in_netns(|_| {
        for mode in ["latency", "throughput"] {
            for (direction, expected) in [("in", 20), ("out", 10), ("inout", 30), ("both", 30)] {
                let live = Live::start(&["-Q", direction, "--mode", mode, "--json"]);
                send_in(&mixed(20));
                send_from(Lab::RECEIVER, &mixed(10));
                std::thread::sleep(Duration::from_millis(30));
                let report = live.stop().says(0, &[]).json();
                assert_eq!(number(&report, "/packets/received"), expected, "{mode} {direction}: {report}");
            }
        }
    });
}

#[test]
fn a_bare_ring_size_is_kib_and_what_was_granted_is_said() {
    run_in_netns(|_| {
        for (size, granted) in
            [("2048", "ring of 2048 KiB"), ("1MiB", "ring of 1024 KiB"), ("512k", "ring of 512 KiB")]
        {
            let live = Live::start(&["-B", size, "--duration", "100ms"]);
            live.ended().says(0, &[granted]);
        }
    });
}

#[test]
fn stamp_types_are_listed_and_chosen_as_in_tcpdump() {
    if !need_tool("tcpdump") {
        return;
    }
    run_in_netns(|_| {
        let ours = must(WIRETAPE, &["capture", "-i", Lab::RECEIVER, "-J"]);
        let theirs = ran("tcpdump", &["-i", Lab::RECEIVER, "-J"]).err;
        let names = |text: &str| {
            let name = |l: &str| l.split(" (").next().unwrap().to_owned();
            text.lines().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(&ours), names(&theirs));
        let json: serde_json::Value =
            serde_json::from_str(&must(WIRETAPE, &["capture", "-i", Lab::RECEIVER, "-J", "--json"])).unwrap();
        assert_eq!(json[0]["name"], "host");
        // A NIC without stamps: the kernel's, and said so if the NIC's were wanted.
        let live = Live::start(&["-j", "host", "--duration", "100ms"]);
        let host = live.ended();
        assert!(!host.says(0, &["stamps: kernel"]).err.contains("no hardware stamps"), "{host:?}");
        Live::start(&["-j", "adapter", "--duration", "100ms"]).ended().says(0, &["no hardware stamps"]);
        capture(&["-i", Lab::RECEIVER, "--force-hwtstamp"]).says(1, &["hardware stamps"]);
    });
}

#[test]
fn interfaces_are_listed() {
    run_in_netns(|_| {
        let list = must(WIRETAPE, &["capture", "-D"]);
        assert!(list.contains(&format!("{} [Up, Running", Lab::RECEIVER)) && list.contains("lo ["), "{list}");
        let json: serde_json::Value =
            serde_json::from_str(&must(WIRETAPE, &["capture", "-D", "--json"])).unwrap();
        assert!(
            json.as_array().unwrap().iter().any(|i| i["name"] == Lab::RECEIVER && i["mtu_bytes"] == Lab::MTU)
        );
    });
}

/// Threads of a process by name, with their `/proc` directory.
fn threads(pid: u32) -> BTreeMap<String, String> {
    let dir = format!("/proc/{pid}/task");
    let all = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path().display().to_string());
    all.filter_map(|task| {
        Some((std::fs::read_to_string(format!("{task}/comm")).ok()?.trim().to_owned(), task))
    })
    .collect()
}

fn status(task: &str, field: &str) -> String {
    let text = std::fs::read_to_string(format!("{task}/status")).unwrap();
    let line = text.lines().find(|l| l.starts_with(field)).unwrap_or("");
    line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
}

#[test]
fn thread_words_shape_the_threads() {
    run_in_netns(|_| {
        let fused = Live::start(&["--threads", "fused", "--cpus", "0", "--fifo", "7", "--wait", "poll"]);
        let all = threads(fused.pid());
        let task = &all["wt-fused-0"];
        assert!(!all.contains_key("wt-worker-0"), "{all:?}");
        assert_eq!(status(task, "Cpus_allowed_list"), "0");
        let stat = std::fs::read_to_string(format!("{task}/stat")).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // Fields 40 and 41 of proc(5), counted from the state, which is field 3: priority 7 of SCHED_FIFO (1).
        assert_eq!((fields[37], fields[38]), ("7", "1"), "{stat}");
        assert_ne!(status(task, "VmLck"), "0 kB");
        fused.stop().says(0, &[]);

        let split = Live::start(&["--threads", "split", "--queues", "2", "--no-mlock", "--wait", "poll"]);
        let all = threads(split.pid());
        for name in ["wt-capture-0", "wt-worker-0", "wt-capture-1", "wt-worker-1"] {
            assert!(all.contains_key(name), "{name} in {all:?}");
        }
        assert_eq!(status(&all["wt-worker-0"], "VmLck"), "0 kB");
        split.stop().says(0, &["2 queues by hash"]);

        let live = Live::start(&["--cpus", "4095", "--duration", "100ms"]);
        live.ended().says(0, &["cannot pin a thread to CPU 4095"]);
    });
}

#[test]
fn waiting_in_poll_costs_no_cpu_and_spinning_does() {
    run_in_netns(|_| {
        let spent_ticks = |words: &[&str], name: &str| {
            let live = Live::start(words);
            let task = threads(live.pid())[name].clone();
            let ticks = || {
                let stat = std::fs::read_to_string(format!("{task}/stat")).unwrap();
                let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
                fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
            };
            let before = ticks();
            std::thread::sleep(Duration::from_millis(600));
            let spent = ticks() - before;
            live.stop().says(0, &[]);
            spent
        };
        let spun = spent_ticks(&["--threads", "fused"], "wt-fused-0");
        let polled = spent_ticks(&["--threads", "fused", "--wait", "poll"], "wt-fused-0");
        let blocks = spent_ticks(&["--threads", "fused", "--mode", "throughput"], "wt-fused-0");
        assert!(polled <= 3 && blocks <= 3 && spun > polled, "spun {spun}, polled {polled}, blocks {blocks}");
    });
}

#[test]
fn cpu_sleep_states_are_held_off_when_asked() {
    if !std::path::Path::new("/dev/cpu_dma_latency").exists() {
        eprintln!("skipped: no /dev/cpu_dma_latency");
        return;
    }
    run_in_netns(|_| {
        let holds = |words: &[&str]| {
            let live = Live::start(words);
            let links = std::fs::read_dir(format!("/proc/{}/fd", live.pid())).unwrap();
            let held = links
                .filter_map(|e| std::fs::read_link(e.unwrap().path()).ok())
                .any(|target| target.ends_with("cpu_dma_latency"));
            live.stop().says(0, &[]);
            held
        };
        assert!(holds(&["--dma-latency", "0"]) && !holds(&[]));
    });
}

#[test]
fn queues_share_the_packets_and_each_has_its_segments() {
    let dir = tempfile::tempdir().unwrap();
    run_in_netns(|_| {
        for fanout in ["lb", "cpu", "qm", "hash"] {
            let journal = dir.path().join(fanout);
            let words = ["-w", text(&journal), "--queues", "2", "--fanout", fanout, "--json"];
            let live = Live::start(&words);
            live.wait_for(&format!("2 queues by {fanout}"));
            send_in(&mixed(40));
            let report = live.stop().says(0, &[]).json();
            adds_up(&report);
            assert_eq!(packets_on(&journal).len(), 40, "{fanout}");
            let names: Vec<_> = segments(&journal).iter().map(|p| text(p).to_owned()).collect();
            assert!(names[0].contains("q00-") && names[1].contains("q01-"), "{names:?}");
        }
    });
}

#[test]
fn throughput_mode_says_its_retire_time() {
    run_in_netns(|_| {
        let live = Live::start(&["--mode", "throughput", "--retire", "40", "--duration", "100ms"]);
        let ran = live.ended();
        let said =
            ran.err.split("blocks retire after ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        assert!(said.parse::<u64>().unwrap() >= 40_000, "{ran:?}");
    });
}

#[test]
fn feeds_are_recognised_unless_told_not_to() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("feed.pcap");
    must(WIRETAPE, &["gen", "-w", text(&file), "-c", "50"]);
    let feeds = |words: &[&str]| {
        let report = report_of(&[&["-r", text(&file)], words].concat());
        report["feeds"].as_array().unwrap().len()
    };
    assert_eq!((feeds(&[]), feeds(&["--no-recognise"])), (1, 0));
}
