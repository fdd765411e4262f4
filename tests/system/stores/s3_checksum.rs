//! CRC-64/NVME over the whole object, as AWS keeps it. No server here does, so that a proxy speaks AWS's part: it
//! confirms the checksum when an upload is started, and says of the object what the test tells it to say.

use std::sync::Arc;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nightvault_core::Class;
use nightvault_core::store::{Store, open};

use super::proxy::{Act, Op, Proxy};
use super::rig::{PART, assert_class, assert_nothing_visible, limits, noise, put};
use crate::support::s3::{Bucket, bucket};

const KEY: &str = "clinic/2024-01-15-02-00-00.zip";

/// Bit by bit, as the standard writes it down.
fn crc64_nvme(bytes: &[u8]) -> String {
    let mut table = [0_u64; 256];
    for (number, entry) in table.iter_mut().enumerate() {
        *entry = (0..8).fold(number as u64, |crc, _| (crc >> 1) ^ (0x9A6C_9329_AC4B_C9B5 * (crc & 1)));
    }
    let crc = bytes.iter().fold(u64::MAX, |crc, byte| (crc >> 8) ^ table[usize::from(crc as u8 ^ byte)]);
    STANDARD.encode((crc ^ u64::MAX).to_be_bytes())
}

/// A store whose server confirms whole-object sums, and says of objects what stands in `says`.
async fn summing(says: &Arc<Mutex<String>>) -> (Bucket, Proxy, Arc<dyn Store>) {
    let bucket = bucket().await;
    let said = Arc::clone(says);
    let proxy = Proxy::start(&bucket.endpoint, move |request| {
        let headers = match request.op {
            Op::Create => "x-amz-checksum-algorithm: CRC64NVME\r\nx-amz-checksum-type: FULL_OBJECT".to_owned(),
            Op::Head => {
                format!("x-amz-checksum-crc64nvme: {}\r\nx-amz-checksum-type: FULL_OBJECT", said.lock().unwrap())
            }
            _ => return Act::Pass,
        };
        Act::Edit(Box::new(move |head| head.replacen("\r\n", &format!("\r\n{headers}\r\n"), 1)))
    })
    .await;
    let store = open(&bucket.disk_at(&proxy.endpoint, ""), &limits()).await.unwrap();
    (bucket, proxy, store)
}

#[tokio::test]
async fn parts_and_completion_carry_the_sum_and_the_object_must_have_it() {
    let bytes = noise(2 * PART + 7, 1);
    let whole = crc64_nvme(&bytes);
    let says = Arc::new(Mutex::new(whole.clone()));
    let (bucket, proxy, store) = summing(&says).await;
    let stored = put(store.as_ref(), KEY, &bytes, None).await.unwrap();
    assert_eq!(stored.checksum, Some(format!("crc64nvme:{whole}")));
    for request in proxy.seen() {
        let sum = request.header("x-amz-checksum-crc64nvme");
        match request.op {
            Op::Create => assert_eq!(request.header("x-amz-checksum-type"), Some("FULL_OBJECT")),
            Op::Part(number) => {
                let from = (number as usize - 1) * PART;
                let part = &bytes[from..bytes.len().min(from + PART)];
                assert_eq!(sum, Some(crc64_nvme(part).as_str()), "part {number}");
                assert_eq!(request.header("content-md5"), None, "one sum is enough");
            }
            Op::Complete => {
                assert_eq!(sum, Some(whole.as_str()));
                assert_eq!(request.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
                assert_eq!(request.header("x-amz-mp-object-size"), Some(bytes.len().to_string().as_str()));
                assert_eq!(request.header("if-none-match"), Some("*"));
            }
            _ => {}
        }
    }
    bucket.remove().await;
}

#[tokio::test]
async fn an_object_with_another_sum_is_told_and_removed() {
    for size in [10, PART + 1] {
        let bytes = noise(size, 2);
        let says = Arc::new(Mutex::new(crc64_nvme(b"something else")));
        let (bucket, _, store) = summing(&says).await;
        assert_class(put(store.as_ref(), KEY, &bytes, None).await, Class::Corrupt);
        assert_nothing_visible(store.as_ref(), KEY).await;
        assert_eq!(bucket.uploads().await, 0);
        *says.lock().unwrap() = crc64_nvme(&bytes);
        put(store.as_ref(), KEY, &bytes, None).await.unwrap();
        bucket.remove().await;
    }
}
