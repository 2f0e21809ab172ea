//! `wiretape gen`: what it writes is read by others as it was meant.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod common;

use common::need_tool;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use wiretape::cli::engine::feed_config_text;
use wiretape::config::Config;
use wiretape::feed::FeedProtocol;
use wiretape::lab::fault::{Damage, Fault};
use wiretape::lab::r#gen::{Content, GenOptions, Output, run};
use wiretape::lab::plan::{FeedPlan, LinePlan, PlannedFault};
use wiretape::lab::rhythm::Rhythm;
use wiretape::lab::send::Pace;

fn tshark(file: &std::path::Path, args: &[&str]) -> Vec<String> {
    let out = Command::new("tshark").args(["-nr", file.to_str().unwrap()]).args(args).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn tshark_reads_every_feed_frame_and_finds_the_one_bad_checksum() {
    if !need_tool("tshark") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("feed.pcap");
    let faults =
        vec![PlannedFault::new(100, Fault::Gap(5)), PlannedFault::new(200, Fault::Damage(Damage::Checksum))];
    let options = GenOptions {
        content: Content::Feed(FeedPlan { faults, rhythm: Rhythm::even(1000), ..FeedPlan::default() }),
        output: Output::File { path: path.clone(), pace: Pace::Planned },
        answers: Some(dir.path().join("answers.json")),
    };
    let report = run(&options, &AtomicBool::new(false)).unwrap();
    let answers = report.answers.unwrap();
    assert_eq!(report.sent.frames, answers.packets);

    let checked = ["-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"];
    let lines = tshark(&path, &[&checked[..], &["-T", "fields", "-e", "udp.checksum.status"]].concat());
    assert_eq!(lines.len() as u64, answers.packets);
    let bad = lines.iter().position(|status| status != "1");
    assert_eq!(bad, Some(usize::try_from(answers.faults[1].frames[0]).unwrap()));
    assert_eq!(lines.iter().filter(|status| *status != "1").count(), 1);

    let times = tshark(&path, &["-T", "fields", "-e", "frame.time_epoch", "-c", "2"]);
    assert_eq!(times, ["1767623400.000010000", "1767623400.001010000"]);

    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("answers.json")).unwrap()).unwrap();
    assert_eq!(json["answers"]["lines"][0]["missing_messages"], 5);
    assert_eq!(json["answers"]["lines"][0]["rejected"]["udp-bad-checksum"], 1);
    assert_eq!(json["answers"]["faults"][0]["fault"], "gap");
}

#[test]
fn plain_frames_are_sound_packets_of_every_kind() {
    if !need_tool("tshark") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plain.pcap");
    let options = GenOptions {
        content: Content::Plain { seed: 1, frames: 120, shapes: Vec::new() },
        output: Output::File { path: path.clone(), pace: Pace::Flood },
        answers: None,
    };
    run(&options, &AtomicBool::new(false)).unwrap();
    let fields = ["-o", "udp.check_checksum:TRUE", "-T", "fields", "-e", "udp.checksum.status"];
    assert_eq!(tshark(&path, &fields), vec!["1"; 120]);
    for (filter, expected) in [("vlan", 80), ("ipv6", 60), ("ieee8021ad", 40), ("frame.len == 9000", 12)] {
        assert_eq!(tshark(&path, &["-Y", filter]).len(), expected, "{filter}");
    }
    // A plan that cannot be judged, and a directory that is not there, are errors that say so.
    let error = run(
        &GenOptions { output: Output::File { path: "/nowhere/x".into(), pace: Pace::Flood }, ..options },
        &AtomicBool::new(false),
    );
    assert!(error.unwrap_err().to_string().starts_with("cannot write /nowhere/x: "));
}

#[test]
fn the_configuration_that_is_written_describes_the_feed() {
    let dir = tempfile::tempdir().unwrap();
    for (_, protocol) in FeedProtocol::ALL {
        let lines = vec![LinePlan::usual(0), LinePlan::usual(1)];
        let plan = FeedPlan { protocol, lines, ..FeedPlan::default() };
        let path = dir.path().join(protocol.name());
        std::fs::write(&path, feed_config_text(&plan).unwrap()).unwrap();
        let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let [feed] = &config.feeds[..] else { panic!("one feed") };
        let expected = plan.feed_config("generated");
        assert_eq!((&feed.lines, feed.protocol, feed.limits), (&expected.lines, protocol, expected.limits));
        assert!(protocol != FeedProtocol::Sequenced || feed.layout == expected.layout);
    }
}
