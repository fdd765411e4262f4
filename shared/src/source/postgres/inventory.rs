//! Everything that stands in the catalogue: the list against which a dump is held.
//!
//! The conservation law: every row with an object id from 16384 up, of every catalogue, is either no part of a dump (a
//! member of an extension, a temporary object) or must be claimed by exactly one emitter. What nobody claims is refused
//! by name. So an object of a kind that this code has never heard of stops the dump; it is never left out.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::quote::{ident, shown};
use super::session::Session;
use crate::{Error, Result};

/// The first object id that the server gives to an object of a user.
/// <https://www.postgresql.org/docs/current/system-catalog-initial-data.html#SYSTEM-CATALOG-OID-ASSIGNMENT>
pub(super) const FIRST_USER_OID: u32 = 16384;

/// A catalogue, by its own object id: these are fixed in the server's sources.
pub(super) type Class = u32;
pub(super) const PG_TYPE: Class = 1247;
pub(super) const PG_PROC: Class = 1255;
pub(super) const PG_CLASS: Class = 1259;
pub(super) const PG_ATTRDEF: Class = 2604;
pub(super) const PG_CONSTRAINT: Class = 2606;
pub(super) const PG_NAMESPACE: Class = 2615;
pub(super) const PG_REWRITE: Class = 2618;
pub(super) const PG_TRIGGER: Class = 2620;
pub(super) const PG_EXTENSION: Class = 3079;
pub(super) const PG_ENUM: Class = 3501;
pub(super) const PG_LARGEOBJECT: Class = 2613;

/// Catalogues whose rows have no identity of their own for `pg_identify_object`; they are parts of a type.
const UNADDRESSABLE: &[&str] = &["pg_enum"];

/// An object: its catalogue and its object id.
pub(super) type Key = (Class, u32);

/// A row of a catalogue.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// What the server calls its kind: `table`, `function`, `table constraint`, …
    pub(super) kind: String,
    /// Its name, qualified and quoted by the server, unique within its kind.
    pub(super) identity: String,
    /// An emitter has it.
    pub(super) claimed: bool,
}

/// What depends on what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dependency {
    pub(super) dependent: Key,
    pub(super) on: Key,
    /// `pg_depend.deptype`.
    pub(super) kind: char,
}

/// All objects of the database that a dump must account for.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    objects: BTreeMap<Key, Object>,
    /// All dependencies among user objects.
    pub(super) dependencies: Vec<Dependency>,
}

impl Inventory {
    /// Reads it in the session's snapshot.
    pub(super) async fn read(session: &mut Session) -> Result<Self> {
        let mut inventory = Self::default();
        let mut relations = HashMap::new();
        let everything = query(&catalogs(session).await?);
        for row in session.rows("reading the inventory", &everything).await? {
            let key = (row.oid("class")?, row.oid("oid")?);
            let fallback = || format!("{} {}", row.text("catalog").unwrap_or_default(), key.1);
            let identity = row.optional("identity")?.unwrap_or_else(fallback);
            let kind = row.optional("kind")?.unwrap_or_else(|| "object".to_owned());
            if let Some(letter) = row.optional("relkind")? {
                relations.insert(key.1, letter);
            }
            inventory.objects.insert(key, Object { kind, identity, claimed: false });
        }
        let mut all = Vec::new();
        let query = format!(
            "SELECT classid::int8 AS class, objid::int8 AS oid, refclassid::int8 AS on_class, refobjid::int8 AS on_oid, \
             deptype::text AS kind FROM pg_depend WHERE objid >= {FIRST_USER_OID} \
             ORDER BY classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype"
        );
        for row in session.rows("reading the dependencies", &query).await? {
            all.push(Dependency {
                dependent: (row.oid("class")?, row.oid("oid")?),
                on: (row.oid("on_class")?, row.oid("on_oid")?),
                kind: row.text("kind")?.chars().next().unwrap_or(' '),
            });
        }
        let temporary = format!(
            "SELECT oid::int8 AS oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_' AND oid >= {FIRST_USER_OID}"
        );
        let mut foreign: HashSet<Key> = HashSet::new();
        for row in session.rows("looking for temporary schemas", &temporary).await? {
            foreign.insert((PG_NAMESPACE, row.oid("oid")?));
        }
        let schemas = foreign.clone();
        exclude(&mut foreign, &schemas, &all, &relations);
        inventory.objects.retain(|key, _| !foreign.contains(key));
        inventory.dependencies = all;
        Ok(inventory)
    }

    /// Whether the object is one that the dump must account for.
    pub(super) fn has(&self, class: Class, oid: u32) -> bool {
        self.objects.contains_key(&(class, oid))
    }

    /// What is known of the object.
    pub(super) fn get(&self, key: Key) -> Option<&Object> {
        self.objects.get(&key)
    }

    /// Takes an object for one emitter. `false` when it is no part of the dump; an error when another emitter has it.
    pub(super) fn claim(&mut self, class: Class, oid: u32) -> Result<bool> {
        match self.objects.get_mut(&(class, oid)) {
            None => Ok(false),
            Some(object) if object.claimed => {
                Err(Error::bug(format!("{} {} is dumped twice", object.kind, shown(&object.identity))))
            }
            Some(object) => {
                object.claimed = true;
                Ok(true)
            }
        }
    }

    /// Refuses the dump when anything was left unclaimed, and names it.
    pub(super) fn refuse_unclaimed(&self) -> Result<()> {
        /// How many names one message holds.
        const SHOWN: usize = 20;
        let names: Vec<String> = self
            .objects
            .values()
            .filter(|object| !object.claimed)
            .map(|object| format!("{} {}", object.kind, shown(&object.identity)))
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        let mut text = names[..names.len().min(SHOWN)].join(", ");
        if names.len() > SHOWN {
            text.push_str(&format!(" and {} more", names.len() - SHOWN));
        }
        Err(Error::unsupported(format!("the database holds what cannot be dumped faithfully: {text}"))
            .hint("Remove these objects, or dump this database with pg_dump; nothing was left out in silence."))
    }
}

/// Adds to `foreign` what belongs to extensions and to temporary schemas, with everything that is a part of it.
fn exclude(foreign: &mut HashSet<Key>, schemas: &HashSet<Key>, all: &[Dependency], relations: &HashMap<u32, String>) {
    let mut dependents: HashMap<Key, Vec<Dependency>> = HashMap::new();
    for dependency in all {
        dependents.entry(dependency.on).or_default().push(*dependency);
        if dependency.kind == 'e' && dependency.on.0 == PG_EXTENSION {
            foreign.insert(dependency.dependent);
        }
    }
    let mut waiting: Vec<Key> = foreign.iter().copied().collect();
    while let Some(owner) = waiting.pop() {
        for dependency in dependents.get(&owner).into_iter().flatten() {
            let key = dependency.dependent;
            // An index, a default or a constraint of an extension's table is the extension's own business; a table of
            // the user's that hangs on it (a partition, a sequence given to one of its columns) is not.
            let stands_alone =
                key.0 == PG_CLASS && !matches!(relations.get(&key.1).map(String::as_str), Some("i" | "I" | "t" | "c"));
            let part = match dependency.kind {
                'i' | 'P' | 'S' => true,
                'a' => !stands_alone && key.0 != PG_EXTENSION,
                _ => schemas.contains(&owner),
            };
            if part && foreign.insert(key) {
                waiting.push(key);
            }
        }
    }
}

/// The names of all catalogues of this database that have an object id.
async fn catalogs(session: &mut Session) -> Result<Vec<String>> {
    let query = "SELECT c.relname AS name FROM pg_class c \
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'oid' AND NOT a.attisdropped \
                 WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND NOT c.relisshared ORDER BY 1";
    let rows = session.rows("reading the list of catalogues", query).await?;
    rows.iter().map(|row| row.text("name")).collect()
}

/// One query over all of them.
fn query(catalogs: &[String]) -> String {
    let mut parts: Vec<String> = catalogs
        .iter()
        .map(|name| {
            let class = format!("'pg_catalog.{name}'::regclass::oid");
            match name.as_str() {
                // Its rows are addressed as those of the table that holds the bytes.
                "pg_largeobject_metadata" => {
                    format!("SELECT {PG_LARGEOBJECT}::oid AS class, oid, '{name}' AS catalog, NULL AS relkind FROM {name}")
                }
                // The catalogue itself holds passwords and may be read by superusers only; the view may by all.
                "pg_user_mapping" => {
                    format!("SELECT {class} AS class, umid AS oid, '{name}' AS catalog, NULL AS relkind FROM pg_user_mappings")
                }
                "pg_class" => format!("SELECT {class} AS class, oid, '{name}' AS catalog, relkind::text FROM {name}"),
                _ => format!("SELECT {class} AS class, oid, '{name}' AS catalog, NULL AS relkind FROM {}", ident(name)),
            }
        })
        .collect();
    parts.push(
        "SELECT 'pg_catalog.pg_subscription'::regclass::oid AS class, oid, 'pg_subscription' AS catalog, NULL AS relkind \
         FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
            .to_owned(),
    );
    let unaddressable: Vec<String> = UNADDRESSABLE.iter().map(|name| format!("'{name}'")).collect();
    format!(
        "SELECT o.class::int8 AS class, o.oid::int8 AS oid, o.catalog, o.relkind, i.type AS kind, i.identity \
         FROM ({}) o LEFT JOIN LATERAL \
         pg_identify_object(CASE WHEN o.catalog NOT IN ({}) THEN o.class END, o.oid, 0) i ON true \
         WHERE o.oid >= {FIRST_USER_OID} ORDER BY 1, 2",
        parts.join(" UNION ALL "),
        unaddressable.join(", ")
    )
}
