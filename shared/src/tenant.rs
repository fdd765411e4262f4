//! One tenant's rows out of a shared database: which they are, what a restore of them would do, and the SQL for it.
//!
//! Everything here is pure: a [`Schema`](schema::Schema) and a [`Map`](map::Map) come in, classes and SQL text go out.
//!
//! A row is the tenant's when its table has the tenant column and the value there is the tenant's, or when a reference that
//! the map names leads to such a row, over any number of tables, in circles too. Nothing else is ever touched. A table
//! of which the map does not say what it is stops everything.

pub(crate) mod classify;
pub(crate) mod copy;
pub(crate) mod definition;
pub(crate) mod dialect;
pub(crate) mod export;
pub(crate) mod map;
pub(crate) mod quoted;
pub(crate) mod reopened;
pub(crate) mod schema;
pub(crate) mod sql;
pub(crate) mod suggest;
pub(crate) mod values;
