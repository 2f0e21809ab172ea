//! Any bytes as a configuration, as a journal's description, and as the judge's own record in it: checked without a
//! panic; what is accepted has a filter, and reads back as it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use wiretape::config::Config;
use wiretape::filter::{GroupPort, for_groups};
use wiretape::journal::Description;
use wiretape::validate::{Judge, JudgeConfig};

fn configuration(bytes: &[u8]) {
    let Ok(config) = Config::parse(Path::new("feeds.toml"), bytes) else { return };
    let groups = config.feeds.iter().map(|f| GroupPort { group: f.group, port: Some(f.port), source: f.source });
    let groups: Vec<_> = groups.collect();
    // Too many groups for one program is an answer; a panic is none.
    drop(for_groups(&groups));
}

fn description(text: &str) {
    let Ok(description) = toml::from_str::<Description>(text) else { return };
    let again = toml::to_string(&description).expect("what was read can be written");
    assert_eq!(toml::from_str::<Description>(&again).as_ref(), Ok(&description));
}

fn judge(text: &str) {
    let Ok(config) = toml::from_str::<JudgeConfig>(text) else { return };
    let again = toml::to_string(&config).expect("what was read can be written");
    assert_eq!(toml::from_str::<JudgeConfig>(&again).as_ref(), Ok(&config));
    if config.max_streams <= 16 {
        assert!(Judge::new(&config).feeds().len() <= config.feeds.len());
    }
}

fuzz_target!(|bytes: &[u8]| {
    configuration(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    description(text);
    judge(text);
});
