//! Where backups go: `s3` from the `AWS_*` variables, `local` from `BACKUP_LOCAL_PATH`, others from an address each.

use std::path::{Path, PathBuf};

use super::raw::{Raw, is_word, parse_flag};
use super::url;
use super::{DiskConfig, DiskKind, S3Config, S3Credentials};

/// The disks of both lists.
pub(super) struct Disks {
    pub(super) backup: Vec<DiskConfig>,
    pub(super) monitor: Vec<DiskConfig>,
}

pub(super) fn read(raw: &mut Raw<'_>) -> Disks {
    let mut names = raw.list("BACKUP_DISK");
    if names.is_empty() {
        names.push("s3".into());
    }
    let backup = read_list(raw, "BACKUP_DISK", &names);
    let names = raw.list("BACKUP_MONITOR_DISKS");
    let monitor = if names.is_empty() { backup.clone() } else { read_list(raw, "BACKUP_MONITOR_DISKS", &names) };
    Disks { backup, monitor }
}

fn read_list(raw: &mut Raw<'_>, variable: &str, names: &[String]) -> Vec<DiskConfig> {
    let mut disks: Vec<DiskConfig> = Vec::new();
    for (position, name) in names.iter().enumerate() {
        if !is_word(name) {
            raw.problem(variable, format!("has a disk named {name:?}"));
            continue;
        }
        let first = names.iter().position(|other| stem(other) == stem(name));
        if first.is_some_and(|first| first < position) {
            raw.problem(variable, format!("has the disk {name:?} twice (or another whose variables are the same)"));
            continue;
        }
        let Some(kind) = read_kind(raw, name) else { continue };
        if let Some(same) = disks.iter().find(|disk| disk.kind == kind) {
            raw.problem(variable, format!("has two names, {:?} and {name:?}, for one place", same.name));
            continue;
        }
        disks.push(DiskConfig { name: name.clone(), kind });
    }
    disks
}

/// The `BACKUP_DISK_<NAME>` of a disk's own variables.
pub(super) fn stem(name: &str) -> String {
    format!("BACKUP_DISK_{}", name.to_ascii_uppercase().replace(['-', '.'], "_"))
}

fn read_kind(raw: &mut Raw<'_>, name: &str) -> Option<DiskKind> {
    match name {
        "s3" => read_s3(raw),
        "local" => read_local(raw),
        _ => read_url(raw, name),
    }
}

fn read_s3(raw: &mut Raw<'_>) -> Option<DiskKind> {
    let path_style = raw.flag("AWS_USE_PATH_STYLE_ENDPOINT");
    let region = raw.text("AWS_DEFAULT_REGION").or_else(|| raw.text("AWS_REGION"));
    let endpoint = raw.text("AWS_ENDPOINT");
    if let Some(Err(wrong)) = endpoint.as_deref().map(check_endpoint) {
        raw.problem("AWS_ENDPOINT", wrong);
    }
    let Some(bucket) = raw.text("AWS_BUCKET") else {
        raw.problem("AWS_BUCKET", "is not set, and the disk s3 needs it");
        return None;
    };
    if let Err(wrong) = check_bucket(&bucket) {
        raw.problem("AWS_BUCKET", wrong);
        return None;
    }
    Some(s3(bucket, String::new(), region, endpoint, path_style, None))
}

fn read_local(raw: &mut Raw<'_>) -> Option<DiskKind> {
    let Some(path) = raw.text("BACKUP_LOCAL_PATH") else {
        raw.problem("BACKUP_LOCAL_PATH", "is not set, and the disk local needs it");
        return None;
    };
    if !Path::new(&path).is_absolute() {
        raw.problem("BACKUP_LOCAL_PATH", format!("{path:?} is not absolute"));
        return None;
    }
    Some(DiskKind::Local { path: PathBuf::from(path) })
}

fn read_url(raw: &mut Raw<'_>, name: &str) -> Option<DiskKind> {
    let variable = stem(name) + "_URL";
    let credentials = read_credentials(raw, &stem(name));
    let Some(text) = raw.text(&variable) else {
        raw.problem(&variable, format!("is not set, and the disk {name:?} needs it"));
        return None;
    };
    match parse_kind(&text, credentials) {
        Ok(kind) => Some(kind),
        Err(wrong) => {
            raw.problem(&variable, wrong);
            None
        }
    }
}

fn read_credentials(raw: &mut Raw<'_>, stem: &str) -> Option<S3Credentials> {
    let (key, secret) = (format!("{stem}_KEY"), format!("{stem}_SECRET"));
    match (raw.text(&key), raw.secret(&secret)) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Some(S3Credentials { access_key_id, secret_access_key, session_token: None })
        }
        (Some(_), None) => {
            raw.problem(&secret, format!("is not set, but {key} is"));
            None
        }
        (None, Some(_)) => {
            raw.problem(&key, format!("is not set, but {secret} is"));
            None
        }
        (None, None) => None,
    }
}

fn parse_kind(text: &str, credentials: Option<S3Credentials>) -> Result<DiskKind, String> {
    let url = url::parse(text)?;
    if url.user.is_some() {
        return Err(
            "has a user in the address; credentials belong into the variables that end in _KEY and _SECRET".into()
        );
    }
    match url.scheme.as_str() {
        "s3" => {
            if url.port.is_some() {
                return Err("has a port behind the bucket; a server is given by endpoint=".into());
            }
            check_bucket(&url.host)?;
            if url
                .segments
                .iter()
                .any(|segment| segment.is_empty() || segment == "." || segment == ".." || segment.contains('/'))
            {
                return Err("has a prefix with empty or dotted parts".into());
            }
            let prefix = url.segments.join("/");
            let (mut region, mut endpoint, mut path_style) = (None, None, false);
            for (name, value) in url.query {
                match name.as_str() {
                    "region" => region = Some(value),
                    "endpoint" => {
                        check_endpoint(&value)?;
                        endpoint = Some(value);
                    }
                    "path_style" => {
                        path_style = parse_flag(&value).ok_or("has a path_style that is neither true nor false")?;
                    }
                    _ => {
                        return Err(format!(
                            "has the parameter {name:?}, which is none of region, endpoint, path_style"
                        ));
                    }
                }
            }
            Ok(s3(url.host, prefix, region, endpoint, path_style, credentials))
        }
        "file" if !url.host.is_empty() || url.port.is_some() => {
            Err("has a host; a path has three slashes in front".into())
        }
        "file" if credentials.is_some() => Err("is a directory, which takes no _KEY and _SECRET".into()),
        "file" if !url.query.is_empty() => Err("is a directory, which takes no parameters".into()),
        "file" if url.segments.is_empty() => Err("is the root directory".into()),
        "file" => Ok(DiskKind::Local { path: PathBuf::from(url.path()) }),
        scheme => Err(format!("has the scheme {scheme:?}, which is neither s3 nor file")),
    }
}

fn s3(
    bucket: String,
    prefix: String,
    region: Option<String>,
    endpoint: Option<String>,
    path_style: bool,
    credentials: Option<S3Credentials>,
) -> DiskKind {
    // Other makers' stores sign with whatever region they are told, and the SDK cannot work without one.
    let region = region.or_else(|| endpoint.is_some().then(|| "us-east-1".into()));
    DiskKind::S3(S3Config { bucket, prefix, region, endpoint, path_style, credentials })
}

fn check_bucket(bucket: &str) -> Result<(), String> {
    // Other makers allow more than AWS does; what no maker allows is told here, the rest by the store.
    let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=255).contains(&bucket.len()) && bucket.chars().all(usable) {
        return Ok(());
    }
    Err(format!("{bucket:?} is no name of a bucket"))
}

/// Whether an endpoint is `http(s)://host[:port]` and nothing more.
fn check_endpoint(text: &str) -> Result<(), String> {
    let url = url::parse(text)?;
    if url.user.is_some() {
        return Err("has a user in the endpoint; credentials belong into their own variables".into());
    }
    if !matches!(url.scheme.as_str(), "http" | "https") || url.host.is_empty() || !url.query.is_empty() {
        return Err("has an endpoint that is no http://host or https://host".into());
    }
    Ok(())
}
