//! A warning for what restores only by luck: functions that run while rows are loaded or indexes built, and that find
//! their tables by the search path of whoever calls them. During a restore that path is empty and the restore stops; it
//! is better to hear of that on the day of the backup than on the day of need.
//!
//! The body of a function is not parsed, so the warning names every function that may be concerned.

use super::inventory::FIRST_USER_OID;
use super::plan::Plan;
use super::quote::shown;
use super::session::Session;
use crate::Result;

/// Adds the warning to the plan.
pub(super) async fn read(session: &mut Session, plan: &mut Plan) -> Result<()> {
    let query = format!(
        "SELECT DISTINCT f.identity AS name FROM pg_depend d \
         JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid \
         JOIN pg_language l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql') \
         CROSS JOIN LATERAL pg_identify_object('pg_proc'::regclass, p.oid, 0) f \
         WHERE p.oid >= {FIRST_USER_OID} AND to_jsonb(p) ->> 'prosqlbody' IS NULL \
         AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search\\_path=%') \
         AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e') \
         AND (d.classid = 'pg_constraint'::regclass AND EXISTS (SELECT FROM pg_constraint k WHERE k.oid = d.objid AND k.contype = 'c') \
           OR d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_class i WHERE i.oid = d.objid AND i.relkind IN ('i', 'I')) \
           OR d.classid = 'pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_attrdef a JOIN pg_attribute c ON c.attrelid = a.adrelid \
             AND c.attnum = a.adnum WHERE a.oid = d.objid AND c.attgenerated <> '') \
           OR d.classid = 'pg_rewrite'::regclass AND EXISTS (SELECT FROM pg_rewrite r JOIN pg_class m ON m.oid = r.ev_class \
             WHERE r.oid = d.objid AND m.relkind = 'm')) ORDER BY 1"
    );
    let rows = session.rows("looking for functions that depend on the search path", &query).await?;
    let names = rows.iter().map(|row| Ok(shown(&row.text("name")?))).collect::<Result<Vec<_>>>()?;
    if !names.is_empty() {
        plan.warnings.push(format!(
            "these functions run during a restore and set no search_path; where their bodies use names without a schema, \
             the restore will stop: {}",
            names.join(", ")
        ));
    }
    Ok(())
}
