//! The schema part of a dump: items, what each must stand behind, and the order that follows from it.
//!
//! Three sections: what the rows need (tables, types, functions), the rows, and what must not be there while they are
//! loaded (indexes, constraints, triggers). Within a section an item stands behind everything that it depends on, and
//! items that do not depend on each other are ordered by kind and name, so that the same database gives the same bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::inventory::{Class, Inventory, Key, PG_CLASS, PG_PROC};
use super::quote::shown;
use crate::{Error, Result};

/// Where in the dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    /// Before the rows.
    PreData,
    /// Behind the rows.
    PostData,
    /// Behind everything: privileges, and what needs them.
    Last,
}

/// What comes first among items that do not depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Schema,
    Extension,
    Collation,
    Type,
    Function,
    Aggregate,
    Operator,
    Cast,
    TextSearch,
    Sequence,
    Table,
    View,
    SequenceOwner,
    Default,
    Check,
    AttachTable,
    Index,
    Constraint,
    AttachIndex,
    IndexDetail,
    Statistics,
    ForeignKey,
    Rule,
    Trigger,
    Policy,
    Publication,
    Database,
    Acl,
    DefaultAcl,
    Refresh,
    EventTrigger,
}

/// The number of an item in its plan.
pub(super) type ItemId = usize;

/// A piece of SQL with its place.
#[derive(Debug)]
pub(super) struct Item {
    section: Section,
    rank: Rank,
    name: String,
    /// Complete statements, each ended by a semicolon and a newline.
    sql: String,
    after: BTreeSet<ItemId>,
    /// For a view: the SQL of a stand-in with the same columns, which can be replaced by the real one later.
    stand_in: Option<String>,
}

/// All items of a dump.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Everything that must be accounted for.
    pub(super) inventory: Inventory,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
    /// How many objects of each kind.
    pub(super) counts: BTreeMap<String, u64>,
    /// Roles that the dump names: they must be there before it is restored.
    pub(super) roles: BTreeSet<String>,
    /// Items that attach a partition, with the table to which they do.
    pub(super) attached: Vec<(ItemId, u32)>,
    /// Items that fill a materialized view, with the view.
    pub(super) refreshes: Vec<(u32, ItemId)>,
    items: Vec<Item>,
    providers: HashMap<Key, ItemId>,
}

/// The SQL of the sections, in order.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    pub(super) pre_data: Vec<String>,
    pub(super) post_data: Vec<String>,
}

impl Plan {
    /// An empty plan over an inventory.
    pub(super) fn new(inventory: Inventory) -> Self {
        Self { inventory, ..Self::default() }
    }

    /// Whether the dump must account for the object.
    pub(super) fn has(&self, class: Class, oid: u32) -> bool {
        self.inventory.has(class, oid)
    }

    /// Whether the object's expression calls a function of the user's.
    pub(super) fn uses_functions(&self, key: Key) -> bool {
        self.uses(key, |on| on.0 == PG_PROC)
    }

    /// Whether the object depends on one that the dump makes and that `of_interest` picks.
    pub(super) fn uses(&self, key: Key, of_interest: impl Fn(Key) -> bool) -> bool {
        let all = &self.inventory.dependencies;
        let start = all.partition_point(|dependency| dependency.dependent < key);
        all[start..]
            .iter()
            .take_while(|dependency| dependency.dependent == key)
            .any(|dependency| of_interest(dependency.on) && self.inventory.has(dependency.on.0, dependency.on.1))
    }

    /// The object's name as the server writes it.
    pub(super) fn identity(&self, class: Class, oid: u32) -> String {
        self.inventory.get((class, oid)).map_or_else(|| oid.to_string(), |object| object.identity.clone())
    }

    /// Adds the item that makes an object, claims the object and counts it as `kind`.
    pub(super) fn create(
        &mut self,
        key: Key,
        kind: &str,
        (section, rank): (Section, Rank),
        sql: String,
    ) -> Result<ItemId> {
        let name = self.identity(key.0, key.1);
        let item = self.add(section, rank, name, sql);
        self.part(key, item)?;
        self.count(kind);
        Ok(item)
    }

    /// Counts an object that the dump holds.
    pub(super) fn count(&mut self, kind: &str) {
        *self.counts.entry(kind.to_owned()).or_default() += 1;
    }

    /// Adds an item that makes no object of its own.
    pub(super) fn add(&mut self, section: Section, rank: Rank, name: String, sql: String) -> ItemId {
        self.items.push(Item { section, rank, name, sql, after: BTreeSet::new(), stand_in: None });
        self.items.len() - 1
    }

    /// Says that the object comes with the item: it is claimed, and what depends on it depends on the item.
    pub(super) fn part(&mut self, key: Key, item: ItemId) -> Result<()> {
        if self.inventory.claim(key.0, key.1)? {
            self.providers.insert(key, item);
        }
        Ok(())
    }

    /// Whether the object must be accounted for and nobody has claimed it yet.
    pub(super) fn unclaimed(&self, key: Key) -> bool {
        self.inventory.get(key).is_some_and(|object| !object.claimed)
    }

    /// Whether it is a toast table or the index of one.
    pub(super) fn is_toast(&self, key: Key) -> bool {
        self.inventory.get(key).is_some_and(|object| object.identity.starts_with("pg_toast."))
    }

    /// Whether it is a materialized view.
    pub(super) fn is_materialized(&self, key: Key) -> bool {
        self.inventory.get(key).is_some_and(|object| object.kind == "materialized view")
    }

    /// The item with which the object comes.
    pub(super) fn provider(&self, class: Class, oid: u32) -> Option<ItemId> {
        self.providers.get(&(class, oid)).copied()
    }

    /// Puts an item behind another.
    pub(super) fn after(&mut self, item: ItemId, other: ItemId) {
        if item != other {
            self.items[item].after.insert(other);
        }
    }

    /// Puts an item behind the one with which an object comes, where there is one.
    pub(super) fn after_object(&mut self, item: ItemId, class: Class, oid: u32) {
        if let Some(other) = self.provider(class, oid) {
            self.after(item, other);
        }
    }

    /// Whether the item is there for this object, and the object not one that comes with another.
    pub(super) fn made_by_itself(&self, key: Key, item: ItemId) -> bool {
        self.items[item].name == self.identity(key.0, key.1)
    }

    /// Appends statements to an item.
    pub(super) fn append(&mut self, item: ItemId, sql: &str) {
        self.items[item].sql.push_str(sql);
    }

    /// Gives a view its stand-in.
    pub(super) fn set_stand_in(&mut self, item: ItemId, sql: String) {
        self.items[item].stand_in = Some(sql);
    }

    /// The items in their final order.
    pub(super) fn order(mut self) -> Result<Ordered> {
        self.take_dependencies();
        loop {
            self.postpone()?;
            match self.sort() {
                Ok(order) => {
                    let mut ordered = Ordered::default();
                    for id in order {
                        let item = &mut self.items[id];
                        let sql = std::mem::take(&mut item.sql);
                        match item.section {
                            Section::PreData => ordered.pre_data.push(sql),
                            Section::PostData | Section::Last => ordered.post_data.push(sql),
                        }
                    }
                    return Ok(ordered);
                }
                Err(cycle) => self.break_cycle(&cycle)?,
            }
        }
    }

    /// Turns the catalogue's dependencies among objects into ones among items.
    fn take_dependencies(&mut self) {
        for dependency in std::mem::take(&mut self.inventory.dependencies) {
            let (Some(item), Some(on)) =
                (self.providers.get(&dependency.dependent), self.providers.get(&dependency.on))
            else {
                continue;
            };
            let (item, on) = (*item, *on);
            // A sequence that belongs to a column is made before its table; the belonging is an item of its own.
            let owned = self.items[item].rank == Rank::Sequence && dependency.on.0 == PG_CLASS;
            // A partition's index is made by itself and attached later.
            if !owned && !matches!(dependency.kind, 'P' | 'S') {
                self.after(item, on);
            }
        }
    }

    /// Moves what needs something of a later section there; a view leaves its stand-in behind.
    fn postpone(&mut self) -> Result<()> {
        loop {
            let late = (0..self.items.len()).find_map(|id| {
                let item = &self.items[id];
                let section = item.after.iter().map(|other| self.items[*other].section).max()?;
                (section > item.section).then_some((id, section))
            });
            let Some((id, section)) = late else { return Ok(()) };
            if self.items[id].stand_in.is_some() {
                self.split(id);
            } else if self.items[id].rank == Rank::Table {
                let name = shown(&self.items[id].name);
                return Err(Error::unsupported(format!("{name} needs what can only be made behind its own rows")));
            }
            self.items[id].section = section;
        }
    }

    /// Makes an item of a view's stand-in, on which everything depends that depended on the view.
    fn split(&mut self, view: ItemId) {
        let sql = self.items[view].stand_in.take().expect("only a view with a stand-in is split");
        let (section, rank, name) = (self.items[view].section, self.items[view].rank, self.items[view].name.clone());
        let stand_in = self.add(section, rank, name, sql);
        for item in &mut self.items {
            if item.after.remove(&view) {
                item.after.insert(stand_in);
            }
        }
        for provider in self.providers.values_mut().filter(|provider| **provider == view) {
            *provider = stand_in;
        }
        // What the columns' types need is needed at once: every type and schema that the view stands behind.
        let needed: Vec<ItemId> = self.items[view]
            .after
            .iter()
            .copied()
            .filter(|id| self.items[*id].rank <= Rank::Type && self.items[*id].section == Section::PreData)
            .collect();
        self.items[stand_in].after.extend(needed);
        self.items[view].after.insert(stand_in);
    }

    /// Kahn's algorithm with an ordered frontier; the items of one cycle when there is one.
    fn sort(&self) -> Result<Vec<ItemId>, Vec<ItemId>> {
        let mut missing: Vec<usize> = self.items.iter().map(|item| item.after.len()).collect();
        let mut followers: Vec<Vec<ItemId>> = vec![Vec::new(); self.items.len()];
        for (id, item) in self.items.iter().enumerate() {
            for other in &item.after {
                followers[*other].push(id);
            }
        }
        let key = |id: ItemId| (self.items[id].section, self.items[id].rank, self.items[id].name.as_str(), id);
        let mut ready: BTreeSet<_> = (0..self.items.len()).filter(|id| missing[*id] == 0).map(key).collect();
        let mut order = Vec::with_capacity(self.items.len());
        while let Some((.., id)) = ready.pop_first() {
            order.push(id);
            for follower in &followers[id] {
                missing[*follower] -= 1;
                if missing[*follower] == 0 {
                    ready.insert(key(*follower));
                }
            }
        }
        if order.len() == self.items.len() { Ok(order) } else { Err(self.cycle(&missing)) }
    }

    /// A cycle among the items that still miss something: walking backwards must meet an item twice.
    fn cycle(&self, missing: &[usize]) -> Vec<ItemId> {
        let mut path: Vec<ItemId> = Vec::new();
        let mut id = missing.iter().position(|count| *count > 0).expect("an unfinished order misses something");
        loop {
            if let Some(start) = path.iter().position(|seen| *seen == id) {
                return path.split_off(start);
            }
            path.push(id);
            id = *self.items[id]
                .after
                .iter()
                .find(|other| missing[**other] > 0)
                .expect("an item that misses something stands behind another that does");
        }
    }

    /// Splits the first view of a cycle; a cycle without one is refused.
    fn break_cycle(&mut self, cycle: &[ItemId]) -> Result<()> {
        let view = cycle
            .iter()
            .copied()
            .filter(|id| self.items[*id].stand_in.is_some())
            .min_by_key(|id| &self.items[*id].name);
        match view {
            Some(view) => {
                self.split(view);
                Ok(())
            }
            None => {
                let names: Vec<String> = cycle.iter().map(|id| shown(&self.items[*id].name)).collect();
                Err(Error::unsupported(format!("these objects depend on each other in a circle: {}", names.join(", "))))
            }
        }
    }
}
