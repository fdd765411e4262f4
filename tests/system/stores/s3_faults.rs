//! S3 when things go wrong: each test breaks one thing between the store and its server, and says what must hold then.

use std::sync::Arc;

use nightvault_core::Class;
use nightvault_core::store::{Review, Store, open};
use tokio::sync::Notify;

use super::proxy::{Act, Op, Proxy, Request, refusal};
use super::rig::{PART, assert_class, assert_nothing_visible, get, limits, noise, put};
use crate::support::s3::{Bucket, bucket};

const KEY: &str = "clinic/2024-01-15-02-00-00.zip";

/// A bucket, and a store that reaches it through a proxy with this rule.
async fn through(rule: impl Fn(&Request) -> Act + Send + Sync + 'static) -> (Bucket, Proxy, Arc<dyn Store>) {
    let bucket = bucket().await;
    let proxy = Proxy::start(&bucket.endpoint, rule).await;
    let store = open(&bucket.disk_at(&proxy.endpoint, ""), &limits()).await.unwrap();
    (bucket, proxy, store)
}

/// What a store without a proxy says, and the server's own count of uploads.
async fn assert_nothing_left(bucket: &Bucket) {
    let store = open(&bucket.disk(), &limits()).await.unwrap();
    assert_nothing_visible(store.as_ref(), KEY).await;
    assert_eq!(bucket.uploads().await, 0, "no upload is in progress");
}

async fn assert_stored(bucket: &Bucket, bytes: &[u8]) {
    let store = open(&bucket.disk(), &limits()).await.unwrap();
    let object = store.head(KEY).await.unwrap().expect("the object is there");
    assert!(get(store.as_ref(), &object).await == bytes);
    assert_eq!(bucket.uploads().await, 0, "no upload is in progress");
}

#[tokio::test]
async fn a_busy_store_is_asked_again() {
    let (bucket, proxy, store) = through(|request| match request.before {
        0 if request.op != Op::List => Act::Answer(503, refusal("SlowDown")),
        _ => Act::Pass,
    })
    .await;
    let bytes = noise(3 * PART, 1);
    put(store.as_ref(), KEY, &bytes, None).await.unwrap();
    assert_stored(&bucket, &bytes).await;
    assert!(proxy.count(Op::Complete) == 2 && proxy.count(Op::Create) == 2);
    bucket.remove().await;
}

#[tokio::test]
async fn a_lost_answer_of_the_last_step_is_found_out_by_looking() {
    for size in [10, PART + 1] {
        let (bucket, proxy, store) = through(|request| match request.op {
            Op::Put | Op::Complete => Act::Lose,
            _ => Act::Pass,
        })
        .await;
        let bytes = noise(size, 2);
        let stored = put(store.as_ref(), KEY, &bytes, None).await.unwrap();
        assert_eq!(stored.object.size, size as u64);
        assert_stored(&bucket, &bytes).await;
        assert_eq!(proxy.count(Op::Put) + proxy.count(Op::Complete), 1, "what was done is not done again");
        bucket.remove().await;
    }
}

#[tokio::test]
async fn a_last_step_that_never_arrived_is_taken_again() {
    for size in [10, PART + 1] {
        let (bucket, _, store) = through(|request| match request.op {
            Op::Put | Op::Complete if request.before == 0 => Act::Drop,
            _ => Act::Pass,
        })
        .await;
        let bytes = noise(size, 3);
        put(store.as_ref(), KEY, &bytes, None).await.unwrap();
        assert_stored(&bucket, &bytes).await;
        bucket.remove().await;
    }
}

#[tokio::test]
async fn an_error_inside_a_200_is_an_error_unless_the_object_is_there() {
    for done in [false, true] {
        let (bucket, proxy, store) = through(move |request| match request.op {
            Op::Complete if request.before == 0 && done => Act::AnswerAfter(200, refusal("InternalError")),
            Op::Complete if request.before == 0 => Act::Answer(200, refusal("InternalError")),
            _ => Act::Pass,
        })
        .await;
        let bytes = noise(PART + 1, 4);
        put(store.as_ref(), KEY, &bytes, None).await.unwrap();
        assert_stored(&bucket, &bytes).await;
        assert_eq!(proxy.count(Op::Complete), if done { 1 } else { 2 });
        bucket.remove().await;
    }
}

#[tokio::test]
async fn an_object_of_somebody_else_is_never_taken_for_ours() {
    for size in [10, PART + 1] {
        // The last step is lost, and what is there then was stored by another run meanwhile.
        let (bucket, _, store) = through(|request| match request.op {
            Op::Put | Op::Complete => Act::Drop,
            Op::Head if request.before < 2 => Act::Answer(404, String::new()),
            _ => Act::Pass,
        })
        .await;
        let bytes = noise(size, 5);
        let direct = open(&bucket.disk(), &limits()).await.unwrap();
        put(direct.as_ref(), KEY, &bytes, None).await.unwrap();
        assert_class(put(store.as_ref(), KEY, &bytes, None).await, Class::AlreadyExists);
        assert_stored(&bucket, &bytes).await;
        bucket.remove().await;
    }
}

#[tokio::test]
async fn a_conflict_that_lasts_means_that_the_key_is_taken() {
    let (bucket, _, store) = through(|request| match request.op {
        Op::Put => Act::Answer(409, refusal("ConditionalRequestConflict")),
        _ => Act::Pass,
    })
    .await;
    assert_class(put(store.as_ref(), KEY, b"x", None).await, Class::AlreadyExists);
    assert_nothing_left(&bucket).await;
    bucket.remove().await;
}

#[tokio::test]
async fn whatever_request_is_refused_nothing_is_left() {
    let refused = [(Op::Create, "start"), (Op::Part(1), "part 1"), (Op::Part(3), "part 3"), (Op::Complete, "store")];
    for (op, named) in refused {
        let (bucket, _, store) = through(move |request| match request.op == op {
            true => Act::Answer(403, refusal("AccessDenied")),
            false => Act::Pass,
        })
        .await;
        let error = put(store.as_ref(), KEY, &noise(4 * PART, 6), None).await.unwrap_err();
        assert_eq!(error.class(), Class::Permission, "{error:?}");
        assert!(error.to_string().contains(named), "{error}");
        assert!(error.hint_text().unwrap().contains("s3:PutObject"), "{:?}", error.hint_text());
        assert_nothing_left(&bucket).await;
        bucket.remove().await;
    }
}

#[tokio::test]
async fn a_failing_abort_never_hides_the_first_error() {
    let (bucket, proxy, store) = through(|request| match request.op {
        Op::Part(2) => Act::Answer(403, refusal("AccessDenied")),
        Op::Abort => Act::Answer(500, refusal("InternalError")),
        _ => Act::Pass,
    })
    .await;
    assert_class(put(store.as_ref(), KEY, &noise(3 * PART, 7), None).await, Class::Permission);
    assert!(proxy.count(Op::Abort) > 0);
    bucket.remove().await;
}

#[tokio::test]
async fn an_abort_is_repeated_until_no_part_is_left() {
    let late = "<?xml version=\"1.0\"?><ListPartsResult><Part><PartNumber>1</PartNumber><Size>1</Size></Part></ListPartsResult>";
    let (bucket, proxy, store) = through(move |request| match request.op {
        Op::ListParts if request.before < 2 => Act::Answer(200, late.to_owned()),
        _ => Act::Pass,
    })
    .await;
    let mut upload = store.create(KEY, None).await.unwrap();
    upload.write(noise(2 * PART, 8).into()).await.unwrap();
    upload.abort().await.unwrap();
    assert_eq!(proxy.count(Op::Abort), 3);
    assert_nothing_left(&bucket).await;
    bucket.remove().await;
}

#[tokio::test]
async fn a_dropped_upload_is_aborted_on_the_side() {
    let (bucket, proxy, store) = through(|_| Act::Pass).await;
    let mut upload = store.create(KEY, None).await.unwrap();
    upload.write(noise(3 * PART, 9).into()).await.unwrap();
    drop(upload);
    proxy.wait_for(Op::ListParts, 1).await;
    assert_nothing_left(&bucket).await;
    bucket.remove().await;
}

#[tokio::test]
async fn no_more_parts_travel_than_are_allowed() {
    let go = Arc::new(Notify::new());
    let held = Arc::clone(&go);
    let (bucket, proxy, store) = through(move |request| match request.op {
        Op::Part(_) => Act::Hold(Arc::clone(&held)),
        _ => Act::Pass,
    })
    .await;
    let bytes = noise(6 * PART, 10);
    let sending = tokio::spawn({
        let (store, bytes) = (Arc::clone(&store), bytes.clone());
        async move { put(store.as_ref(), KEY, &bytes, None).await }
    });
    while !sending.is_finished() {
        go.notify_one();
        tokio::task::yield_now().await;
    }
    sending.await.unwrap().unwrap();
    assert_eq!(proxy.parts_at_once(), limits().parts_in_flight);
    assert_stored(&bucket, &bytes).await;
    bucket.remove().await;
}

#[tokio::test]
async fn bytes_that_change_on_their_way_are_sent_again() {
    for size in [10, PART + 1] {
        let (bucket, _, store) = through(|request| match request.op {
            Op::Put | Op::Part(1) if request.before == 0 => Act::Flip,
            _ => Act::Pass,
        })
        .await;
        let bytes = noise(size, 11);
        put(store.as_ref(), KEY, &bytes, None).await.unwrap();
        assert_stored(&bucket, &bytes).await;
        bucket.remove().await;
    }
}

#[tokio::test]
async fn bytes_that_always_change_on_their_way_are_not_stored() {
    let (bucket, _, store) = through(|request| match request.op {
        Op::Part(1) => Act::Flip,
        _ => Act::Pass,
    })
    .await;
    assert_class(put(store.as_ref(), KEY, &noise(PART + 1, 11), None).await, Class::Transient);
    assert_nothing_left(&bucket).await;
    bucket.remove().await;
}

#[tokio::test]
async fn an_object_that_is_not_what_was_sent_is_told_and_removed() {
    type Change = fn(&str) -> String;
    let edits: [(&str, Change); 2] = [
        ("content-length", |head| head.replace(&format!("content-length: {}", PART + 1), "content-length: 5")),
        ("etag", |head| head.replace("etag: \"", "etag: \"0")),
    ];
    for (name, edit) in edits {
        let (bucket, proxy, store) = through(move |request| match request.op {
            // The looks before the completion find nothing; the one after it is told something else.
            Op::Head if request.before == 2 => Act::Edit(Box::new(edit)),
            _ => Act::Pass,
        })
        .await;
        assert_class(put(store.as_ref(), KEY, &noise(PART + 1, 12), None).await, Class::Corrupt);
        assert_eq!(proxy.count(Op::Delete), 1, "{name}");
        assert_nothing_left(&bucket).await;
        bucket.remove().await;
    }
}

#[tokio::test]
async fn a_read_that_breaks_off_goes_on_where_it_was() {
    let (bucket, proxy, store) = through(|request| match request.op {
        Op::Get if request.before < 3 => Act::Cut(1000),
        _ => Act::Pass,
    })
    .await;
    let bytes = noise(100_000, 13);
    let stored = put(store.as_ref(), KEY, &bytes, None).await.unwrap();
    assert!(store.read(KEY, 10..90_000, None).await.unwrap() == bytes[10..90_000]);
    let gets: Vec<_> = proxy.seen().into_iter().filter(|request| request.op == Op::Get).collect();
    assert!(gets.len() >= 4);
    let meant = format!("\"{}\"", stored.object.etag.unwrap());
    assert!(gets[1..].iter().all(|get| get.header("if-match") == Some(&meant)), "the same version goes on");
    bucket.remove().await;
}

#[tokio::test]
async fn a_read_that_breaks_off_for_ever_ends_with_an_error() {
    let (bucket, _, store) = through(|request| match request.op {
        Op::Get => Act::Cut(0),
        _ => Act::Pass,
    })
    .await;
    put(store.as_ref(), KEY, b"0123456789", None).await.unwrap();
    assert_class(store.read(KEY, 0..10, None).await, Class::Transient);
    bucket.remove().await;
}

#[tokio::test]
async fn an_answer_with_other_bytes_than_asked_for_is_refused() {
    let whole = || Act::Answer(200, "0123456789".to_owned());
    let (bucket, _, store) = through(move |request| match request.op {
        Op::Get => whole(),
        _ => Act::Pass,
    })
    .await;
    put(store.as_ref(), KEY, b"0123456789", None).await.unwrap();
    assert_class(store.read(KEY, 2..4, None).await, Class::Unsupported);
    bucket.remove().await;
}

#[tokio::test]
async fn one_delete_that_is_denied_is_told_and_the_others_work() {
    let (bucket, _, store) = through(|request| match request.op {
        Op::Delete if request.head.contains("locked") => Act::Answer(403, refusal("AccessDenied")),
        _ => Act::Pass,
    })
    .await;
    put(store.as_ref(), "clinic/locked.zip", b"x", None).await.unwrap();
    put(store.as_ref(), "clinic/free.zip", b"x", None).await.unwrap();
    let error = store.delete("clinic/locked.zip").await.unwrap_err();
    assert_eq!(error.class(), Class::Permission);
    assert!(error.hint_text().unwrap().contains("s3:DeleteObject"));
    store.delete("clinic/free.zip").await.unwrap();
    assert_eq!(store.list("").await.unwrap().len(), 1);
    bucket.remove().await;
}

#[tokio::test]
async fn no_request_uses_what_compatible_stores_refuse() {
    let (bucket, proxy, store) = through(|_| Act::Pass).await;
    put(store.as_ref(), KEY, &noise(2 * PART + 1, 14), None).await.unwrap();
    put(store.as_ref(), "clinic/small.zip", b"x", None).await.unwrap();
    for request in proxy.seen() {
        let head = request.head.to_ascii_lowercase();
        for refused in ["x-amz-trailer", "aws-chunked", "transfer-encoding", "streaming-", "x-amz-sdk-checksum"] {
            assert!(!head.contains(refused), "{refused} in {head}");
        }
        if matches!(request.op, Op::Put | Op::Part(_)) {
            assert!(request.header("content-md5").is_some(), "{head}");
        }
    }
    bucket.remove().await;
}

#[tokio::test]
async fn a_store_without_conditions_is_looked_at_instead() {
    for size in [10, PART + 1] {
        let (bucket, _, store) = through(|request| match request.op {
            Op::Put | Op::Complete if request.header("if-none-match").is_some() => {
                Act::Answer(501, refusal("NotImplemented"))
            }
            _ => Act::Pass,
        })
        .await;
        let bytes = noise(size, 15);
        let mut late = store.create(KEY, None).await.unwrap();
        late.write(bytes.clone().into()).await.unwrap();
        put(store.as_ref(), KEY, &bytes, None).await.unwrap();
        assert_class(late.complete(&Review { bytes: size as u64 }).await, Class::AlreadyExists);
        assert_stored(&bucket, &bytes).await;
        bucket.remove().await;
    }
}
