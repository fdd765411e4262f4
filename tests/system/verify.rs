//! `verify` and `show`, as an operator runs them: damage and a wrong password are told apart, what was found is noted,
//! shown by `list` and heeded by `cleanup`.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::nightvault::Nightvault;
use crate::support::s3;

const DAYS: [&str; 3] = ["2024-01-13", "2024-01-14", "2024-01-15"];

fn key(day: &str) -> String {
    format!("clinic/{day}-02-00-00.zip")
}

/// An installation with a SQLite database and some files, not backed up yet.
pub(crate) fn installation() -> Nightvault {
    let mut nightvault = Nightvault::local("clinic");
    let database = nightvault.folder().join("clinic.sqlite");
    rusqlite::Connection::open(&database)
        .and_then(|it| {
            it.execute_batch(
                "CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
                 INSERT INTO patients VALUES (1, 'Zoë'), (2, 'O''Hara'), (3, 'line\nbreak');
                 CREATE TABLE visits (id INTEGER PRIMARY KEY, patient INTEGER REFERENCES patients);",
            )
        })
        .expect("a new database");
    let docs = nightvault.folder().join("docs");
    fs::create_dir_all(docs.join("2024/letters")).expect("new folders");
    fs::write(docs.join("2024/letters/a.txt"), "Dear Zoë").expect("a new file");
    fs::write(docs.join("b.txt"), "b".repeat(3000)).expect("a new file");
    nightvault
        .set("DATABASE_URL", &format!("sqlite://{}", database.display()))
        .set("BACKUP_FILES", &docs.display().to_string())
        // A run that reads everything back notes it: these tests are about what `verify` notes.
        .set("BACKUP_VERIFY", "tail");
    nightvault
}

/// Makes the backup of a day.
pub(crate) fn back_up(nightvault: &Nightvault, day: &str) -> PathBuf {
    let time = format!("{day}T02:00:00Z");
    let report = nightvault.ok(&["run", "--no-notify", "--scheduled-time", &time]);
    assert_eq!(report["key"], key(day));
    nightvault.archive(&key(day))
}

/// Three megabytes that nothing compresses.
fn noise() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..3_000_000).map(step).collect()
}

/// Flips the lowest bit of the byte at `offset`.
pub(crate) fn flip(archive: &PathBuf, offset: usize) {
    let mut bytes = fs::read(archive).expect("an archive");
    bytes[offset] ^= 1;
    fs::write(archive, bytes).expect("a damaged archive");
}

/// The first backup in what `verify --json` printed.
fn first(report: &Value) -> Value {
    report["disks"][0]["backups"][0].clone()
}

/// What `list` says of the proof of a day's backup.
fn proof(nightvault: &Nightvault, day: &str) -> Value {
    let list = nightvault.ok(&["list"]);
    let backups = list["disks"][0]["backups"].as_array().expect("a list of backups").clone();
    let backup = backups.into_iter().find(|backup| backup["key"] == key(day)).expect("the backup is listed");
    backup["proof"].clone()
}

#[test]
fn a_whole_backup_is_read_to_its_last_byte_and_list_shows_it() {
    let nightvault = installation();
    let archive = back_up(&nightvault, DAYS[0]);
    let size = fs::metadata(&archive).expect("an archive").len();
    let report = nightvault.ok(&["verify"]);
    let backup = first(&report);
    assert_eq!((&report["whole"], &backup["verdict"]), (&json!(true), &json!("whole")));
    assert_eq!((&backup["tables"], &backup["rows"], &backup["size"]), (&json!(2), &json!(3), &json!(size)));
    assert!(backup["bytes_read"].as_u64() >= Some(size), "every byte was fetched: {backup}");
    assert_eq!(backup["recorded"]["whole"], true);
    assert_eq!(proof(&nightvault, DAYS[0]), backup["recorded"]);
    let text = nightvault.run(&["list"]).stdout;
    assert!(text.contains("whole on 20"), "{text}");
    // The note is no backup, no foreign file, and not in the way of anything.
    assert_eq!(nightvault.ok(&["list"])["disks"][0]["foreign"], json!([]));
    assert!(nightvault.run(&["verify", "--all"]).stdout.contains("is whole: every byte was read"));
}

#[test]
fn each_kind_of_damage_ends_with_3_is_named_and_is_noted() {
    let nightvault = installation();
    let archive = back_up(&nightvault, DAYS[0]);
    let good = fs::read(&archive).expect("an archive");
    // Offsets by the format: a local header has 30 bytes, then the name; the data of the first entry follow.
    let name = b"db-dumps/clinic.sqlite";
    assert_eq!(&good[30..30 + name.len()], name);
    let end = good.len();
    let flipped = |offset: usize| {
        let mut bytes = good.clone();
        bytes[offset] ^= 0x10;
        bytes
    };
    let zeroed = |range: std::ops::Range<usize>| {
        let mut bytes = good.clone();
        bytes[range].fill(0);
        bytes
    };
    for (what, bytes, told) in [
        ("a byte of a local header", flipped(12), "local header of \"db-dumps/clinic.sqlite\""),
        ("a letter of a name", flipped(32), "local header of \"db-dumps/clinic.sqlite\""),
        ("a byte of the dump", flipped(400), "\"db-dumps/clinic.sqlite\" is damaged"),
        ("a hole in the dump", zeroed(200..500), "\"db-dumps/clinic.sqlite\""),
        ("the last byte", flipped(end - 1), "end"),
        ("the number of entries", flipped(end - 12), "end"),
        ("the central directory", flipped(end - 160), "central directory"),
        ("cut in the middle", good[..end / 2].to_vec(), "the end is not that of a whole archive"),
        ("cut by one byte", good[..end - 1].to_vec(), "the end is not that of a whole archive"),
        ("longer by one byte", [good.as_slice(), b"x"].concat(), "the end is not that of a whole archive"),
        ("zeros at the end", zeroed(end - 600..end), "the end is not that of a whole archive"),
        ("rubbish", vec![7; end], "the end is not that of a whole archive"),
    ] {
        fs::write(&archive, &bytes).expect("a damaged archive");
        let said = nightvault.fails(3, &["verify"]);
        assert!(said.stdout.contains("is DAMAGED since 20"), "{what}: {said:?}");
        assert!(said.stderr.contains(told), "{what}: {said:?}");
        assert!(!said.all().contains("PASSWORD"), "{what}: {said:?}");
        let list = nightvault.ok(&["list"]);
        assert_eq!(list["disks"][0]["backups"][0]["proof"]["whole"], false, "{what}: {list}");
    }
    fs::write(&archive, &good).expect("the whole archive");
    // Another file has no proof, until it is verified.
    assert_eq!(proof(&nightvault, DAYS[0]), Value::Null);
    nightvault.ok(&["verify"]);
    assert_eq!(proof(&nightvault, DAYS[0])["whole"], true);
}

#[test]
fn a_wrong_password_is_told_from_damage_and_says_nothing_about_the_backup() {
    let mut nightvault = installation();
    let archive = back_up(&nightvault, DAYS[0]);
    nightvault.ok(&["verify"]);
    let noted = proof(&nightvault, DAYS[0]);
    nightvault.set("BACKUP_ARCHIVE_PASSWORD", "another-password-that-is-long-enough-0123456789");
    let said = nightvault.fails(3, &["verify"]);
    assert!(said.stdout.contains("the PASSWORD is wrong") && !said.stdout.contains("DAMAGED"), "{said:?}");
    assert!(said.stderr.contains("wrong password") && said.stderr.contains("hint:"), "{said:?}");
    let report = nightvault.fails(3, &["--json", "verify"]).json();
    assert_eq!(report["error_type"], "WrongPassword");
    assert_eq!(first(&report["report"])["verdict"], "wrong_password");
    assert_eq!(proof(&nightvault, DAYS[0]), noted, "nothing was noted");
    for command in [&["show", "latest"][..], &["extract", "latest", "--to", "out"]] {
        assert!(nightvault.fails(3, command).stderr.contains("wrong password"));
    }
    assert!(!nightvault.folder().join("out").exists());

    // The right password, and damage right where a password is tried first: the salt of the manifest.
    nightvault.set("BACKUP_ARCHIVE_PASSWORD", crate::support::nightvault::PASSWORD);
    let bytes = fs::read(&archive).expect("an archive");
    let name = b"manifest.json";
    let manifest = bytes.windows(name.len()).position(|window| window == name).expect("a manifest");
    // Behind the name: 20 + 9 + 11 bytes of extra fields, then the salt.
    flip(&archive, manifest + name.len() + 40);
    let said = nightvault.fails(3, &["verify"]);
    assert!(said.stdout.contains("is DAMAGED") && said.stderr.contains("the password is the right one"), "{said:?}");
}

#[test]
fn a_backup_that_was_swapped_renamed_or_replayed_is_damage() {
    let nightvault = installation();
    let archives = DAYS.map(|day| back_up(&nightvault, day));
    // Yesterday's under today's name.
    fs::copy(&archives[1], &archives[2]).expect("a copy");
    let said = nightvault.fails(3, &["verify"]);
    assert!(said.stderr.contains(&key(DAYS[1])), "the original is named: {said:?}");
    let report = nightvault.fails(3, &["--json", "verify", "--all"]).json();
    let verdicts: Vec<&Value> =
        report["report"]["disks"][0]["backups"].as_array().expect("backups").iter().map(|it| &it["verdict"]).collect();
    assert_eq!(verdicts, [&json!("damaged"), &json!("whole"), &json!("whole")], "damage does not end --all");
    // Two that were swapped.
    let (one, other) = (fs::read(&archives[0]).expect("bytes"), fs::read(&archives[1]).expect("bytes"));
    fs::write(&archives[0], other).expect("a swap");
    fs::write(&archives[1], one).expect("a swap");
    for day in &DAYS[..2] {
        nightvault.fails(3, &["verify", day]);
        nightvault.fails(3, &["show", day]);
        nightvault.fails(3, &["extract", day, "--to", "out"]);
    }
    assert!(!nightvault.folder().join("out").exists(), "nothing was extracted");
}

#[test]
fn a_backup_is_named_by_its_date_and_what_is_not_there_is_told() {
    let nightvault = installation();
    DAYS.iter().for_each(|day| _ = back_up(&nightvault, day));
    assert_eq!(first(&nightvault.ok(&["verify"]))["key"], key(DAYS[2]));
    assert_eq!(first(&nightvault.ok(&["verify", DAYS[0]]))["key"], key(DAYS[0]));
    assert_eq!(first(&nightvault.ok(&["verify", &key(DAYS[1])]))["key"], key(DAYS[1]));
    let said = nightvault.fails(2, &["verify", "2024-01"]);
    assert!(said.stderr.contains("fits 3 backups"), "{said:?}");
    for command in [&["verify", "2024-02-01"][..], &["show", "2024-02-01"], &["extract", "x", "--to", "out"]] {
        assert!(nightvault.fails(1, command).stderr.contains("the newest is clinic/2024-01-15-02-00-00.zip"));
    }
    nightvault.fails(2, &["verify", "--disk", "nas"]);
}

#[test]
fn show_tells_what_is_inside_from_the_end_alone() {
    let nightvault = installation();
    fs::write(nightvault.folder().join("docs/scan.bin"), noise()).expect("a large file");
    let archive = back_up(&nightvault, DAYS[0]);
    // Nothing but the end is looked at.
    flip(&archive, 400);
    let report = nightvault.ok(&["show", "latest"]);
    let database = &report["manifest"]["databases"][0];
    assert_eq!((&database["engine"], &database["rows"]), (&json!("SQLite"), &json!(3)));
    assert_eq!(report["manifest"]["files"][0]["files"], 3);
    let (read, size) = (report["bytes_read"].as_u64(), report["size"].as_u64());
    assert!(read <= Some(1 << 20) && size > Some(3_000_000), "{read:?} of {size:?}");
    let text = nightvault.run(&["show", DAYS[0]]).stdout;
    for line in ["database clinic", "patients", "visits", "files docs: 3 files", "never verified", "from disk local"] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    nightvault.fails(3, &["verify"]);
    assert!(nightvault.run(&["show", DAYS[0]]).stdout.contains("DAMAGED since 20"));
}

/// What a cleanup of two years later would delete.
fn doomed(nightvault: &Nightvault) -> Vec<String> {
    let plan = nightvault.ok(&["cleanup", "--at", "2034-01-16T12:00:00Z"]);
    let decisions = plan["disks"][0]["decisions"].as_array().expect("decisions").clone();
    let doomed = decisions.into_iter().filter(|it| it["keep"] == json!(false));
    doomed.map(|it| it["key"].as_str().expect("a key").to_owned()).collect()
}

#[test]
fn cleanup_never_deletes_the_newest_that_was_verified_whole_and_nothing_while_the_newest_is_damaged() {
    let nightvault = installation();
    let archives = DAYS.map(|day| back_up(&nightvault, day));
    assert_eq!(doomed(&nightvault), [key(DAYS[1]), key(DAYS[0])]);
    nightvault.ok(&["verify", DAYS[0]]);
    assert_eq!(doomed(&nightvault), [key(DAYS[1])]);
    // Everything is held for the damaged one.
    flip(&archives[2], 400);
    nightvault.fails(3, &["verify"]);
    assert_eq!(doomed(&nightvault), Vec::<String>::new());
    let plan = nightvault.run(&["cleanup", "--at", "2034-01-16T12:00:00Z"]);
    assert!(plan.stdout.contains("nothing is deleted"), "{plan:?}");
    // A newer one that is whole lets it go on.
    back_up(&nightvault, "2024-01-16");
    nightvault.ok(&["verify"]);
    assert_eq!(doomed(&nightvault), [key(DAYS[2]), key(DAYS[1]), key(DAYS[0])]);
}

#[test]
fn a_real_cleanup_deletes_nothing_while_the_newest_is_damaged_and_says_so() {
    let mut nightvault = installation();
    // One backup alone is over the limit, so that all but the newest are due to go.
    fs::write(nightvault.folder().join("docs/scan.bin"), noise()).expect("a large file");
    nightvault.set("BACKUP_DELETE_OLDEST_OVER_MB", "1");
    #[allow(clippy::disallowed_methods, reason = "the command under test reads the clock too")]
    let now = jiff::Timestamp::now();
    let days = [3, 2, 1].map(|days| (now - jiff::SignedDuration::from_hours(24 * days)).to_string()[..10].to_owned());
    let archives = days.each_ref().map(|day| back_up(&nightvault, day));
    flip(&archives[2], 400);
    nightvault.fails(3, &["verify"]);
    let said = nightvault.fails(1, &["cleanup", "--no-notify"]);
    assert!(said.stderr.contains("is known to be damaged"), "{said:?}");
    assert!(archives.iter().all(|archive| archive.exists()));
    // What is noted about the other two is that they are not known; a whole newest lets the policy work again.
    fs::remove_file(&archives[2]).expect("the damaged one");
    nightvault.ok(&["verify"]);
    let report = nightvault.ok(&["cleanup", "--no-notify"]);
    assert_eq!(report["disks"][0]["deleted"], 1);
    assert!(archives[1].exists() && !archives[0].exists());
    assert_eq!(
        fs::read_dir(nightvault.vault().join("clinic")).expect("the vault").count(),
        4,
        "notes of deleted ones go, the audit trail stays"
    );
}

#[test]
fn a_run_that_reads_everything_back_notes_that_it_is_whole() {
    let mut nightvault = installation();
    back_up(&nightvault, DAYS[0]);
    assert_eq!(proof(&nightvault, DAYS[0]), Value::Null);
    nightvault.set("BACKUP_VERIFY", "full");
    back_up(&nightvault, DAYS[1]);
    let noted = proof(&nightvault, DAYS[1]);
    assert_eq!(noted["whole"], true);
    // A local disk is read whole by default.
    nightvault.unset("BACKUP_VERIFY");
    back_up(&nightvault, DAYS[2]);
    assert_eq!(proof(&nightvault, DAYS[2])["whole"], true);
    // Cleanup heeds it: the newest that is known to be whole stays, however old it is.
    fs::remove_file(nightvault.archive(&key(DAYS[2]))).expect("the newest");
    nightvault.set("BACKUP_VERIFY", "tail");
    back_up(&nightvault, DAYS[2]);
    assert_eq!(doomed(&nightvault), [key(DAYS[0])]);
    // A repeated run changes nothing.
    back_up(&nightvault, DAYS[1]);
    assert_eq!(proof(&nightvault, DAYS[1]), noted);
}

#[test]
fn a_run_whose_note_cannot_be_written_is_a_success_with_a_warning() {
    let mut nightvault = installation();
    nightvault.set("BACKUP_VERIFY", "full");
    let place = nightvault.vault().join(format!("clinic/.{}-02-00-00.zip.nightvault-notes.json", DAYS[0]));
    fs::create_dir_all(place.join("in the way")).expect("a folder where the note belongs");
    let time = format!("{}T02:00:00Z", DAYS[0]);
    let report = nightvault.ok(&["run", "--no-notify", "--scheduled-time", &time]);
    assert_eq!((&report["status"], &report["disks"][0]["verified"]), (&json!("stored"), &json!("full")));
    let warning = report["warnings"][0].as_str().expect("a warning");
    assert!(warning.starts_with("disk local: what was verified could not be noted beside the backup: "), "{report}");
}

#[test]
fn the_monitor_tells_every_backup_that_is_known_to_be_damaged() {
    let mut nightvault = installation();
    nightvault.set("BACKUP_MONITOR_SAMPLE", "0");
    nightvault.set("BACKUP_MAX_AGE_DAYS", "3650");
    let finding = |nightvault: &Nightvault, code: i32| {
        let report = nightvault.fails(code, &["--json", "monitor", "--no-notify"]).json();
        let findings = report["disks"][0]["findings"].as_array().expect("findings").clone();
        let found = findings.into_iter().find(|finding| finding["check"] == "verified").expect("the check is made");
        (found["status"].as_str().expect("a status").to_owned(), found["message"].as_str().expect("words").to_owned())
    };
    let archives = [back_up(&nightvault, DAYS[0]), back_up(&nightvault, DAYS[1])];
    nightvault.ok(&["verify"]);
    let (status, message) = finding(&nightvault, 0);
    assert_eq!((status.as_str(), message.ends_with("verified whole: 1 of 2")), ("ok", true), "{message}");
    // The older one: its end is whole, so that nothing else would tell.
    flip(&archives[0], 400);
    nightvault.fails(3, &["verify", DAYS[0]]);
    let (status, message) = finding(&nightvault, 1);
    assert_eq!((status.as_str(), message), ("unhealthy", format!("1 backup is known to be damaged: {}", key(DAYS[0]))));
    // Notes that nobody can read are no proof of health.
    fs::write(nightvault.vault().join("clinic/.2024-01-13-02-00-00.zip.nightvault-notes.json"), "{").expect("a note");
    let (status, message) = finding(&nightvault, 0);
    assert!(status == "warning" && message.starts_with("not checked"), "{message}");
}

#[test]
fn notes_that_cannot_be_read_stop_the_cleanup_and_not_the_verification() {
    let nightvault = installation();
    back_up(&nightvault, DAYS[0]);
    let notes = nightvault.vault().join("clinic/.2024-01-13-02-00-00.zip.nightvault-notes.json");
    fs::write(&notes, "{").expect("damaged notes");
    let said = nightvault.fails(3, &["cleanup", "--dry-run"]);
    assert!(said.stderr.contains("nothing is deleted") && said.stderr.contains("nightvault-notes"), "{said:?}");
    nightvault.ok(&["list"]);
    nightvault.ok(&["verify"]);
    nightvault.ok(&["cleanup", "--dry-run"]);
}

#[test]
fn slices_go_on_where_the_last_one_ended_until_every_piece_was_read() {
    let nightvault = installation();
    fs::write(nightvault.folder().join("docs/scan.bin"), noise()).expect("a large file");
    back_up(&nightvault, DAYS[0]);
    let noted = proof(&nightvault, DAYS[0]);
    let mut expected = 0;
    for round in 0..2 {
        let mut covered = Value::Null;
        for slice in 0..3 {
            let report = nightvault.ok(&["verify", "--sample", "34%"]);
            assert_eq!(report["whole"], false, "a slice is not the whole");
            let backup = first(&report);
            assert_eq!((&backup["verdict"], &backup["recorded"]), (&json!("sampled"), &Value::Null));
            let read = &backup["slice"];
            assert_eq!(read["first"], expected, "round {round}, slice {slice}: {read}");
            let (next, pieces) = (read["next"].as_u64().expect("a number"), read["pieces"].as_u64());
            assert!(backup["bytes_read"].as_u64() > read["bytes"].as_u64(), "{backup}");
            expected = if Some(next) == pieces { 0 } else { next };
            covered = read["covered"].clone();
            if expected == 0 {
                break;
            }
        }
        assert_eq!(expected, 0, "every piece was read");
        assert!(covered.is_string());
    }
    assert_eq!(proof(&nightvault, DAYS[0]), noted, "slices are no proof of the whole");
    assert!(nightvault.run(&["verify", "--sample", "100%"]).stdout.contains("every piece was read, in slices"));
    assert!(nightvault.run(&["list"]).stdout.contains("tail; slices covered it on "));
}

#[test]
fn what_a_slice_finds_damaged_is_noted_and_makes_monitor_unhealthy_until_it_is_gone() {
    let mut nightvault = installation();
    nightvault.set("BACKUP_MAX_AGE_DAYS", "3650");
    let archives = [DAYS[0], DAYS[1]].map(|day| back_up(&nightvault, day));
    let report = nightvault.ok(&["monitor", "--no-notify"]);
    let samples = report["disks"][0]["samples"].as_array().expect("samples").clone();
    let keys: Vec<&Value> = samples.iter().map(|sample| &sample["key"]).collect();
    assert_eq!(keys, [&json!(key(DAYS[1])), &json!(key(DAYS[0]))], "the newest, and the one not read for the longest");
    assert!(samples.iter().all(|sample| sample["verdict"] == "sampled"), "{samples:?}");
    nightvault.set("BACKUP_MONITOR_SAMPLE", "0");
    assert_eq!(nightvault.ok(&["monitor", "--no-notify"])["disks"][0]["samples"], json!([]));

    // A bit of the older one's dump: its first piece.
    flip(&archives[0], 200);
    nightvault.set("BACKUP_MONITOR_SAMPLE", "100%");
    let said = nightvault.fails(1, &["monitor", "--no-notify"]);
    assert!(said.stdout.contains(&format!("{} is damaged: ", key(DAYS[0]))), "{said:?}");
    assert_eq!(proof(&nightvault, DAYS[0])["whole"], false);
    nightvault.set("BACKUP_MONITOR_SAMPLE", "0");
    let said = nightvault.fails(1, &["monitor", "--no-notify"]);
    assert!(said.stdout.contains("1 backup is known to be damaged: "), "{said:?}");
    fs::remove_file(&archives[0]).expect("the damaged one");
    nightvault.ok(&["monitor", "--no-notify"]);

    flip(&archives[1], 200);
    let said = nightvault.fails(3, &["verify", "--sample", "1%"]);
    assert!(said.stdout.contains("is DAMAGED since 20"), "{said:?}");
}

/// Points the installation to a bucket.
fn use_bucket(nightvault: &mut Nightvault, bucket: &s3::Bucket) {
    nightvault
        .set("BACKUP_DISK", "s3")
        .set("AWS_BUCKET", &bucket.name)
        .set("AWS_ENDPOINT", &bucket.endpoint)
        .set("AWS_USE_PATH_STYLE_ENDPOINT", "true")
        .set("AWS_DEFAULT_REGION", "us-east-1")
        .set("AWS_ACCESS_KEY_ID", s3::KEY_ID)
        .set("AWS_SECRET_ACCESS_KEY", s3::SECRET);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_tags_is_told_and_verifies_all_the_same() {
    let bucket = s3::bucket().await;
    let mut nightvault = installation();
    use_bucket(&mut nightvault, &bucket);
    back_up(&nightvault, DAYS[0]);
    let backup = first(&nightvault.ok(&["verify"]));
    assert_eq!((&backup["verdict"], &backup["recorded"]), (&json!("whole"), &Value::Null));
    assert!(backup["not_recorded"].as_str().expect("a reason").contains("no place for notes"), "{backup}");
    assert!(nightvault.run(&["verify"]).stdout.contains("not noted beside the backup"));
    let slice = first(&nightvault.ok(&["verify", "--sample", "50%"]))["slice"].clone();
    assert_eq!((&slice["by_day"], &slice["covered"]), (&json!(true), &Value::Null), "{slice}");
    assert!(nightvault.run(&["verify", "--sample", "50%"]).stdout.contains("the part of this day"));
    assert_eq!(proof(&nightvault, DAYS[0]), Value::Null);
    nightvault.ok(&["cleanup", "--dry-run"]);
    nightvault.ok(&["extract", "latest", "--to", "out"]);
    assert!(nightvault.folder().join("out/files/docs/b.txt").exists());
    bucket.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_is_a_tag_of_the_object_and_other_tags_stay() {
    let bucket = s3::aws_bucket().await;
    let mut nightvault = installation();
    use_bucket(&mut nightvault, &bucket);
    back_up(&nightvault, DAYS[0]);
    let tag = aws_sdk_s3::types::Tag::builder().key("owner").value("it").build().expect("a tag");
    let tagging = aws_sdk_s3::types::Tagging::builder().tag_set(tag).build().expect("tags");
    let put = bucket.client.put_object_tagging().bucket(&bucket.name).key(key(DAYS[0])).tagging(tagging);
    put.send().await.expect("a tagged object");
    let backup = first(&nightvault.ok(&["verify"]));
    assert_eq!(backup["recorded"]["whole"], true, "{backup}");
    assert_eq!(proof(&nightvault, DAYS[0]), backup["recorded"]);
    let tags = bucket.client.get_object_tagging().bucket(&bucket.name).key(key(DAYS[0])).send().await.expect("tags");
    let mut names: Vec<&str> = tags.tag_set().iter().map(|tag| tag.key()).collect();
    names.sort_unstable();
    assert_eq!(names, ["nightvault-verified", "owner"]);
    // Overwritten by somebody: another version, without a proof, and damage.
    let body = aws_sdk_s3::primitives::ByteStream::from_static(b"garbage");
    bucket.client.put_object().bucket(&bucket.name).key(key(DAYS[0])).body(body).send().await.expect("garbage");
    assert_eq!(proof(&nightvault, DAYS[0]), Value::Null);
    nightvault.fails(3, &["verify"]);
    assert_eq!(proof(&nightvault, DAYS[0])["whole"], false);
    bucket.remove().await;
}
