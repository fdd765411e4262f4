//! Archives whose structures somebody changed at random: whatever they claim, `verify`, `show` and `extract` say what is
//! wrong, and neither stumble nor write more than the archive says that it holds.

use std::fs;
use std::path::Path;

use nightvault_core::Class;
use nightvault_core::catalog::Selector;
use nightvault_core::environment::Environment;
use nightvault_core::operation::{self, Extraction, Wanted};

use super::fixtures::{Packed, pack};
use crate::restore::damage::{config, context};
use crate::support::nightvault::Nightvault;
use crate::verify::{back_up, installation};

/// Changes of each archive.
const CHANGES: u64 = 150;
/// Bytes at an archive's end in which most of them are made: its directory, here.
const END: usize = 1200;
/// What a size, an offset or a count is set to.
const EXTREMES: [u64; 6] = [0, 1, u16::MAX as u64, u32::MAX as u64 - 1, u32::MAX as u64, u64::MAX - 40];

/// Numbers that are the same in every run (xorshift: <https://doi.org/10.18637/jss.v008.i14>).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// Changes a few fields.
fn changed(whole: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..=numbers.below(3) {
        let end = numbers.below(END.min(bytes.len()));
        let at = if numbers.below(4) > 0 { bytes.len() - 1 - end } else { numbers.below(bytes.len()) };
        match numbers.below(4) {
            0 => bytes[at] ^= 1 << numbers.below(8),
            1 => bytes.truncate(at.max(1)),
            _ => {
                let value = EXTREMES[numbers.below(EXTREMES.len())].to_le_bytes();
                let wide = [1, 2, 4, 8][numbers.below(4)].min(bytes.len() - at);
                bytes[at..at + wide].copy_from_slice(&value[..wide]);
            }
        }
    }
    bytes
}

/// Bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            let found = fs::symlink_metadata(entry.path()).expect("it is there");
            if found.is_dir() { size(&entry.path()) } else { found.len() }
        })
        .sum()
}

async fn survives(folder: &Path, whole: &[u8], what: &str) {
    let environment = Environment::with_stores(config(), vec![], vec![]);
    let path = folder.join("hostile.zip");
    let selector = Selector::Path(path.clone());
    let mut refused = 0;
    for seed in 1..=CHANGES {
        let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        fs::write(&path, changed(whole, &mut numbers)).expect("written");
        let of = Wanted { backup: selector.clone(), disks: vec![] };
        let to = folder.join("out");
        let extraction = Extraction {
            of: of.clone(),
            to: to.clone(),
            databases: vec![],
            files: vec![],
            patterns: vec![],
            gunzip: true,
        };
        let ends = [
            operation::verify(&environment, &selector, None, &[], &context()).await.err().map(|it| it.error),
            operation::show(&environment, &of, &context()).await.err(),
            operation::extract(&environment, &extraction, &context()).await.err().map(|it| it.error),
        ];
        for error in ends.iter().flatten() {
            assert_ne!(error.class(), Class::Bug, "{what}, change {seed}: {}", error.chain());
        }
        refused += u64::from(ends.iter().any(Option::is_some));
        assert!(size(&to) < 1 << 20, "{what}, change {seed}: more was written than is in it");
        if to.exists() {
            fs::remove_dir_all(&to).expect("removed");
        }
    }
    assert!(refused > CHANGES / 2, "{what}: only {refused} of {CHANGES} changes were told");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_that_were_changed_at_random_are_never_stumbled_over() {
    let nightvault = installation();
    let archive = back_up(&nightvault, "2024-01-15");
    survives(nightvault.folder(), &fs::read(archive).expect("an archive"), "ours").await;
    for packed in [Packed::Aes256, Packed::ZipCrypto, Packed::Plain, Packed::BsdtarPlain] {
        let nightvault = Nightvault::local("clinic");
        let archive = pack(packed, &nightvault.folder().join("source"), nightvault.folder());
        survives(nightvault.folder(), &fs::read(archive).expect("an archive"), &format!("{packed:?}")).await;
    }
}
