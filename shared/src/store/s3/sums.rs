//! Checksums of what is sent, in the forms that stores speak.
//!
//! CRC-64/NVME is S3's own sum of a whole object: parts carry theirs, and the completion carries that of the whole, which
//! S3 checks before the object exists. Stores that do not know it get Content-MD5, which every store checks, and answer
//! with ETags that are MD5 where nothing (such as SSE-KMS) forbids it.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::ChecksumType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use md5::{Digest as _, Md5};

use crate::{Error, Result};

/// A checksum that goes with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sum {
    /// CRC-64/NVME.
    Crc(u64),
    /// MD5.
    Md5([u8; 16]),
}

impl Sum {
    /// As it stands in a header.
    pub(super) fn base64(self) -> String {
        match self {
            Sum::Crc(sum) => STANDARD.encode(sum.to_be_bytes()),
            Sum::Md5(sum) => STANDARD.encode(sum),
        }
    }

    fn hex(self) -> Option<String> {
        match self {
            Sum::Crc(_) => None,
            Sum::Md5(sum) => Some(hex(&sum)),
        }
    }

    /// Whether a store's ETag of these very bytes is their MD5.
    pub(super) fn is_etag(self, etag: &str) -> bool {
        self.hex().is_some_and(|hex| hex == etag.trim_matches('"'))
    }
}

/// The sum of a body, computed where it may take its time.
pub(super) async fn sum(bytes: Bytes, crc: bool) -> Result<Sum> {
    let summed = tokio::task::spawn_blocking(move || {
        if crc {
            Sum::Crc(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &bytes))
        } else {
            Sum::Md5(Md5::digest(&bytes).into())
        }
    });
    summed.await.map_err(|error| Error::bug("a checksum was interrupted").because(error))
}

/// The CRC-64/NVME of everything, taken as it passes.
pub(super) struct Whole(Digest);

impl Whole {
    pub(super) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Nvme))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(&self) -> Sum {
        Sum::Crc(self.0.finalize())
    }
}

/// The ETag that a store gives to parts whose ETags are their MD5.
pub(super) fn etag_of_parts(sums: &[[u8; 16]]) -> String {
    format!("{}-{}", hex(&Md5::digest(sums.concat())), sums.len())
}

/// Compares what the store says of the object with what was sent. `etag`: what its ETag must be, where that is known.
/// Returns the checksum that the store thereby confirmed.
pub(super) fn confirm(key: &str, found: &HeadObjectOutput, whole: Sum, etag: Option<&str>) -> Result<Option<String>> {
    let says = found.e_tag().unwrap_or_default().trim_matches('"');
    if let Some(etag) = etag
        && says != etag
    {
        return Err(Error::corrupt(format!("the store holds {key:?} with ETag {says} instead of {etag}")));
    }
    let whole = whole.base64();
    match found.checksum_crc64_nvme() {
        // Of a composite sum (its own mark is a `-`) nothing can be said.
        Some(sum) if found.checksum_type() == Some(&ChecksumType::Composite) || sum.contains('-') => {}
        Some(sum) if sum == whole => return Ok(Some(format!("crc64nvme:{sum}"))),
        Some(sum) => {
            return Err(Error::corrupt(format!("the store holds {key:?} with CRC-64/NVME {sum} instead of {whole}")));
        }
        None => {}
    }
    Ok(etag.map(|etag| format!("md5:{etag}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn head() -> aws_sdk_s3::operation::head_object::builders::HeadObjectOutputBuilder {
        HeadObjectOutput::builder()
    }

    #[test]
    fn known_answers() {
        let mut whole = Whole::new();
        whole.update(b"1234");
        whole.update(b"56789");
        // The check value of CRC-64/NVME.
        assert_eq!(whole.finish(), Sum::Crc(0xAE8B_1486_0A79_9888));
        assert_eq!(whole.finish().base64(), "rosUhgp5mIg=");
        let md5 = Sum::Md5(Md5::digest(b"").into());
        assert_eq!(md5.base64(), "1B2M2Y8AsgTpgAmY7PhCfg==");
        assert!(md5.is_etag("\"d41d8cd98f00b204e9800998ecf8427e\""));
        assert!(!md5.is_etag("\"d41d8cd98f00b204e9800998ecf8427f\""));
        assert!(!whole.finish().is_etag("ae8b14860a799888"));
    }

    #[test]
    fn the_etag_of_parts_is_the_md5_of_their_md5s() {
        let part = Md5::digest(b"").into();
        assert_eq!(etag_of_parts(&[part]), "59adb24ef3cdbe0297f05b395827453f-1");
    }

    #[test]
    fn what_the_store_says_is_believed_only_when_it_is_what_was_sent() {
        let sum = Sum::Crc(7);
        let crc = sum.base64();
        let says = |head: &HeadObjectOutput, etag| confirm("k", head, sum, etag);
        let full = head().checksum_crc64_nvme(&crc).e_tag("\"e\"").build();
        assert_eq!(says(&full, Some("e")).unwrap(), Some(format!("crc64nvme:{crc}")));
        assert_eq!(says(&full, None).unwrap(), Some(format!("crc64nvme:{crc}")));
        assert_eq!(says(&full, Some("f")).unwrap_err().class(), Class::Corrupt);
        let other = head().checksum_crc64_nvme(Sum::Crc(8).base64()).e_tag("\"e\"").build();
        assert_eq!(says(&other, Some("e")).unwrap_err().class(), Class::Corrupt);
        let none = head().e_tag("\"e\"").build();
        assert_eq!(says(&none, Some("e")).unwrap().as_deref(), Some("md5:e"));
        assert_eq!(says(&none, None).unwrap(), None);
        let composite = head().checksum_crc64_nvme("AAAA-2").build();
        assert_eq!(says(&composite, None).unwrap(), None);
    }
}
