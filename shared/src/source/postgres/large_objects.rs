//! Large objects: made with the object ids that tables refer to them by, and filled in slices, so that memory holds one
//! slice and never an object.

use super::inventory::PG_LARGEOBJECT;
use super::plan::Plan;
use super::quote::ident;
use super::session::Session;
use crate::Result;
use crate::source::DumpWriter;

/// Bytes that one statement reads, and one statement of the dump writes.
const SLICE_BYTES: usize = 256 << 10;

/// A large object and its owner.
pub(super) struct LargeObject {
    oid: u32,
    owner: String,
}

/// Claims them; their bytes are read later.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<Vec<LargeObject>> {
    let query = "SELECT oid::int8 AS oid, pg_get_userbyid(lomowner) AS owner FROM pg_largeobject_metadata ORDER BY oid";
    let mut objects = Vec::new();
    for row in session.rows("reading the large objects", query).await? {
        let oid = row.oid("oid")?;
        // One below the ids of users can be made by name; it is a user's all the same.
        plan.inventory.claim(PG_LARGEOBJECT, oid)?;
        plan.count("large object");
        let owner = row.text("owner")?;
        plan.roles.insert(owner.clone());
        objects.push(LargeObject { oid, owner });
    }
    Ok(objects)
}

/// Dumps one.
pub(super) async fn dump(session: &mut Session, object: &LargeObject, out: &mut DumpWriter<'_>) -> Result<()> {
    let oid = object.oid;
    out.progress().set_current(format!("large object {oid}"));
    out.put_str(&format!("SELECT pg_catalog.lo_create({oid});\n"));
    out.put_str(&format!("ALTER LARGE OBJECT {oid} OWNER TO {};\n", ident(&object.owner)));
    let mut offset = 0;
    loop {
        let query = format!("SELECT encode(lo_get({oid}, {offset}, {SLICE_BYTES}), 'hex') AS bytes");
        let slice = session.row(&format!("reading the large object {oid}"), &query).await?.text("bytes")?;
        if slice.is_empty() {
            return Ok(());
        }
        out.put_str(&format!("SELECT pg_catalog.lo_put({oid}, {offset}, pg_catalog.decode('"));
        out.put_str(&slice);
        out.put_str("', 'hex'));\n");
        out.flush_if_full().await?;
        offset += slice.len() / 2;
    }
}
