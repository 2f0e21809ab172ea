//! What a capture runs on, for `journal.toml`: the facts that explain timing later.
//!
//! Read from `/proc` and `/sys`; what cannot be read is left out, never guessed.

use std::collections::BTreeMap;
use std::fs;

/// The host's facts: kernel, clock source, CPU.
pub fn of_host() -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()) {
            facts.insert(name.to_owned(), value);
        }
    };
    let read = |path: &str| fs::read_to_string(path).ok();
    put("hostname", read("/proc/sys/kernel/hostname"));
    put("kernel", read("/proc/sys/kernel/osrelease").map(|r| format!("Linux {}", r.trim())));
    put("clocksource", read("/sys/devices/system/clocksource/clocksource0/current_clocksource"));
    put("cmdline", read("/proc/cmdline"));
    put("cpu", read("/proc/cpuinfo").and_then(|text| cpu_model(&text)));
    put("cpus", std::thread::available_parallelism().ok().map(|n| n.to_string()));
    facts
}

/// The host's facts and those of one interface: driver, address, MTU, speed.
pub fn of_interface(name: &str) -> BTreeMap<String, String> {
    let mut facts = of_host();
    facts.insert("interface".to_owned(), name.to_owned());
    let dir = format!("/sys/class/net/{name}");
    let driver = fs::read_link(format!("{dir}/device/driver")).ok();
    let driver = driver.and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    if let Some(driver) = driver {
        facts.insert("nic".to_owned(), driver);
    }
    for (fact, file) in
        [("mac", "address"), ("mtu", "mtu"), ("speed_mbps", "speed"), ("tx_queue", "tx_queue_len")]
    {
        if let Ok(value) = fs::read_to_string(format!("{dir}/{file}")) {
            facts.insert(fact.to_owned(), value.trim().to_owned());
        }
    }
    facts
}

/// The host's facts and those of its interfaces: the first one's by their plain names, the others' with
/// the interface's name behind (`mac.eth1`).
pub fn of_interfaces(names: &[String]) -> BTreeMap<String, String> {
    let mut facts = names.first().map_or_else(of_host, |name| of_interface(name));
    let host = of_host();
    for name in names.iter().skip(1) {
        let own = of_interface(name).into_iter().filter(|(fact, _)| !host.contains_key(fact));
        facts.extend(own.map(|(fact, value)| (format!("{fact}.{name}"), value)));
    }
    facts
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|l| l.starts_with("model name"))?;
    Some(line.split_once(':')?.1.to_owned())
}
