//! What the runbook says of itself: every block is tested, every command exists, every link leads somewhere.

use std::collections::BTreeSet;

use super::desk::{BLOCKS, blocks, runbook};
use crate::support::nightvault::Nightvault;

#[test]
fn every_marked_block_is_run_by_a_test() {
    let marked: BTreeSet<String> = blocks().into_iter().map(|(mark, _)| mark).filter(|mark| !mark.is_empty()).collect();
    assert_eq!(marked, BLOCKS.iter().map(|name| (*name).to_owned()).collect());
    // And each name stands in a test that runs it.
    let folder = format!("{}/system/runbook", env!("CARGO_MANIFEST_DIR"));
    let tests: String = ["../runbook.rs", "desk.rs", "tables.rs", "tenants.rs", "vault.rs"]
        .iter()
        .map(|file| std::fs::read_to_string(format!("{folder}/{file}")).unwrap())
        .collect();
    for name in BLOCKS {
        let mentions = ["run(", "fails(", "output(", "value_after(", "desk, "];
        assert!(mentions.iter().any(|call| tests.contains(&format!("{call}\"{name}\""))), "no test runs {name}");
    }
}

#[test]
fn no_command_that_restores_stands_in_a_block_that_is_not_run() {
    for (mark, text) in blocks() {
        for program in ["7z ", "bsdtar ", "createdb ", "psql ", "mysql ", "pg_dump ", "sqlite3 ", "aws ", "cp "] {
            assert!(!mark.is_empty() || !text.contains(program), "an unmarked block has {program}: {text}");
        }
    }
}

/// The words behind `nightvault ` in code, up to the end of the code.
fn commands(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("nightvault "));
    let lines = text.lines().filter_map(|line| line.strip_prefix("nightvault "));
    quoted.chain(lines).map(str::to_owned).collect()
}

#[test]
fn every_command_of_nightvault_in_the_runbook_exists() {
    let nightvault = Nightvault::local("clinic");
    // Fences would count as quotes.
    let found = commands(&runbook().replace("```", ""));
    assert!(found.len() >= 4, "{found:?}");
    for command in found {
        let mut words: Vec<&str> = command.split_whitespace().collect();
        words.push("--help");
        let said = nightvault.run(&words);
        assert_eq!(said.code, 0, "{command}: {said:?}");
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(said.stdout.contains(option), "{command} has no {option}");
        }
    }
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_within_the_runbook_leads_to_a_heading() {
    let text = runbook();
    let headings: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect();
    let mut links = 0;
    for link in text.split("](#").skip(1) {
        let link = link.split(')').next().unwrap();
        assert!(headings.contains(link), "nothing is called {link}: {headings:?}");
        links += 1;
    }
    assert!(links > 20, "only {links} links were found");
}
