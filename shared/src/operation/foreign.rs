//! What did not open as one of ours: damage, or another program's archive?

use std::sync::Arc;

use crate::archive::foreign::{self, Kind};
use crate::store::{Object, Store};
use crate::{Class, Error, Result};

/// Whether another program wrote the archive; `error` is what kept it from opening as one of ours.
///
/// # Errors
/// `error`, with what was found out, when it is none; what the store says.
pub(super) async fn another_programs(store: &Arc<dyn Store>, object: &Object, error: Error) -> Result<()> {
    if error.class() != Class::Corrupt {
        return Err(error);
    }
    let found = foreign::identify(Arc::clone(store), object).await?;
    let found = match found {
        Kind::Foreign => return Ok(()),
        Kind::Ours(why) | Kind::Unknown(why) => why,
    };
    // What the error itself advises is more to the point.
    Err(match error.hint_text() {
        Some(hint) => Error::copy(&error).hint(format!("{hint} ({found})")),
        None => error.hint(format!("{}.", sentence(&found))),
    })
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What an operation says that needs a manifest.
pub(super) fn has_no_manifest(object: &Object) -> Error {
    let key = &object.key;
    Error::unsupported(format!(
        "{key} was written by another program and has no manifest, so it cannot be restored as ours"
    ))
    .hint(format!(
        "Take it out with `nightvault extract {key} --to DIR --gunzip`, then load DIR/db-dumps/NAME.sql into an empty \
             database: psql -X -v ON_ERROR_STOP=1 --single-transaction -d NEW -f FILE, or mysql NEW < FILE."
    ))
}
