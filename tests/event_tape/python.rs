//! The official Python packages read an event tape: `databento_dbn` and `databento`, from PyPI, in a place of our own.

use super::common::skip;
use super::made::*;
use dbn::decode::{DbnDecoder, DbnMetadata as _, DecodeRecord as _};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python that has the packages, made if it can be.
fn python() -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-databento");
    let python = home.join("bin/python");
    let works = || {
        let imports = Command::new(&python).args(["-c", "import databento, databento_dbn"]).output();
        imports.is_ok_and(|output| output.status.success())
    };
    if !works() {
        // Whether these succeed shows in what works then.
        let _ = Command::new("python3").args(["-m", "venv"]).arg(&home).output();
        let _ = Command::new(home.join("bin/pip")).args(["install", "--quiet", "databento"]).output();
        if !works() {
            skip("needs python3 with the package databento");
            return None;
        }
    }
    Some(python)
}

#[test]
fn the_official_python_packages_read_the_event_tape() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (file, journal) = (dir.path().join("f.pcap"), dir.path().join("j"));
    pcap(&file, &datagrams(11, 200), &[]);
    capture(from_file(&file), &journal, 1);
    let path = event_tapes(&journal)[0].join("itch/mbo-000000.dbn");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/event_tape.py");
    let output = Command::new(python).arg(script).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();

    let mut decoder = DbnDecoder::from_file(&path).unwrap();
    let metadata = decoder.metadata().clone();
    assert_eq!(seen["schema"], "mbo");
    assert_eq!((seen["dataset"].as_str(), seen["version"].as_u64()), (Some("XNAS.ITCH"), Some(3)));
    assert_eq!(seen["start"].as_u64(), Some(START_NS));
    for mapping in &metadata.mappings {
        assert_eq!(seen["symbols"][&mapping.intervals[0].symbol], mapping.raw_symbol.as_str());
    }
    let mut rows = Vec::new();
    while let Some(mbo) = decoder.decode_record::<dbn::MboMsg>().unwrap() {
        rows.push(serde_json::json!([mbo.hd.ts_event, mbo.ts_recv, mbo.price, mbo.order_id]));
    }
    assert!(rows.len() > 100);
    assert_eq!(seen["rows"], Value::Array(rows));
}
