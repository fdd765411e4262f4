//! The whole house in one command: a small clinic is made, backed up into a local vault, listed, watched, taken back
//! and compared, and thinned out on paper.
//!
//! Everything happens in one folder, by the same operations as everything else, with a configuration read from a list
//! of variables instead of the environment (which is not looked at). No service, no account, no network. What is said
//! at the end was measured: rows and bytes are compared one by one with the originals.

mod clinic;
mod compare;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nightvault_core::archive::reader;
use nightvault_core::config::{self, generate_password};
use nightvault_core::environment::Environment;
use nightvault_core::operation::{self, Context, Event, Failed};
use nightvault_core::report::BackupReport;
use nightvault_core::secret::Secret;
use nightvault_core::store::Object;
use nightvault_core::{Class, Error, Result};
use serde_json::json;

use crate::output::human::{plural, size};
use crate::output::{self, Output};

/// Where everything of a demonstration lies.
struct Folders {
    /// The application's data, as it would lie on a server: a database and a folder of documents.
    database: PathBuf,
    documents: PathBuf,
    /// The local disk that takes the backup.
    vault: PathBuf,
    /// What came out of the archive again.
    restored: PathBuf,
    /// The archive's password.
    password: PathBuf,
}

/// Runs the demonstration and returns its exit code.
pub(crate) async fn run(output: &Output, dir: Option<&Path>, context: &Context) -> Result<u8> {
    let say = |text: &str| {
        if !output.is_json() {
            output.text(&format!("{text}\n"));
        }
    };
    let folders = Folders::create(dir)?;
    say("1. A clinic: an SQLite database and a folder of documents");
    let clinic = clinic::create(&folders.database, &folders.documents)?;
    say(&format!(
        "   {} in {}\n   {} in {}\n",
        plural(clinic.rows, "row", "rows"),
        folders.database.display(),
        plural(clinic.files.len() as u64, "document", "documents"),
        folders.documents.display()
    ));

    let password = generate_password()?;
    write_password(&folders.password, &password)?;
    let environment = Environment::open(folders.config(&password)?).await?;
    // The demonstration tells nobody.
    let event = Event { notify: Some(false), ..Event::default() };

    say("2. nightvault run: dump, compress, encrypt, store, read back");
    let backup = operation::backup(&environment, &event, context).await.map_err(|failed| failed.error)?;
    say(&indent(&output::backup::text(&backup)));

    say("3. nightvault list");
    let list = operation::list(&environment, &event, context).await?;
    say(&indent(&output::list::text(&list)));

    say("4. nightvault monitor");
    let monitor = operation::monitor(&environment, &event, context).await.map_err(failure)?;
    say(&indent(&output::monitor::text(&monitor)));

    say("5. Taken back out of the archive and compared with the originals");
    let restored = take_back(&environment, &backup, &password, &folders, &clinic).await?;
    say(&format!(
        "   database: {} in {}, every value the same\n   documents: {}, every byte the same\n",
        plural(restored.rows, "row", "rows"),
        plural(restored.tables, "table", "tables"),
        plural(restored.files, "file", "files"),
    ));

    say("6. nightvault cleanup --dry-run: what the retention policy would do now");
    let event = Event { dry_run: true, ..event };
    let cleanup = operation::cleanup(&environment, &event, context).await.map_err(failure)?;
    say(&indent(&output::cleanup::text(&cleanup)));

    let archive = folders.vault.join(&backup.key);
    if output.is_json() {
        return Ok(output.json(&json!({
            "archive": archive, "password_file": folders.password, "restored": folders.restored,
            "compared": { "tables": restored.tables, "rows": restored.rows, "files": restored.files },
            "backup": output::value(&backup)?, "list": output::value(&list)?,
            "monitor": output::value(&monitor)?, "cleanup": output::value(&cleanup)?,
        })));
    }
    say(&epilogue(&archive, &folders, &backup));
    Ok(0)
}

fn failure<R>(failed: Failed<R>) -> Error {
    failed.error
}

/// What was taken back and found to be the same.
struct Restored {
    tables: u64,
    rows: u64,
    files: u64,
}

/// Extracts the database and every document and compares them with the originals.
async fn take_back(
    environment: &Environment,
    backup: &BackupReport,
    password: &Secret,
    folders: &Folders,
    clinic: &clinic::Clinic,
) -> Result<Restored> {
    let store = environment.stores().first().ok_or_else(|| Error::bug("the demonstration has one disk"))?;
    let object = store.head(&backup.key).await?.ok_or_else(|| {
        Error::new(Class::NotFound, format!("the backup {} is not in the vault, though it was stored", backup.key))
    })?;
    let extract = async |entry: &str, path: &Path| extract(store, &object, password, entry, path).await;

    let manifest = reader::read_tail(Arc::clone(store), &object, password).await?.manifest;
    let database = manifest.databases.first().ok_or_else(|| Error::corrupt("the backup holds no database"))?;
    let path = folders.restored.join("clinic.sqlite");
    extract(&database.entry, &path).await?;
    let compared = compare::databases(&folders.database, &path)?;
    if compared.rows != database.rows {
        let (found, said) = (compared.rows, database.rows);
        return Err(Error::corrupt(format!("the manifest counts {said} rows, the database has {found}")));
    }
    for name in &clinic.files {
        let path = folders.restored.join("documents").join(name);
        extract(&format!("files/documents/{name}"), &path).await?;
        compare::files(&folders.documents.join(name), &path)?;
    }
    Ok(Restored { tables: compared.tables, rows: compared.rows, files: clinic.files.len() as u64 })
}

async fn extract(
    store: &Arc<dyn nightvault_core::store::Store>,
    object: &Object,
    password: &Secret,
    entry: &str,
    path: &Path,
) -> Result<()> {
    create_folder(path.parent().ok_or_else(|| Error::bug("a file of the demonstration lies in a folder"))?)?;
    let mut file = fs::File::create_new(path).map_err(|error| cannot("make", path, error))?;
    reader::extract(Arc::clone(store), object, password, entry, &mut file).await?;
    Ok(())
}

impl Folders {
    fn create(dir: Option<&Path>) -> Result<Self> {
        let dir = match dir {
            Some(dir) => {
                create_folder(dir)?;
                let mut entries = fs::read_dir(dir).map_err(|error| cannot("read", dir, error))?;
                if entries.next().is_some() {
                    return Err(Error::configuration(format!("the folder {} is not empty", dir.display()))
                        .hint("Give --dir a folder that is empty or not there yet; nothing was changed in this one."));
                }
                dir.to_owned()
            }
            None => tempfile::Builder::new()
                .prefix("nightvault-demo-")
                .tempdir()
                .map_err(|error| {
                    Error::new(Class::Permission, "cannot make a folder for temporary files").because(error)
                })?
                .keep(),
        };
        let dir = fs::canonicalize(&dir).map_err(|error| cannot("find", &dir, error))?;
        let folders = Self {
            database: dir.join("clinic/clinic.sqlite"),
            documents: dir.join("clinic/documents"),
            vault: dir.join("vault"),
            restored: dir.join("restored"),
            password: dir.join("password.txt"),
        };
        for folder in [&folders.documents, &folders.vault, &folders.restored] {
            create_folder(folder)?;
        }
        Ok(folders)
    }

    /// The configuration, by the same way as everybody's.
    fn config(&self, password: &Secret) -> Result<config::Config> {
        let text = |path: &Path| {
            path.to_str().filter(|text| !text.contains(',')).map(str::to_owned).ok_or_else(|| {
                Error::configuration(format!("the folder {} has a name with a comma or is no UTF-8", path.display()))
                    .hint("Give --dir a folder with a plainer name.")
            })
        };
        let variables = [
            ("BACKUP_NAME", "clinic".to_owned()),
            ("BACKUP_DISK", "local".to_owned()),
            ("BACKUP_LOCAL_PATH", text(&self.vault)?),
            ("BACKUP_ARCHIVE_PASSWORD", password.expose().to_owned()),
            ("DB_CONNECTION", "sqlite".to_owned()),
            ("DB_DATABASE", text(&self.database)?),
            ("BACKUP_FILES", format!("documents={}", text(&self.documents)?)),
        ];
        config::load_for_backup(&|name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.clone())
        })
    }
}

/// Writes the password where only its owner reads it.
fn write_password(path: &Path, password: &Secret) -> Result<()> {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| writeln!(file, "{}", password.expose()));
    written.map_err(|error| cannot("write", path, error))
}

fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| cannot("make", path, error))
}

/// The error of a file or folder that could not be worked with.
fn cannot(what: &str, path: &Path, error: std::io::Error) -> Error {
    let class = match error.kind() {
        std::io::ErrorKind::StorageFull => Class::Limit,
        std::io::ErrorKind::NotFound => Class::NotFound,
        _ => Class::Permission,
    };
    Error::new(class, format!("cannot {what} {}", path.display())).because(error)
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("   {line}\n")).collect()
}

fn epilogue(archive: &Path, folders: &Folders, backup: &BackupReport) -> String {
    let database = backup.sources.first().map_or("clinic", |source| source.name.as_str());
    format!(
        "What happened: the clinic's database was read in one consistent snapshot and packed, together with its\n\
         documents, into one AES-256 encrypted zip of {}. It was read back byte by byte before it was called a backup,\n\
         then taken out of the vault again and compared with the originals.\n\
         \n\
         The archive needs no Nightvault to be opened. Any program that knows AES zips does it, e.g. 7-Zip:\n\
         \n\
         \x20 7z x {}\n\
         \n\
         It asks for the password, which stands in {}. The database is then\n\
         db-dumps/{database}.sqlite, ready for sqlite3, and the documents are in files/documents.\n\
         \n\
         Everything lies in {}; delete the folder when you have seen enough.",
        size(backup.archive_bytes),
        archive.display(),
        folders.password.display(),
        folders.password.parent().unwrap_or(&folders.password).display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "precious").unwrap();
        let Err(error) = Folders::create(Some(dir.path())) else { panic!("it must be refused") };
        assert_eq!(error.class(), Class::Configuration);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_configuration_of_the_demonstration_is_one_that_can_back_up() {
        let dir = tempfile::tempdir().unwrap();
        let folders = Folders::create(Some(&dir.path().join("new"))).unwrap();
        let config = folders.config(&generate_password().unwrap()).unwrap();
        assert_eq!((config.databases.len(), config.files.len(), config.disks.len()), (1, 1, 1));
        let odd = Folders::create(Some(&dir.path().join("a,b"))).unwrap();
        assert!(odd.config(&generate_password().unwrap()).unwrap_err().to_string().contains("comma"));
    }

    #[test]
    fn the_password_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password.txt");
        let password = generate_password().unwrap();
        write_password(&path, &password).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().trim_end(), password.expose());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        write_password(&path, &password).unwrap_err();
    }
}
