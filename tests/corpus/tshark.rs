//! What tshark says of a capture file.

use std::path::Path;
use std::process::Command;

/// One frame.
#[derive(Debug)]
pub(crate) struct Row {
    /// Absent for what is no packet (and in classic pcap).
    pub(crate) interface: Option<u32>,
    /// Absent if the record has no time.
    pub(crate) ns: Option<u64>,
    pub(crate) captured: u64,
    pub(crate) wire_len: u64,
}

/// All frames, and what tshark complained of.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    pub(crate) unknown_link: bool,
    pub(crate) error: Option<String>,
}

pub(crate) fn read(path: &Path) -> Answer {
    let fields = ["frame.interface_id", "frame.time_epoch", "frame.cap_len", "frame.len"];
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields"]).args(fields.iter().flat_map(|field| ["-e", field]));
    let output = command.arg("-r").arg(path).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    let rows = String::from_utf8_lossy(&output.stdout).lines().map(row).collect();
    let unknown_link = complaints.contains("unknown or unsupported");
    Answer { rows, unknown_link, error: (!output.status.success()).then_some(complaints) }
}

fn row(line: &str) -> Row {
    let fields: Vec<&str> = line.split('\t').collect();
    let [interface, time, captured, wire_len] = fields[..] else { panic!("tshark printed {line:?}") };
    let (captured, wire_len) = (captured.parse().unwrap(), wire_len.parse().unwrap());
    Row { interface: interface.parse().ok(), ns: nanoseconds(time), captured, wire_len }
}

/// `1340954905.298858000` in nanoseconds, without going through a float.
fn nanoseconds(time: &str) -> Option<u64> {
    let (seconds, fraction) = time.split_once('.')?;
    assert_eq!(fraction.len(), 9, "{time}");
    Some(seconds.parse::<u64>().unwrap() * 1_000_000_000 + fraction.parse::<u64>().unwrap())
}
