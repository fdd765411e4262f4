//! The demonstration, as a newcomer runs it, and what it leaves behind.

use std::path::Path;
use std::process::Command;

use crate::support::nightvault::Nightvault;
use crate::support::program;

#[test]
fn the_demonstration_leaves_an_archive_that_opens_without_us_and_holds_the_clinic() {
    let nightvault = Nightvault::local("unused");
    let folder = nightvault.folder().join("demo");
    let report = nightvault.ok(&["demo", "--dir", &folder.display().to_string()]);
    assert_eq!(report["backup"]["status"], "stored");
    assert_eq!(report["backup"]["disks"][0]["verified"], "full");
    assert_eq!(report["monitor"]["healthy"], true);
    assert_eq!(report["cleanup"]["dry_run"], true);
    assert_eq!(report["compared"]["rows"], report["backup"]["sources"][0]["rows"]);

    let password = std::fs::read_to_string(folder.join("password.txt")).expect("a password file");
    let archive = report["archive"].as_str().expect("a path");
    let out = nightvault.folder().join("out");
    let mut arguments = vec!["x".to_owned(), "-y".to_owned(), format!("-p{}", password.trim_end())];
    arguments.extend([format!("-o{}", out.display()), archive.to_owned()]);
    let run = |name: &str| Command::new(name).args(&arguments).output();
    // Distributions name it differently.
    let output = run("7zz").or_else(|_| run("7z")).expect("7-Zip is installed");
    assert!(output.status.success(), "{}", program::text(&output));

    let rows = |path: &Path| -> i64 {
        let connection = rusqlite::Connection::open(path).expect("a database");
        let sql = "SELECT (SELECT count(*) FROM patients) + (SELECT sum(cents) FROM invoices WHERE id < 4000)";
        connection.query_row(sql, [], |row| row.get(0)).expect("a sum")
    };
    assert_eq!(rows(&out.join("db-dumps/clinic.sqlite")), rows(&folder.join("clinic/clinic.sqlite")));
    let letter = "2026/Überweisung für Zoë.txt";
    assert_eq!(
        std::fs::read(out.join("files/documents").join(letter)).expect("the document came back"),
        std::fs::read(folder.join("clinic/documents").join(letter)).expect("the document is there"),
    );
}

#[test]
fn the_demonstration_touches_no_folder_that_holds_something() {
    let nightvault = Nightvault::local("unused");
    let folder = nightvault.folder().join("thesis");
    std::fs::create_dir(&folder).expect("a new folder");
    std::fs::write(folder.join("thesis.txt"), "precious").expect("a new file");
    let said = nightvault.fails(2, &["demo", "--dir", &folder.display().to_string()]);
    assert!(said.stderr.contains("not empty"), "{said:?}");
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 1);
}
