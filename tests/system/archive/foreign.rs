//! Readers that are not ours.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nightvault_core::archive::{ArchiveOptions, ArchiveWriter, EntryMeta};
use nightvault_core::config::Compression;
use nightvault_core::secret::Secret;
use nightvault_core::source::EntrySink;

use super::{Given, MODIFIED, PASSWORD, empty_manifest, write};
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

/// A script that writes every file of an archive below a folder, through PHP's own class.
const PHP: &str = r#"
[, $archive, $password, $folder] = $argv;
$zip = new ZipArchive;
if ($zip->open($archive, ZipArchive::RDONLY | ZipArchive::CHECKCONS) !== true) { fwrite(STDERR, "no archive"); exit(1); }
$zip->setPassword($password);
for ($i = 0; $i < $zip->numFiles; $i++) {
    $name = $zip->getNameIndex($i);
    if (str_ends_with($name, '/')) { @mkdir("$folder/$name", 0777, true); continue; }
    @mkdir(dirname("$folder/$name"), 0777, true);
    $from = $zip->getStream($name);
    if ($from === false) { fwrite(STDERR, "$name: " . $zip->getStatusString()); exit(1); }
    $to = fopen("$folder/$name", 'wb');
    if (stream_copy_to_stream($from, $to) === false || !feof($from)) { fwrite(STDERR, "$name: cut"); exit(1); }
    fclose($to);
}
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
        let metadata = fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{reader}: {name}: {e}"));
        match mode >> 12 {
            0o04 => assert!(metadata.is_dir(), "{reader}: {name}"),
            0o12 if reader != "php" => {
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
            stdout(&mut extract(to.to_str().unwrap()));
            assert_extracted(&to, &entries, reader);
            assert!(to.join("index.jsonl").exists() && to.join("manifest.json").exists(), "{reader}");
        }
    }
}
