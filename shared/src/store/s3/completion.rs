//! The last step of an upload, and the proof of it.
//!
//! PutObject and CompleteMultipartUpload make the object visible on the condition that the key does not exist. They are
//! not repeated blindly: after an answer that was lost, cut, or an error inside a 200, HeadObject says whether the object
//! is there, and its mark whether it is ours. (A blind repetition would find its own object, and report that the backup
//! exists already, or that the upload does not.) What is there at last is compared with what was sent; an object of ours
//! that differs is deleted again.

use std::time::Duration;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumType, CompletedMultipartUpload, CompletedPart};

use super::super::{Store, Stored, already_exists};
use super::fault::Fault;
use super::sums;
use super::upload::{MARK, S3Upload, Sent, content_type};
use super::{client, locks, object, unquoted};
use crate::{Error, Result};

/// Attempts of the last step, half a minute in all: it would be a pity to lose a night's work to a busy store.
const ATTEMPTS: u32 = 8;

/// Attempts while another upload of the same key is being completed.
const CONFLICTS: u32 = 3;

/// What is known when the last step is done.
struct Done {
    parts: u32,
    /// The ETag in the answer; `None` when the answer was lost.
    answered: Option<String>,
    /// The ETag that our own MD5s make, where the store's ETags are MD5.
    computed: Option<String>,
}

impl S3Upload {
    /// Makes the object visible and proves it.
    pub(super) async fn finish(&mut self) -> Result<Stored> {
        let done = match self.multipart {
            None => self.put().await?,
            Some(_) => self.complete_parts().await?,
        };
        let found = self.look().await?;
        let Some(found) = found else {
            return Err(Error::corrupt(format!("{:?} was stored, and is not there", self.key))
                .hint("Something else deletes under this prefix; find out what it is."));
        };
        // A store that keeps no metadata cannot say whose object it is; then the ETag of its answer must do.
        if !self.is_ours(&found).unwrap_or(done.answered.is_some()) {
            return Err(already_exists(&self.store.place().disk, &self.key)
                .hint("The store let a parallel upload of this key through; it does not hold to If-None-Match."));
        }
        let proved = self.prove(&found, &done);
        if proved.is_err() && self.is_ours(&found) == Some(true) {
            // It is wrong, and nobody has seen it as a backup yet.
            if let Err(second) = self.store.delete(&self.key).await {
                tracing::error!(key = self.key, error = %second.chain(), "a damaged object could not be deleted");
            }
        }
        proved
    }

    fn prove(&self, found: &HeadObjectOutput, done: &Done) -> Result<Stored> {
        let object = object(&self.key, found.content_length(), found.last_modified(), found.e_tag())?;
        if object.size != self.taken {
            let (size, taken) = (object.size, self.taken);
            return Err(Error::corrupt(format!("the store holds {size} bytes of {:?} instead of {taken}", self.key)));
        }
        if let (Some(answered), Some(found)) = (&done.answered, &object.etag)
            && answered != found
        {
            return Err(Error::corrupt(format!("the store named {:?} {answered} first and {found} then", self.key)));
        }
        let checksum = sums::confirm(&self.key, found, self.whole.finish(), done.computed.as_deref())?;
        if checksum.is_none() {
            tracing::warn!(key = self.key, "the store confirms the size of this object, and no checksum of it");
        }
        let lock = locks::shown(found.object_lock_mode(), found.object_lock_retain_until_date());
        Ok(Stored { object, parts: done.parts, checksum, lock })
    }

    /// A small archive: one object, one request.
    async fn put(&mut self) -> Result<Done> {
        let body = std::mem::take(&mut self.gathered).freeze();
        let bytes = body.len() as u64;
        let sum = sums::sum(body.clone(), false).await?;
        let request = |condition: Option<String>| {
            let put = self.store.client().put_object().bucket(self.store.bucket()).key(self.store.full(&self.key));
            let put = put.content_type(content_type(&self.key)).metadata(MARK, &self.mark).set_if_none_match(condition);
            let (mode, until) = locks::headers(self.lock);
            let put = put.set_object_lock_mode(mode).set_object_lock_retain_until_date(until);
            let put = put.content_md5(sum.base64()).body(ByteStream::from(body.clone())).customize();
            async move {
                let answer = put.config_override(client::once(bytes)).send().await.map_err(Fault::of)?;
                Ok(answer.e_tag.as_deref().map(unquoted))
            }
        };
        let answered = self.settle(request).await?;
        let computed = answered.clone().filter(|etag| sum.is_etag(etag));
        Ok(Done { parts: 1, answered, computed })
    }

    /// All parts, then the completion.
    async fn complete_parts(&mut self) -> Result<Done> {
        let sent = self.flush().await?;
        let (id, crc) = match &self.multipart {
            Some(started) => (started.id.clone(), started.crc),
            None => return Err(Error::bug("parts were sent without an upload")),
        };
        let md5s: Option<Vec<[u8; 16]>> = sent.iter().map(|part| part.md5).collect();
        let computed = md5s.map(|md5s| sums::etag_of_parts(&md5s));
        let parts = sent.len() as u32;
        let complete = self.store.client().complete_multipart_upload();
        let complete = complete.bucket(self.store.bucket()).key(self.store.full(&self.key)).upload_id(id);
        let complete = complete.multipart_upload(listed(sent));
        let complete = match crc {
            true => complete
                .checksum_type(ChecksumType::FullObject)
                .checksum_crc64_nvme(self.whole.finish().base64())
                .mpu_object_size(self.taken as i64),
            false => complete,
        };
        // For stores that pass over the condition: between this look and the completion lies one round trip.
        if self.look().await?.is_some() {
            return Err(already_exists(&self.store.place().disk, &self.key));
        }
        let request = |condition: Option<String>| {
            let complete = complete.clone().set_if_none_match(condition).customize();
            async move {
                let answer = complete.config_override(client::once(0)).send().await.map_err(Fault::of)?;
                Ok(answer.e_tag.as_deref().map(unquoted))
            }
        };
        let answered = self.settle(request).await?;
        // From here on there is no upload to abort.
        self.multipart = None;
        Ok(Done { parts, answered, computed })
    }

    /// Repeats a conditional request until it is certain what became of it. Returns the ETag of the answer, `None` when
    /// the answer was lost and the object is there all the same.
    ///
    /// A store that refuses the condition itself gets the request without it, after one more look: the window of one
    /// round trip in which a parallel run could store the same key is smaller harm than no backup, and is told.
    async fn settle<A>(&self, request: impl Fn(Option<String>) -> A) -> Result<Option<String>>
    where
        A: Future<Output = Result<Option<String>, Fault>>,
    {
        let exists = || already_exists(&self.store.place().disk, &self.key);
        let mut doubt = false;
        let mut last = None;
        let mut condition = Some("*".to_owned());
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(250) * 2_u32.pow(attempt - 1)).await;
            }
            let fault = match request(condition.clone()).await {
                Ok(etag) => return Ok(etag),
                Err(fault) => fault,
            };
            tracing::debug!(key = self.key, attempt, %fault, "the last step of an upload was not confirmed");
            // 412: the key exists. 409: another upload of the key is being completed.
            let conflict = matches!(fault.status, Some(409 | 412));
            doubt |= fault.leaves_doubt();
            if fault.status == Some(412) && !doubt {
                return Err(exists().because(fault));
            }
            let unknown = fault.is_unknown_request() && condition.is_some();
            if !doubt && !conflict && !unknown {
                return Err(self.refused(fault));
            }
            match self.look().await {
                Ok(Some(found)) if self.is_ours(&found) == Some(true) => return Ok(None),
                Ok(Some(_)) => return Err(exists().because(fault)),
                Ok(None) if conflict && attempt + 1 >= CONFLICTS => return Err(exists().because(fault)),
                Ok(None) if conflict => last = Some(exists().because(fault)),
                Ok(None) if unknown => {
                    let store = self.store.place().to_string();
                    tracing::warn!(store, "this store has no If-None-Match: a parallel run could replace this backup");
                    condition = None;
                    last = Some(self.refused(fault));
                }
                Ok(None) if fault.leaves_doubt() => last = Some(self.refused(fault)),
                Ok(None) => return Err(self.refused(fault)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::bug("the last step of an upload ended without an answer")))
    }

    fn refused(&self, fault: Fault) -> Error {
        fault.error(self.store.place(), &format!("store {:?}", self.key), "s3:PutObject")
    }

    async fn look(&self) -> Result<Option<HeadObjectOutput>> {
        self.store.look(&self.key).await
    }

    /// Whether the object is this upload's, by its mark; `None` when it has none.
    fn is_ours(&self, found: &HeadObjectOutput) -> Option<bool> {
        Some(*found.metadata()?.get(MARK)? == self.mark)
    }
}

fn listed(sent: Vec<Sent>) -> CompletedMultipartUpload {
    let parts =
        sent.into_iter().map(|part| CompletedPart::builder().part_number(part.number as i32).e_tag(part.etag).build());
    CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build()
}
