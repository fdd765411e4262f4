//! Notes as tags of an object: `nightvault-<name>`.
//!
//! S3 replaces all tags of an object at once, so the others are read first and written back with ours. Two writers at the
//! same moment can therefore lose a tag; S3 knows no condition that would prevent it.

use aws_sdk_s3::types::{Tag, Tagging};

use super::super::{Notes, not_found};
use super::S3Store;
use super::fault::Fault;
use crate::{Error, Result};

/// What the names of our tags start with.
const PREFIX: &str = "nightvault-";

/// The tags of an object.
enum Tags {
    Found(Vec<Tag>),
    /// There is no such object.
    Gone,
    /// The store knows no tags.
    Unknown,
}

/// The notes beside an object.
pub(super) async fn notes(store: &S3Store, key: &str) -> Result<Option<Notes>> {
    Ok(match read(store, key).await? {
        Tags::Unknown => None,
        Tags::Gone => Some(Notes::new()),
        Tags::Found(tags) => {
            let note = |tag: Tag| Some((tag.key.strip_prefix(PREFIX)?.to_owned(), tag.value));
            Some(tags.into_iter().filter_map(note).collect())
        }
    })
}

/// Writes one tag, or takes it away (`None`); false where the store knows none.
pub(super) async fn note(store: &S3Store, key: &str, name: &str, value: Option<&str>) -> Result<bool> {
    let mut tags = match read(store, key).await? {
        Tags::Unknown => return Ok(false),
        Tags::Gone => return Err(not_found(&store.place().disk, key)),
        Tags::Found(tags) => tags,
    };
    let name = format!("{PREFIX}{name}");
    if value.is_none() && tags.iter().all(|tag| tag.key != name) {
        return Ok(true);
    }
    tags.retain(|tag| tag.key != name);
    let unmade = |error| Error::bug(format!("tags of {key:?} cannot be written")).because(error);
    if let Some(value) = value {
        tags.push(Tag::builder().key(name).value(value).build().map_err(unmade)?);
    }
    let tagging = Tagging::builder().set_tag_set(Some(tags)).build().map_err(unmade)?;
    let put = store.client().put_object_tagging().bucket(store.bucket()).key(store.full(key)).tagging(tagging);
    match put.send().await.map_err(Fault::of) {
        Ok(_) => Ok(true),
        Err(fault) if fault.is_unknown_request() => Ok(false),
        Err(fault) => Err(fault.error(store.place(), &format!("tag {key:?}"), "s3:PutObjectTagging")),
    }
}

async fn read(store: &S3Store, key: &str) -> Result<Tags> {
    let get = store.client().get_object_tagging().bucket(store.bucket()).key(store.full(key));
    Ok(match get.send().await.map_err(Fault::of) {
        Ok(found) => Tags::Found(found.tag_set),
        Err(fault) if fault.is("NoSuchTagSet") => Tags::Found(Vec::new()),
        Err(fault) if fault.is_unknown_request() => Tags::Unknown,
        Err(fault) if fault.status == Some(404) && !fault.is("NoSuchBucket") => Tags::Gone,
        Err(fault) => {
            return Err(fault.error(store.place(), &format!("read the tags of {key:?}"), "s3:GetObjectTagging"));
        }
    })
}
