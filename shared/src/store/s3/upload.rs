//! One object on its way into a bucket.
//!
//! Bytes are gathered into parts. The first full part that is not also the last starts a multipart upload; what fits
//! into one part is sent as one object. Parts travel as tasks of this upload, never detached from it; `write` waits
//! while they hold as many bytes as `parts_in_flight` first parts have, so that memory is that much and one part more,
//! and parts that grew travel one at a time instead of taking more.
//!
//! Any error aborts the upload before it is returned: tasks first (a part that arrives after an abort would stay and be
//! paid for), then the abort, repeated until the store lists no parts.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::operation::create_multipart_upload::CreateMultipartUploadOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType};
use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

use super::super::parts::{self, Parts};
use super::super::{Lock, Review, Stored, Upload, check_review};
use super::fault::Fault;
use super::sums::{Sum, Whole, sum};
use super::{S3Store, client, locks};
use crate::{Class, Error, Result};

/// Bytes that one permit of the budget stands for.
const PERMIT: u64 = 1 << 20;

/// How often an abort is repeated while the store still lists parts.
const ABORTS: u32 = 6;

/// What a completion needs to know of a multipart upload.
pub(super) struct Multipart {
    pub(super) id: String,
    /// Whether the store said that it keeps CRC-64/NVME.
    pub(super) crc: bool,
}

/// A part that the store has.
pub(super) struct Sent {
    pub(super) number: u32,
    pub(super) etag: String,
    /// Our own MD5, when the store's ETag is just that.
    pub(super) md5: Option<[u8; 16]>,
}

pub(super) struct S3Upload {
    pub(super) store: S3Store,
    pub(super) key: String,
    /// Random; says of an object that it is this upload's.
    pub(super) mark: String,
    pub(super) taken: u64,
    pub(super) whole: Whole,
    pub(super) multipart: Option<Multipart>,
    pub(super) gathered: BytesMut,
    parts: Parts,
    next: u32,
    budget: Arc<Semaphore>,
    permits: u32,
    sending: JoinSet<Result<Sent>>,
    sent: Vec<Sent>,
    /// Failed, aborted or completed: nothing is left to do.
    over: bool,
    /// What the object is locked with.
    pub(super) lock: Option<Lock>,
}

impl S3Upload {
    /// Starts without a request; the store hears of it with the first full part.
    pub(super) fn begin(store: S3Store, key: &str, parts: Parts, lock: Option<Lock>) -> Result<Self> {
        let in_flight = store.inner.limits.parts_in_flight.max(1) as u64;
        let permits = (in_flight * parts.size(1) / PERMIT).clamp(1, u64::from(u32::MAX >> 3)) as u32;
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| Error::bug("the system gives no random bytes").because(error.to_string()))?;
        Ok(Self {
            store,
            key: key.to_owned(),
            mark: random.iter().map(|byte| format!("{byte:02x}")).collect(),
            taken: 0,
            whole: Whole::new(),
            multipart: None,
            gathered: BytesMut::new(),
            parts,
            next: 1,
            budget: Arc::new(Semaphore::new(permits as usize)),
            permits,
            sending: JoinSet::new(),
            sent: Vec::new(),
            over: false,
            lock,
        })
    }

    async fn take(&mut self, mut bytes: Bytes) -> Result<()> {
        self.whole.update(&bytes);
        self.taken += bytes.len() as u64;
        while !bytes.is_empty() {
            let size = self.parts.size(self.next) as usize;
            if self.gathered.len() == size {
                self.send().await?;
                continue;
            }
            if self.gathered.is_empty() {
                self.gathered.reserve(size);
            }
            let room = bytes.len().min(size - self.gathered.len());
            self.gathered.extend_from_slice(&bytes.split_to(room));
        }
        // A part that failed is told now, not at the end.
        while let Some(done) = self.sending.try_join_next() {
            self.sent.push(joined(done)?);
        }
        Ok(())
    }

    /// Sends what was gathered as the next part, once there is room for it.
    async fn send(&mut self) -> Result<()> {
        if self.next > parts::MOST {
            return Err(Error::new(Class::Limit, format!("{:?} has grown beyond {} parts", self.key, parts::MOST))
                .hint("Raise BACKUP_PART_SIZE_MB, or split the backup."));
        }
        let (id, crc) = match &self.multipart {
            Some(started) => (started.id.clone(), started.crc),
            None => {
                let started = self.start().await?;
                let copy = (started.id.clone(), started.crc);
                self.multipart = Some(started);
                copy
            }
        };
        let permits = self.gathered.len().div_ceil(PERMIT as usize).min(self.permits as usize) as u32;
        let room = Arc::clone(&self.budget).acquire_many_owned(permits).await.expect("the budget is never closed");
        while let Some(done) = self.sending.try_join_next() {
            self.sent.push(joined(done)?);
        }
        let body = std::mem::take(&mut self.gathered).freeze();
        let (store, key, number) = (self.store.clone(), self.key.clone(), self.next);
        self.next += 1;
        self.sending.spawn(async move {
            let sent = send_part(&store, &key, &id, number, body, crc).await;
            drop(room);
            sent
        });
        Ok(())
    }

    /// Starts a multipart upload with CRC-64/NVME over the whole object, or without where the store does not know that:
    /// it may refuse, not mention it, or mean a sum of the parts' sums, which says less than their MD5.
    async fn start(&self) -> Result<Multipart> {
        let (algorithm, over) = (ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject);
        let started = match self.initiate(Some((&algorithm, &over))).await {
            Err(fault) if fault.is_unknown_request() || fault.status == Some(400) => {
                tracing::debug!(%fault, "the store takes no CRC-64/NVME; MD5 instead");
                self.initiate(None).await
            }
            Ok(started) if started.checksum_algorithm.is_some() && started.checksum_type() != Some(&over) => {
                abort(&self.store, &self.store.full(&self.key), started.upload_id().unwrap_or_default()).await?;
                self.initiate(None).await
            }
            started => started,
        };
        let started = started
            .map_err(|fault| fault.error(self.store.place(), &format!("start {:?}", self.key), "s3:PutObject"))?;
        let crc = started.checksum_algorithm() == Some(&algorithm) && started.checksum_type() == Some(&over);
        let id = started.upload_id.filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Error::unsupported(format!("{} gives uploads no name", self.store.place())))?;
        Ok(Multipart { id, crc })
    }

    async fn initiate(
        &self,
        sum: Option<(&ChecksumAlgorithm, &ChecksumType)>,
    ) -> Result<CreateMultipartUploadOutput, Fault> {
        let create = self.store.client().create_multipart_upload();
        let create = create.bucket(self.store.bucket()).key(self.store.full(&self.key));
        let create = create.content_type(content_type(&self.key)).metadata(MARK, &self.mark);
        let (mode, until) = locks::headers(self.lock);
        let create = create.set_object_lock_mode(mode).set_object_lock_retain_until_date(until);
        let create = match sum {
            Some((algorithm, over)) => create.checksum_algorithm(algorithm.clone()).checksum_type(over.clone()),
            None => create,
        };
        create.send().await.map_err(Fault::of)
    }

    /// Sends the last part and waits for all; returns them in their order.
    pub(super) async fn flush(&mut self) -> Result<Vec<Sent>> {
        if !self.gathered.is_empty() {
            self.send().await?;
        }
        while let Some(done) = self.sending.join_next().await {
            self.sent.push(joined(done)?);
        }
        let mut sent = std::mem::take(&mut self.sent);
        sent.sort_unstable_by_key(|part| part.number);
        Ok(sent)
    }

    /// Ends everything that is under way. The store forgets the upload, or the reason why not is returned.
    async fn give_up(&mut self) -> Result<()> {
        self.over = true;
        self.sending.shutdown().await;
        match self.multipart.take() {
            Some(started) => abort(&self.store, &self.store.full(&self.key), &started.id).await,
            None => Ok(()),
        }
    }

    /// Gives up because of `first`, which is what the caller hears.
    async fn fail(&mut self, first: Error) -> Error {
        if let Err(second) = self.give_up().await {
            tracing::warn!(key = self.key, error = %second.chain(), "an upload that failed could not be aborted either");
        }
        first
    }

    fn check_open(&self) -> Result<()> {
        match self.over {
            true => Err(Error::bug(format!("the upload of {:?} failed before, and was used again", self.key))),
            false => Ok(()),
        }
    }
}

/// What is stored: archives, and the records of the audit trail.
pub(super) fn content_type(key: &str) -> &'static str {
    if key.ends_with(".json") { "application/json" } else { "application/zip" }
}

/// The name of the mark in an object's metadata.
pub(super) const MARK: &str = "nightvault-upload";

fn joined(done: Result<Result<Sent>, JoinError>) -> Result<Sent> {
    done.map_err(|error| Error::bug("the task of a part ended early").because(error))?
}

async fn send_part(store: &S3Store, key: &str, id: &str, number: u32, body: Bytes, crc: bool) -> Result<Sent> {
    let sum = sum(body.clone(), crc).await?;
    let bytes = body.len() as u64;
    let part = store.client().upload_part().bucket(store.bucket()).key(store.full(key)).upload_id(id);
    let part = part.part_number(number as i32).body(ByteStream::from(body));
    let part = match sum {
        Sum::Crc(_) => part.checksum_crc64_nvme(sum.base64()),
        Sum::Md5(_) => part.content_md5(sum.base64()),
    };
    let sent = part.customize().config_override(client::carrying(bytes)).send().await.map_err(|error| {
        Fault::of(error).error(store.place(), &format!("store part {number} of {key:?}"), "s3:PutObject")
    })?;
    if let (Sum::Crc(_), Some(says)) = (sum, sent.checksum_crc64_nvme())
        && says != sum.base64()
    {
        return Err(Error::corrupt(format!("the store holds part {number} of {key:?} with another checksum")));
    }
    let etag = sent.e_tag.ok_or_else(|| Error::unsupported(format!("{} gives parts no ETag", store.place())))?;
    let md5 = match sum {
        Sum::Md5(md5) if sum.is_etag(&etag) => Some(md5),
        _ => None,
    };
    Ok(Sent { number, etag, md5 })
}

/// Aborts an upload, and again while the store still lists parts of it: one that arrives late would stay.
pub(super) async fn abort(store: &S3Store, full: &str, id: &str) -> Result<()> {
    for attempt in 0..ABORTS {
        let abort = store.client().abort_multipart_upload().bucket(store.bucket()).key(full).upload_id(id);
        match abort.send().await.map_err(Fault::of) {
            Ok(_) => {}
            Err(fault) if fault.is("NoSuchUpload") => return Ok(()),
            // A store that forgot the upload with the first abort may answer anything.
            Err(fault) if attempt > 0 => tracing::debug!(%fault, "a repeated abort was refused"),
            Err(fault) => {
                let action = "s3:AbortMultipartUpload";
                return Err(fault.error(store.place(), &format!("abort the upload of {full:?}"), action));
            }
        }
        let list = store.client().list_parts().bucket(store.bucket()).key(full).upload_id(id).max_parts(1);
        match list.send().await.map_err(Fault::of) {
            Ok(left) if left.parts().is_empty() => return Ok(()),
            Ok(_) => tokio::time::sleep(Duration::from_millis(200) * 2_u32.pow(attempt)).await,
            Err(fault) if fault.status == Some(404) => return Ok(()),
            Err(fault) => {
                tracing::debug!(%fault, "whether parts are left after an abort cannot be asked");
                return Ok(());
            }
        }
    }
    Err(Error::new(Class::Transient, format!("parts of {full:?} stay in {} after every abort", store.place()))
        .hint("The next run aborts what is left; so does the bucket's lifecycle rule for incomplete uploads."))
}

#[async_trait]
impl Upload for S3Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.check_open()?;
        match self.take(bytes).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.fail(error).await),
        }
    }

    async fn complete(mut self: Box<Self>, review: &Review) -> Result<Stored> {
        self.check_open()?;
        if let Err(error) = check_review(&self.key, self.taken, review) {
            return Err(self.fail(error).await);
        }
        match self.finish().await {
            Ok(stored) => {
                self.over = true;
                Ok(stored)
            }
            Err(error) => Err(self.fail(error).await),
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        if self.over { Ok(()) } else { self.give_up().await }
    }
}

/// An upload that nobody ended, because its owner was cancelled or panicked: aborted on the side if a runtime is there.
/// Every ordinary way out ends it by itself, so that nothing runs on after a function has answered.
impl Drop for S3Upload {
    fn drop(&mut self) {
        let Some(started) = self.multipart.take().filter(|_| !self.over) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (store, full) = (self.store.clone(), self.store.full(&self.key));
        let mut sending = std::mem::take(&mut self.sending);
        runtime.spawn(async move {
            sending.shutdown().await;
            if let Err(error) = abort(&store, &full, &started.id).await {
                tracing::warn!(error = %error.chain(), "an upload that was dropped could not be aborted");
            }
        });
    }
}
