//! Archives as other programs make them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::nightvault::PASSWORD;
use crate::support::program;

/// Who packed, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    /// PHP's `ZipArchive` with `EM_AES_256`, as `spatie/laravel-backup` does.
    Php,
    /// 7-Zip.
    Aes256,
    Aes192,
    Aes128,
    ZipCrypto,
    Plain,
    /// bsdtar, which streams: data descriptors, sizes behind the data.
    Bsdtar,
    BsdtarPlain,
}

impl Packed {
    pub(super) const ALL: [Self; 8] = [
        Self::Php,
        Self::Aes256,
        Self::Aes192,
        Self::Aes128,
        Self::ZipCrypto,
        Self::Plain,
        Self::Bsdtar,
        Self::BsdtarPlain,
    ];

    /// What `show` calls it.
    pub(super) fn encryption(self) -> &'static str {
        match self {
            Self::Php | Self::Aes256 | Self::Bsdtar => "AES-256",
            Self::Aes192 => "AES-192",
            Self::Aes128 => "AES-128",
            Self::ZipCrypto => "ZipCrypto",
            Self::Plain | Self::BsdtarPlain => "none",
        }
    }
}

/// A dump as mysqldump ends one.
pub(super) fn complete_sql() -> String {
    let mut text = "-- MySQL dump 10.13\n".to_owned();
    for number in 0..500_u64 {
        text.push_str(&format!(
            "INSERT INTO `t` VALUES ({number},'{:x}');\n",
            number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ));
    }
    text.push_str("-- Dump completed on 2024-01-15  2:00:01\n");
    text
}

/// Bytes under gzip.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain");
    fs::write(&plain, bytes).expect("a file");
    let output = Command::new("gzip").arg("-c").arg(&plain).stderr(Stdio::inherit()).output().expect("gzip runs");
    assert!(output.status.success());
    output.stdout
}

/// The application: two dumps, one of them compressed, and files.
fn application(source: &Path) -> Vec<&'static str> {
    fs::create_dir_all(source.join("db-dumps")).expect("folders");
    fs::create_dir_all(source.join("var/www/storage")).expect("folders");
    fs::write(source.join("db-dumps/mysql-clinic.sql"), complete_sql()).expect("a dump");
    fs::write(source.join("db-dumps/postgresql-crm.sql.gz"), gzip(complete_sql().as_bytes())).expect("a dump");
    fs::write(source.join("var/www/storage/Zoë.txt"), "Dear Zoë").expect("a file");
    fs::write(source.join("var/www/%{41}.txt"), [7_u8; 3000]).expect("a file that is named like an escape of ours");
    vec!["db-dumps/mysql-clinic.sql", "db-dumps/postgresql-crm.sql.gz", "var/www/storage/Zoë.txt", "var/www/%{41}.txt"]
}

/// Packs the application at `source` into `old.zip` of `folder`.
pub(super) fn pack(packed: Packed, source: &Path, folder: &Path) -> PathBuf {
    let names = application(source);
    let archive = folder.join("old.zip");
    let seven_zip = |method: &[&str]| {
        let mut command = Command::new("7zz");
        command.args(["a", "-tzip"]).args(method).arg(&archive).args(&names).current_dir(source);
        program::stdout(&mut command);
    };
    let password = format!("-p{PASSWORD}");
    match packed {
        Packed::Php => {
            let read = |name: &&'static str| (*name, fs::read(source.join(name)).expect("a file"));
            let files: Vec<(&str, Vec<u8>)> = names.iter().map(read).collect();
            let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
            php(&archive, &files);
        }
        Packed::Aes256 => seven_zip(&["-mem=AES256", &password]),
        Packed::Aes192 => seven_zip(&["-mem=AES192", &password]),
        Packed::Aes128 => seven_zip(&["-mem=AES128", &password]),
        Packed::ZipCrypto => seven_zip(&["-mem=ZipCrypto", &password]),
        Packed::Plain => seven_zip(&[]),
        Packed::Bsdtar | Packed::BsdtarPlain => {
            let mut command = Command::new("bsdtar");
            command.args(["--format", "zip", "-cf"]).arg(&archive);
            if packed == Packed::Bsdtar {
                command.args(["--options", "zip:encryption=aes256", "--passphrase", PASSWORD]);
            }
            program::stdout(command.env("LC_ALL", "C.UTF-8").args(&names).current_dir(source));
        }
    }
    archive
}

/// Files packed by PHP's `ZipArchive` as `spatie/laravel-backup` does: each with `setEncryptionName(…, EM_AES_256)`.
pub(super) fn php(archive: &Path, files: &[(&str, &[u8])]) {
    const SCRIPT: &str = "$zip = new ZipArchive; $zip->open($argv[1], ZipArchive::CREATE | ZipArchive::OVERWRITE);
        $zip->setPassword($argv[2]);
        for ($i = 3; $i < $argc; $i += 2) {
            $zip->addFromString($argv[$i], file_get_contents($argv[$i + 1]));
            $zip->setEncryptionName($argv[$i], ZipArchive::EM_AES_256) or exit(1);
        }
        $zip->close() or exit(1);";
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("php");
    command.args(["-r", SCRIPT, "--"]).arg(archive).arg(PASSWORD);
    for (number, (name, contents)) in files.iter().enumerate() {
        let path = folder.path().join(number.to_string());
        fs::write(&path, contents).expect("a file");
        command.arg(name).arg(path);
    }
    program::stdout(&mut command);
}

/// An archive of one dump in AE-1: that of 7-Zip, with the other version and the CRC of the contents in both headers. The
/// authentication code is of the ciphertext alone, so it stays. 7-Zip itself is asked whether it is one.
pub(super) fn ae_1(source: &Path, folder: &Path) -> PathBuf {
    application(source);
    let name = "db-dumps/mysql-clinic.sql";
    let (archive, plain) = (folder.join("old.zip"), folder.join("plain.zip"));
    let password = format!("-p{PASSWORD}");
    for (path, method) in [(&archive, vec!["-mem=AES256", &password]), (&plain, vec![])] {
        let mut command = Command::new("7zz");
        program::stdout(command.args(["a", "-tzip"]).args(method).arg(path).arg(name).current_dir(source));
    }
    let unencrypted = fs::read(&plain).expect("an archive");
    let crc = unencrypted[central(&unencrypted) + 16..][..4].to_vec();
    let mut bytes = fs::read(&archive).expect("an archive");
    let directory = central(&bytes);
    bytes[14..18].copy_from_slice(&crc);
    bytes[directory + 16..directory + 20].copy_from_slice(&crc);
    let ae_2 = [0x01, 0x99, 7, 0, 2, 0, b'A', b'E'];
    for at in [0, directory] {
        let found = bytes[at..].windows(8).position(|window| window == ae_2).expect("an AES field");
        bytes[at + found + 4] = 1;
    }
    fs::write(&archive, bytes).expect("an archive");
    program::stdout(Command::new("7zz").args(["t", &password]).arg(&archive));
    archive
}

/// Where the directory of an archive starts.
pub(super) fn central(bytes: &[u8]) -> usize {
    let end = bytes.len() - 22;
    assert_eq!(bytes[end..end + 4], *b"PK\x05\x06", "an archive without a comment");
    u32::from_le_bytes(bytes[end + 16..end + 20].try_into().expect("four bytes")) as usize
}

/// The offset in its local header of the byte at `at`; extra fields, which nobody needs, count as the version.
pub(super) fn local(bytes: &[u8], at: usize) -> Option<usize> {
    let starts = (0..=at).rev().find(|start| bytes[*start..].starts_with(b"PK\x03\x04"))?;
    let short = |at: usize| usize::from(u16::from_le_bytes([bytes[starts + at], bytes[starts + at + 1]]));
    let (offset, name, extra) = (at - starts, short(26), short(28));
    match offset {
        _ if offset < 30 + name => Some(offset),
        _ if offset < 30 + name + extra => Some(4),
        _ => None,
    }
}
