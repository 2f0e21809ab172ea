//! `docs/validation.md` against the tables in the code: every number, name and meaning, and no other.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
use wiretape::events::rules::Rule;
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

#[test]
fn the_page_lists_every_rule_by_number_name_severity_and_meaning_and_says_what_its_value_is() {
    let rows = rows("Rules");
    // The tables of the section's subsections come behind the rules.
    let rows: Vec<_> = rows.into_iter().take_while(|row| row[0].parse::<u16>().is_ok()).collect();
    let listed: Vec<&[String]> = rows.iter().map(|row| &row[..4]).collect();
    let coded = Rule::ALL.iter().map(|rule| {
        let number = (*rule as u16).to_string();
        let name = format!("`{}`", rule.name());
        [number, name, rule.severity().name().to_owned(), rule.meaning().to_owned()]
    });
    assert_eq!(listed, coded.collect::<Vec<_>>());
    assert!(rows.iter().all(|row| row.len() == 5 && !row[4].is_empty()));
}

#[test]
fn rule_numbers_are_ascending_and_names_unique() {
    assert!(Rule::ALL.windows(2).all(|pair| (pair[0] as u16) < pair[1] as u16));
    let names: std::collections::HashSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(names.len(), Rule::ALL.len());
}

/// Every configuration that a document shows is taken.
#[test]
fn each_configuration_on_its_page_is_valid() {
    let page = include_str!("../docs/configuration.md");
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let config = wiretape::config::Config::parse(std::path::Path::new("feeds.toml"), block.as_bytes());
        assert_eq!(config.unwrap().feeds.len(), 1);
    }
}
