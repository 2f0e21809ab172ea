//! `docs/failure-modes.md` promises nothing that no test shows.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

fn sources(dir: &Path, found: &mut String) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Names of functions that follow `#[test]`, other attributes between them or not.
fn tests_in(source: &str) -> BTreeSet<&str> {
    let behind = source.split("#[test]").skip(1);
    behind.filter_map(|text| text.split_once("fn ")?.1.split_once('(').map(|(name, _)| name)).collect()
}

#[test]
fn each_row_of_the_failure_modes_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut source = String::new();
    sources(&root.join("tests"), &mut source);
    sources(&root.join("src"), &mut source);
    let tests = tests_in(&source);
    let page = std::fs::read_to_string(root.join("docs/failure-modes.md")).unwrap();
    let rows: Vec<_> = page
        .lines()
        .filter(|l| l.starts_with("| ") && !l.starts_with("| what") && !l.starts_with("| ---"))
        .collect();
    assert!(rows.len() > 30);
    for row in rows {
        let shown_by = row.trim_end_matches('|').replace("\\|", "").rsplit('|').next().unwrap().to_owned();
        let names: Vec<_> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || shown_by.trim_start().starts_with("none: "), "no test in: {row}");
        for name in names {
            assert!(tests.contains(name), "no test {name}, named in: {row}");
        }
    }
}
