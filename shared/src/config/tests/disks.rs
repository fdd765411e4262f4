//! Disks from the `AWS_*` variables, from `BACKUP_LOCAL_PATH` and from addresses.

use super::{error_of, load_from, with_local};
use crate::config::{DiskKind, S3Config};

fn s3(kind: &DiskKind) -> &S3Config {
    match kind {
        DiskKind::S3(s3) => s3,
        DiskKind::Local { .. } => panic!("it should be a bucket"),
    }
}

#[test]
fn the_disk_s3_is_described_by_the_aws_variables() {
    let config = load_from(&[
        ("AWS_BUCKET", "vault"),
        ("AWS_ENDPOINT", "http://127.0.0.1:9000"),
        ("AWS_USE_PATH_STYLE_ENDPOINT", "true"),
    ])
    .unwrap();
    let disk = s3(&config.disks[0].kind);
    assert_eq!((disk.bucket.as_str(), disk.prefix.as_str(), disk.path_style), ("vault", "", true));
    assert_eq!(disk.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert_eq!(disk.region.as_deref(), Some("us-east-1"), "an endpoint needs some region");
}

#[test]
fn the_region_of_the_bucket_may_differ_from_that_of_the_services() {
    let both = [("AWS_BUCKET", "b"), ("AWS_DEFAULT_REGION", "nyc3"), ("AWS_REGION", "eu-central-1")];
    let config = load_from(&both).unwrap();
    assert_eq!(s3(&config.disks[0].kind).region.as_deref(), Some("nyc3"));
    assert_eq!(config.aws.region.as_deref(), Some("eu-central-1"));
    let config = load_from(&both[..2]).unwrap();
    assert_eq!(config.aws.region.as_deref(), Some("nyc3"));
    assert_eq!(s3(&load_from(&both[..1]).unwrap().disks[0].kind).region, None);
}

#[test]
fn other_names_are_described_by_an_address_each() {
    let config = load_from(&[
        ("BACKUP_DISK", "off-site, nas"),
        (
            "BACKUP_DISK_OFF_SITE_URL",
            "s3://vault/a/b%20c?region=fr-par&endpoint=https%3A%2F%2Fs3.fr-par.example:8443&path_style=true",
        ),
        ("BACKUP_DISK_OFF_SITE_KEY", "AKID"),
        ("BACKUP_DISK_OFF_SITE_SECRET", "se/cr+et= "),
        ("BACKUP_DISK_NAS_URL", "file:///mnt/nas/vault"),
        ("BACKUP_MONITOR_DISKS", "nas"),
    ])
    .unwrap();
    let disk = s3(&config.disks[0].kind);
    assert_eq!((disk.bucket.as_str(), disk.prefix.as_str(), disk.path_style), ("vault", "a/b c", true));
    assert_eq!(disk.endpoint.as_deref(), Some("https://s3.fr-par.example:8443"));
    assert_eq!(disk.credentials.as_ref().unwrap().secret_access_key.expose(), "se/cr+et= ");
    assert_eq!(config.disks[1].kind, DiskKind::Local { path: "/mnt/nas/vault".into() });
    assert_eq!(config.monitor_disks, config.disks[1..]);
}

#[test]
fn wrong_disks_are_refused_by_the_name_of_their_variable() {
    assert!(load_from(&[]).unwrap_err().chain().contains("AWS_BUCKET is not set"));
    assert!(load_from(&[("BACKUP_DISK", "local")]).unwrap_err().chain().contains("BACKUP_LOCAL_PATH is not set"));
    assert!(error_of(&[("BACKUP_LOCAL_PATH", "vault")]).contains("not absolute"));
    assert!(error_of(&[("BACKUP_DISK", "local,local")]).contains("twice"));
    assert!(error_of(&[("BACKUP_DISK", "a/b")]).contains("\"a/b\""));
    assert!(error_of(&[("BACKUP_DISK", "nas")]).contains("BACKUP_DISK_NAS_URL is not set"));
    assert!(error_of(&[("BACKUP_MONITOR_DISKS", "nas")]).contains("BACKUP_DISK_NAS_URL is not set"));
    for (url, words) in [
        ("s3://", "no name of a bucket"),
        ("s3://AKID:canary@bucket", "_KEY and _SECRET"),
        ("s3://bucket/a//b", "empty or dotted"),
        ("s3://bucket/../b", "empty or dotted"),
        ("s3://bucket?acl=public", "\"acl\""),
        ("s3://bucket?endpoint=minio", "scheme://"),
        ("s3://bucket?endpoint=https://h/?x=y", "no http://host"),
        ("file://host/path", "three slashes"),
        ("file:///", "root directory"),
        ("ftp://host/path", "neither s3 nor file"),
        ("bucket", "scheme://"),
    ] {
        let message = error_of(&[("BACKUP_DISK", "x"), ("BACKUP_DISK_X_URL", url)]);
        assert!(message.contains("BACKUP_DISK_X_URL") && message.contains(words), "{url}: {message}");
        assert!(!message.contains("canary"), "{message}");
    }
    let half = [("BACKUP_DISK", "x"), ("BACKUP_DISK_X_URL", "s3://bucket"), ("BACKUP_DISK_X_KEY", "AKID")];
    assert!(error_of(&half).contains("BACKUP_DISK_X_SECRET is not set, but BACKUP_DISK_X_KEY is"));
    let same = [("BACKUP_DISK", "local,x"), ("BACKUP_DISK_X_URL", "file:///vault")];
    assert!(with_local(&same).unwrap_err().chain().contains("for one place"));
}
