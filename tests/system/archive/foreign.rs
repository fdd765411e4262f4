//! Readers that are not ours.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nightvault_core::config::Compression;

use super::{Given, MODIFIED, PASSWORD, write};
use crate::support::program::{run, stdout, text};

fn seven_zip(arguments: &[&str]) -> Command {
    // The package of Debian 12 names it `7zz`, newer ones `7z`.
    let name = ["7zz", "7z"].into_iter().find(|name| Command::new(name).output().is_ok()).expect("7-Zip is installed");
    let mut command = Command::new(name);
    command.args(arguments).arg(format!("-p{PASSWORD}")).args(["-bd", "-y"]);
    command
}

fn bsdtar(arguments: &[&str]) -> Command {
    let mut command = Command::new("bsdtar");
    command.args(["--passphrase", PASSWORD]).args(arguments);
    command
}

/// A script that extracts an archive through PHP's own class. Not through `getStream`: libzip 1.7 says "CRC error" at the
/// end of every AE-2 stream of 20 bytes and more, those of 7-Zip included, after all bytes were right.
const PHP: &str = r#"
[, $archive, $password, $folder] = $argv;
$zip = new ZipArchive;
if ($zip->open($archive, ZipArchive::RDONLY | ZipArchive::CHECKCONS) !== true) { fwrite(STDERR, "no archive"); exit(1); }
$zip->setPassword($password);
if (!$zip->extractTo($folder)) { fwrite(STDERR, $zip->getStatusString()); exit(1); }
"#;

fn php(archive: &str, folder: &str) -> Command {
    let mut command = Command::new("php");
    command.args(["-r", PHP, "--", archive, PASSWORD, folder]);
    command
}

fn contents() -> Vec<u8> {
    let text = "INSERT INTO t VALUES (1,'äöü');\n".repeat(60_000).into_bytes();
    let noise = (0..300_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8);
    text.iter().copied().chain(noise).chain(text.iter().copied()).collect()
}

fn entries<'a>(large: &'a [u8]) -> Vec<Given<'a>> {
    vec![
        ("db-dumps/clinic.sql", 0o100_600, large),
        ("db-dumps/empty.sqlite", 0o100_600, b""),
        ("files/set/", 0o40_750, b""),
        ("files/set/Ärzte und Pflege/", 0o40_755, b""),
        ("files/set/Ärzte und Pflege/Übersicht 日本語 🩺.txt", 0o100_640, "Grüße".as_bytes()),
        ("files/set/12:30 at 50%? <ok>.txt", 0o100_644, b"times have colons"),
        ("files/set/back\\slash", 0o100_644, b"one name, no folder"),
        ("files/set/run.sh", 0o100_755, b"#!/bin/sh\n"),
        ("files/set/link", 0o120_777, "Ärzte und Pflege/Übersicht 日本語 🩺.txt".as_bytes()),
    ]
}

/// What was extracted must be what was given: contents, modes and times where the reader restores such.
fn assert_extracted(folder: &Path, entries: &[Given], reader: &str) {
    for (name, mode, contents) in entries {
        let path = folder.join(name);
        // libarchive cannot decrypt the target of a link. It says so and exits with 1, but everything else is there.
        if reader == "bsdtar" && mode >> 12 == 0o12 {
            continue;
        }
        let metadata = fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{reader}: {name}: {e}"));
        match mode >> 12 {
            0o04 => assert!(metadata.is_dir(), "{reader}: {name}"),
            // PHP knows no links; it writes the target into a file.
            0o12 if reader == "7-zip" => {
                let target = fs::read_link(&path).unwrap_or_else(|e| panic!("{reader}: {name}: {e}"));
                assert_eq!(target.as_os_str().as_encoded_bytes(), *contents, "{reader}: {name}");
                continue;
            }
            _ => assert!(fs::read(&path).unwrap() == *contents, "{reader}: {name} has other contents"),
        }
        if reader != "php" {
            assert_eq!(metadata.permissions().mode() & 0o7777, mode & 0o7777, "{reader}: mode of {name}");
            let modified = std::os::unix::fs::MetadataExt::mtime(&metadata);
            assert_eq!(modified, MODIFIED, "{reader}: time of {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_zip_bsdtar_and_php_open_what_we_write() {
    let large = contents();
    let entries = entries(&large);
    for compression in [Compression::Deflate(1), Compression::Deflate(3), Compression::Store] {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("a.zip");
        write(&archive, compression, &entries).await;
        let archive = archive.to_str().unwrap();

        let listing = stdout(&mut seven_zip(&["l", "-slt", archive]));
        assert!(listing.contains("AES-256 "), "{listing}");
        assert!(stdout(&mut seven_zip(&["t", archive])).contains("Everything is Ok"));
        for (reader, extract) in [
            ("7-zip", &(|to: &str| seven_zip(&["x", archive, &format!("-o{to}")])) as &dyn Fn(&str) -> Command),
            ("bsdtar", &|to| bsdtar(&["-xpf", archive, "-C", to])),
            ("php", &|to| php(archive, to)),
        ] {
            let to = folder.path().join(reader);
            fs::create_dir(&to).unwrap();
            let output = run(&mut extract(to.to_str().unwrap()));
            let said = text(&output);
            let links_only = reader == "bsdtar" && said.contains("decompression of link entry");
            assert!(output.status.success() || links_only, "{reader}: {said}");
            assert!(!links_only || said.lines().filter(|line| line.contains("link entry")).count() == 1, "{said}");
            assert_extracted(&to, &entries, reader);
            assert!(to.join("index.jsonl").exists() && to.join("manifest.json").exists(), "{reader}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seventy_thousand_entries_need_zip64_and_are_all_found() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("a.zip");
    let names: Vec<String> = (0..70_000).map(|number| format!("files/set/{number}/")).collect();
    // Directories: they cost no derivation of keys.
    let mut entries: Vec<Given> = names.iter().map(|name| (name.as_str(), 0o40_755, b"".as_slice())).collect();
    entries.push(("files/set/last", 0o100_644, b"the last one"));
    write(&archive, Compression::Deflate(1), &entries).await;
    let archive = archive.to_str().unwrap();
    assert_eq!(stdout(&mut bsdtar(&["-tf", archive])).lines().count(), 70_003);
    let listing = stdout(&mut seven_zip(&["l", archive]));
    assert!(listing.contains("3 files, 70000 folders"), "{}", &listing[listing.len() - 200..]);
    assert_eq!(stdout(&mut seven_zip(&["x", "-so", archive, "files/set/last"])), "the last one");
    assert_eq!(stdout(&mut bsdtar(&["-xOf", archive, "files/set/last"])), "the last one");
    let count = r#"$z = new ZipArchive; $z->open($argv[1]); $z->setPassword($argv[2]);
        echo $z->numFiles, " ", $z->getFromName("files/set/last");"#;
    let counted = stdout(Command::new("php").args(["-r", count, "--", archive, PASSWORD]));
    assert_eq!(counted, "70003 the last one");
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_zip_and_bsdtar_tell_a_flipped_bit_and_a_wrong_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zip");
    write(&path, Compression::Deflate(3), &[("files/set/a", 0o100_644, &contents())]).await;
    let archive = path.to_str().unwrap();
    let mut wrong = Command::new("bsdtar");
    assert!(!run(wrong.args(["--passphrase", "wrong", "-xOf", archive])).status.success());
    let mut file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(5000)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(5000)).unwrap();
    file.write_all(&[byte[0] ^ 4]).unwrap();
    assert!(!run(&mut seven_zip(&["t", archive])).status.success());
    assert!(!run(&mut bsdtar(&["-xOf", archive])).status.success());
}
