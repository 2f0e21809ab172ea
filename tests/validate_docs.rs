//! `docs/validation.md` against the tables in the code: every number, name and meaning, and no other.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
use wiretape::packet::{Findings, Verdict};

const PAGE: &str = include_str!("../docs/validation.md");

/// The cells of the table rows between a heading and the next.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let section = PAGE.split(&format!("\n## {heading}\n")).nth(1).expect("the heading is on the page");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_page_lists_every_verdict_by_number_name_and_meaning_and_names_a_source() {
    let rows = rows("Verdicts");
    let listed: Vec<[&str; 3]> = rows.iter().map(|row| [&*row[0], &*row[1], &*row[2]]).collect();
    let numbers: Vec<String> = Verdict::ALL.iter().map(|(verdict, ..)| verdict.0.to_string()).collect();
    let names: Vec<String> = Verdict::ALL.iter().map(|(_, name, _)| format!("`{name}`")).collect();
    let coded: Vec<[&str; 3]> = Verdict::ALL
        .iter()
        .zip(numbers.iter().zip(&names))
        .map(|((_, _, meaning), (number, name))| [&**number, &**name, *meaning])
        .collect();
    assert_eq!(listed, coded);
    assert!(rows.iter().all(|row| row.len() == 4 && !row[3].is_empty()), "each row names its source");
}

#[test]
fn verdict_numbers_are_unique_and_ascending() {
    assert!(Verdict::ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[test]
fn the_page_lists_every_finding_by_bit_and_name() {
    let listed: Vec<(String, String)> =
        rows("Findings").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let coded: Vec<(String, String)> =
        Findings::NAMES.iter().map(|(bit, name)| (bit.to_string(), format!("`{name}`"))).collect();
    assert_eq!(listed, coded);
}
