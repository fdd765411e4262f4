//! S3, and stores that speak its language: a key is an object of a bucket, below the disk's prefix.
//!
//! What S3-compatible stores refuse is not used: no trailing checksums (`aws-chunked`), no batch deletes. Bodies have a
//! known length, and go with a checksum header of our own.
//!
//! - **One step.** Small archives are one conditional PutObject, others a multipart upload that is completed on the
//!   condition that the key does not exist (`upload`). Every object carries a random mark in its metadata: when an answer
//!   is lost, the mark decides whether the object that is there is ours.
//! - **Reads** name the version (If-Match), are measured, and go on where a connection broke off.
//! - **Notes** are tags of the object (`nightvault-<name>`); other tags stay (`tags`).
//! - **Holds** are legal holds where the bucket has Object Lock, with a tag that says why; elsewhere the tag alone, which
//!   nobody but our cleanup heeds (`locks`).
//! - **Deletes** take exactly one key. In a versioned bucket S3 then hides the object behind a delete marker: it is gone
//!   for every operation of Nightvault, and is paid for until the bucket's lifecycle rule removes old versions; the answer
//!   says so, and on request every version is deleted instead (`versions`).
//! - **Listings** are read to their last page and sorted here. `encoding-type=url` is not asked for, because stores
//!   exist that confirm it and do not encode; S3 writes control characters as character references without it.

mod client;
mod completion;
mod fault;
mod locks;
mod sums;
mod tags;
mod upload;
mod versions;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::ChecksumMode;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;

use self::fault::{Fault, Place};
use self::upload::S3Upload;
use super::parts::Parts;
use super::{
    Guard, HeldBy, Hidden, Lock, Locking, Notes, Object, Removed, Store, Upload, UploadLimits, already_exists,
    check_note, check_range, not_found, replaced,
};
use crate::config::types::S3Config;
use crate::{Class, Error, Result};

/// How often a read goes on after its connection broke off without one byte in between.
const RESUMES: u32 = 4;

/// Archives in a bucket. A clone uses the same connections.
#[derive(Debug, Clone)]
pub struct S3Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    /// What errors name.
    place: Place,
    /// With its final slash, or empty.
    prefix: String,
    limits: UploadLimits,
}

impl S3Store {
    /// Builds the client. Opens no connection (only when neither the disk nor the environment names a region, the SDK
    /// asks the machine's metadata service for one).
    pub async fn open(name: impl Into<String>, bucket: &S3Config, limits: &UploadLimits) -> Result<Self> {
        let (client, place) = client::open(name.into(), bucket).await?;
        let prefix = match bucket.prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Ok(Self { inner: Arc::new(Inner { client, place, prefix, limits: *limits }) })
    }

    fn client(&self) -> &Client {
        &self.inner.client
    }

    fn place(&self) -> &Place {
        &self.inner.place
    }

    fn bucket(&self) -> &str {
        &self.inner.place.bucket
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.inner.prefix)
    }

    /// What HeadObject says, `None` when there is no such object.
    async fn look(&self, key: &str) -> Result<Option<HeadObjectOutput>> {
        let head = self.client().head_object().bucket(self.bucket()).key(self.full(key));
        match head.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(found) => Ok(Some(found)),
            Err(error) => match Fault::of(error) {
                fault if fault.status == Some(404) => Ok(None),
                fault => {
                    // Answers to HEAD have no body, so that they cannot say why; a refused listing does.
                    if fault.status == Some(403)
                        && let Err(reason) = self.probe().await
                    {
                        return Err(reason.context(format!("cannot look at {key:?}")));
                    }
                    Err(fault.error(self.place(), &format!("look at {key:?}"), "s3:GetObject and s3:ListBucket"))
                }
            },
        }
    }

    /// Uploads in progress under a full prefix: key, name, and when each was begun. A store that cannot list them is told
    /// in the log, and counts as having none.
    async fn uploads(&self, full: &str) -> Result<Vec<(String, String, Timestamp)>> {
        let mut uploads = Vec::new();
        let (mut key_marker, mut id_marker): (Option<String>, Option<String>) = (None, None);
        loop {
            let list = self.client().list_multipart_uploads().bucket(self.bucket()).prefix(full);
            let list = list.set_key_marker(key_marker.clone()).set_upload_id_marker(id_marker.clone());
            let page = match list.send().await.map_err(Fault::of) {
                Ok(page) => page,
                Err(fault) if fault.is_unknown_request() => {
                    let store = self.place().to_string();
                    tracing::debug!(store, fault = %fault, "this store cannot list uploads in progress");
                    return Ok(uploads);
                }
                Err(fault) => {
                    let action = "s3:ListBucketMultipartUploads";
                    return Err(fault.error(self.place(), &format!("list uploads under {full:?}"), action));
                }
            };
            for found in page.uploads() {
                let (Some(key), Some(id), Some(begun)) = (found.key(), found.upload_id(), found.initiated()) else {
                    continue;
                };
                if let Some(begun) = timestamp(begun).filter(|_| key.starts_with(full)) {
                    uploads.push((key.to_owned(), id.to_owned(), begun));
                }
            }
            let next = (page.next_key_marker, page.next_upload_id_marker);
            if page.is_truncated != Some(true) || next.0.is_none() || next == (key_marker, id_marker) {
                return Ok(uploads);
            }
            (key_marker, id_marker) = next;
        }
    }

    /// One ranged GET, checked to be the range that was asked for.
    async fn get(&self, key: &str, range: &Range<u64>, etag: Option<&str>) -> Result<GetObjectOutput> {
        let get = self.client().get_object().bucket(self.bucket()).key(self.full(key));
        let get = get.range(format!("bytes={}-{}", range.start, range.end - 1));
        let got = match get.set_if_match(etag.map(quoted)).send().await {
            Ok(got) => got,
            Err(error) => {
                let fault = Fault::of(error);
                return Err(match fault.status {
                    Some(412) => replaced(key).because(fault),
                    Some(416) => Error::corrupt(format!("{key:?} ends before byte {}", range.start))
                        .hint("The object is shorter than its own index says; take another backup.")
                        .because(fault),
                    Some(404) if !fault.is("NoSuchBucket") => not_found(&self.place().disk, key).because(fault),
                    _ => fault.error(self.place(), &format!("read {key:?}"), "s3:GetObject"),
                });
            }
        };
        // Stores exist that pass over If-Match.
        super::check_version(key, &got.e_tag().map(unquoted).unwrap_or_default(), etag)?;
        match got.content_range().and_then(content_range) {
            Some((start, end, size)) if start == range.start => {
                check_range(key, range, size)?;
                if end == range.end { Ok(got) } else { Err(self.misread(key)) }
            }
            // A store may answer a range that is the whole object without saying that it is a range.
            None if range.start == 0 && got.content_length() == Some(range.end as i64) => Ok(got),
            _ => Err(self.misread(key)),
        }
    }

    fn misread(&self, key: &str) -> Error {
        Error::unsupported(format!("{} answered with other bytes of {key:?} than were asked for", self.place()))
            .hint("Something between here and the store ignores the Range header; reach the store directly.")
    }
}

#[async_trait]
impl Store for S3Store {
    fn disk(&self) -> &str {
        &self.place().disk
    }

    /// Lists one key: unlike HeadBucket, a refused listing says why.
    async fn probe(&self) -> Result<()> {
        let list = self.client().list_objects_v2().bucket(self.bucket()).prefix(&self.inner.prefix).max_keys(1);
        let listed = list.send().await;
        listed.map_err(|error| Fault::of(error).error(self.place(), "reach the store", "s3:ListBucket"))?;
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let full = self.full(prefix);
        // By key, so that a page which is sent twice does no harm.
        let mut objects = BTreeMap::new();
        let mut token: Option<String> = None;
        loop {
            let list = self.client().list_objects_v2().bucket(self.bucket()).prefix(&full);
            let page =
                list.set_continuation_token(token.clone()).send().await.map_err(|error| {
                    Fault::of(error).error(self.place(), &format!("list {prefix:?}"), "s3:ListBucket")
                })?;
            for found in page.contents() {
                let Some(key) = found.key().and_then(|key| key.strip_prefix(&self.inner.prefix)) else { continue };
                if !key.starts_with(prefix) {
                    continue;
                }
                let object = object(key, found.size(), found.last_modified(), found.e_tag())?;
                objects.insert(object.key.clone(), object);
            }
            match page.next_continuation_token {
                _ if page.is_truncated != Some(true) => break,
                next if next.is_none() || next == token => {
                    return Err(Error::unsupported(format!("{} cut its listing of {prefix:?} short", self.place()))
                        .hint("A listing that does not end proves nothing; report this to the store's maker."));
                }
                next => token = next,
            }
        }
        Ok(objects.into_values().collect())
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        let found = self.look(key).await?;
        found.map(|found| object(key, found.content_length(), found.last_modified(), found.e_tag())).transpose()
    }

    async fn read(&self, key: &str, range: Range<u64>, etag: Option<&str>) -> Result<Bytes> {
        if range.start >= range.end {
            let found = self.head(key).await?.ok_or_else(|| not_found(self.disk(), key))?;
            super::check_version(key, found.etag.as_deref().unwrap_or_default(), etag)?;
            check_range(key, &range, found.size)?;
            return Ok(Bytes::new());
        }
        let wanted = (range.end - range.start) as usize;
        let mut bytes = BytesMut::new();
        let mut etag = etag.map(str::to_owned);
        let mut broken = 0;
        loop {
            let before = bytes.len();
            let from = range.start + before as u64;
            let mut got = self.get(key, &(from..range.end), etag.as_deref()).await?;
            // What follows must be of the same version, also when none was meant.
            etag = etag.or_else(|| got.e_tag().map(unquoted));
            bytes.reserve(wanted - before);
            let cause = loop {
                match got.body.try_next().await {
                    Ok(Some(piece)) if bytes.len() + piece.len() > wanted => return Err(self.misread(key)),
                    Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                    Ok(None) if bytes.len() == wanted => return Ok(bytes.freeze()),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            broken = if bytes.len() > before { 1 } else { broken + 1 };
            tracing::debug!(key, broken, read_bytes = bytes.len(), wanted_bytes = wanted, "a read broke off");
            if broken > RESUMES {
                let error = Error::new(Class::Transient, format!("{} breaks off reads of {key:?}", self.place()))
                    .hint("Check the network between here and the store, then try again.");
                return Err(match cause {
                    Some(cause) => error.because(cause),
                    None => error,
                });
            }
        }
    }

    async fn create(&self, key: &str, expected_bytes: Option<u64>) -> Result<Box<dyn Upload>> {
        self.create_locked(key, expected_bytes, None).await
    }

    async fn create_locked(
        &self,
        key: &str,
        expected_bytes: Option<u64>,
        lock: Option<Lock>,
    ) -> Result<Box<dyn Upload>> {
        if self.look(key).await?.is_some() {
            return Err(already_exists(self.disk(), key));
        }
        let parts = Parts::plan(self.inner.limits.first_part_bytes, expected_bytes);
        Ok(Box::new(S3Upload::begin(self.clone(), key, parts, lock)?))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        versions::hide(self, key).await.map(|_| ())
    }

    async fn remove(&self, key: &str, versions: bool) -> Result<Removed> {
        if versions { versions::destroy(self, key).await } else { versions::hide(self, key).await }
    }

    async fn forgets(&self, prefix: &str, hidden_at: Timestamp) -> Result<Option<Timestamp>> {
        versions::forgotten(self, prefix, hidden_at).await
    }

    async fn hidden(&self, prefix: &str) -> Result<Hidden> {
        versions::hidden(self, prefix).await
    }

    async fn abort_stale(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        let mut aborted = 0;
        for (key, id, begun) in self.uploads(&self.full(prefix)).await? {
            if begun < before {
                upload::abort(self, &key, &id).await?;
                aborted += 1;
            }
        }
        Ok(aborted)
    }

    async fn notes(&self, key: &str) -> Result<Option<Notes>> {
        tags::notes(self, key).await
    }

    async fn note(&self, key: &str, name: &str, value: &str) -> Result<bool> {
        check_note(name, value)?;
        tags::note(self, key, name, Some(value)).await
    }

    async fn guard(&self, key: &str) -> Result<Guard> {
        locks::guard(self, key).await
    }

    async fn locking(&self) -> Result<Locking> {
        locks::locking(self).await
    }

    async fn lock(&self, key: &str, lock: Lock) -> Result<Option<Lock>> {
        locks::lock(self, key, lock).await
    }

    async fn hold(&self, key: &str, text: &str) -> Result<Option<HeldBy>> {
        check_note("hold", text)?;
        locks::hold(self, key, text).await
    }

    async fn release(&self, key: &str) -> Result<()> {
        locks::release(self, key).await
    }
}

/// An object as the store describes it. What it does not say, nobody may assume.
fn object(key: &str, size: Option<i64>, modified: Option<&DateTime>, etag: Option<&str>) -> Result<Object> {
    let size = size.and_then(|size| u64::try_from(size).ok());
    let (Some(size), Some(modified)) = (size, modified.and_then(timestamp)) else {
        return Err(Error::unsupported(format!("the store does not say how long {key:?} is or when it was written")));
    };
    Ok(Object { key: key.to_owned(), size, modified, etag: etag.map(unquoted) })
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

fn unquoted(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// `bytes 5-9/20` as the first byte, the one after the last, and the size.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?, size.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_or_refused() {
        assert_eq!(content_range("bytes 5-9/20"), Some((5, 10, 20)));
        for bad in ["", "bytes */20", "bytes 5-/20", "bytes 5-9/*", "5-9/20", "bytes 5-18446744073709551615/20"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
