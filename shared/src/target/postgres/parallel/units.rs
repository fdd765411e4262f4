//! What of the statements behind the rows can be executed at the same time, and when.
//!
//! Only three kinds can: indexes, the keys that make one, and foreign keys. They come in runs, for the dump orders its
//! statements by kind; everything else ends a run and is executed alone, in the dump's order. Within a run no statement
//! needs another. What would have to wait for another's lock is not begun meanwhile, so two never wait for each other:
//! indexes share a table, all else has it alone. Partitions and tables that inherit count as their root, since the server
//! locks along that line.
//!
//! A plain primary or unique key takes long for its index alone, which other indexes of the table may be made beside. So it
//! is two units: the index, and then the constraint that takes the index over (`USING INDEX`), which is a matter of the
//! catalog. Partitioned tables have no such statement, and what hangs together with other tables is left as it is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

use super::roots::Roots;
use crate::source::postgres::quote::ident;
use crate::target::postgres::names::{Statement, Words};

/// A kind of statement of which several can run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitKind {
    /// `CREATE INDEX`, and constraints that make an index.
    Index,
    /// Foreign keys.
    ForeignKey,
}

/// Statements that go together, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) kind: UnitKind,
    pub(super) statements: Vec<String>,
    /// The table that is worked on.
    table: String,
    /// The roots that are locked, and whether against everything else.
    locks: Vec<String>,
    alone: bool,
    /// What can only be done after this.
    pub(super) then: Option<Box<Unit>>,
}

impl Unit {
    fn new(kind: UnitKind, sql: String, table: String, locks: Vec<String>, alone: bool) -> Self {
        Self { kind, statements: vec![sql], table, locks, alone, then: None }
    }

    /// A statement that belongs behind this unit.
    pub(super) fn add(&mut self, sql: String) {
        self.then.as_mut().map_or(&mut self.statements, |then| &mut then.statements).push(sql);
    }
}

/// What a statement is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Can run beside others.
    Unit(Unit),
    /// Belongs to the unit before it, where there is one.
    Detail,
    /// Runs by itself.
    Other,
}

/// What a statement is; `roots` saw the definitions.
pub(super) fn sort(sql: &str, roots: &Roots) -> Sort {
    let statement = Statement::new(sql);
    let mut words = Words::new(&statement);
    let unit = |kind, table: String, locks: Vec<String>, alone| {
        let locks = locks.iter().map(|table| roots.of(table)).collect();
        Sort::Unit(Unit::new(kind, sql.to_owned(), table, locks, alone))
    };
    if words.take(&["CREATE"]) {
        words.take(&["UNIQUE"]);
        if words.take(&["INDEX"])
            && words.name().is_some()
            && words.take(&["ON"])
            && {
                words.take(&["ONLY"]);
                true
            }
            && let Some(table) = words.name()
        {
            let table = table.quoted();
            return unit(UnitKind::Index, table.clone(), vec![table], false);
        }
        return Sort::Other;
    }
    if words.take(&["ALTER", "INDEX"]) {
        // Storage options come right behind the constraint whose index they are of.
        return if words.name().is_some() && words.take(&["SET"]) { Sort::Detail } else { Sort::Other };
    }
    if words.take(&["COMMENT", "ON"]) {
        return if words.take(&["INDEX"]) || words.take(&["CONSTRAINT"]) { Sort::Detail } else { Sort::Other };
    }
    if words.take(&["ALTER", "TABLE"]) {
        words.take(&["ONLY"]);
        if let Some(table) = words.name()
            && words.take(&["ADD", "CONSTRAINT"])
            && let Some(constraint) = words.ident()
        {
            let table = table.quoted();
            let behind = words.at;
            if !roots.hangs(&table)
                && let Some((kind, columns)) = plain_key(&statement, &mut words)
            {
                let name = ident(&constraint);
                let index = format!("CREATE UNIQUE INDEX {name} ON ONLY {table} {columns};");
                let taken = format!("ALTER TABLE ONLY {table} ADD CONSTRAINT {name} {kind} USING INDEX {name};");
                let mut unit = Unit::new(UnitKind::Index, index, table.clone(), vec![table.clone()], false);
                unit.then = Some(Box::new(Unit::new(UnitKind::Index, taken, table.clone(), vec![table], true)));
                return Sort::Unit(unit);
            }
            words.at = behind;
            if words.take(&["PRIMARY", "KEY"]) || words.take(&["UNIQUE"]) || words.take(&["EXCLUDE"]) {
                return unit(UnitKind::Index, table.clone(), vec![table], true);
            }
            if words.take(&["FOREIGN", "KEY"])
                && words.find(&["REFERENCES"])
                && let Some(parent) = words.name()
            {
                return unit(UnitKind::ForeignKey, table.clone(), vec![table, parent.quoted()], true);
            }
        }
    }
    Sort::Other
}

/// Kind and columns of a key that says nothing else; `words` stand behind its name.
fn plain_key<'a>(statement: &Statement<'a>, words: &mut Words<'_, 'a>) -> Option<(&'static str, &'a str)> {
    let kinds = [("PRIMARY KEY", ["PRIMARY", "KEY"].as_slice()), ("UNIQUE", &["UNIQUE"])];
    let (kind, _) = kinds.into_iter().find(|(_, kind)| words.take(kind))?;
    let first = words.at;
    let start = statement.tokens.get(first)?.1;
    let whole = words.parentheses() && words.char(b';') && words.at == statement.tokens.len();
    let columns = statement.text.get(start..)?.trim_end().strip_suffix(';')?;
    // Names and nothing behind them: `WITHOUT OVERLAPS` (PostgreSQL 18) makes another kind of index.
    let plain = |(number, at)| {
        if number % 2 == 0 { statement.ident(at).is_some() } else { statement.is_char(at, b',') }
    };
    let names = whole && (first + 1..words.at - 2).enumerate().all(plain);
    names.then_some((kind, columns))
}

/// Units that wait, and the locks of those that run.
pub(super) struct UnitQueue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Unit>,
    shared: HashMap<String, usize>,
    alone: HashSet<String>,
}

impl UnitQueue {
    /// The units, those of the largest tables first.
    pub(super) fn new(mut units: Vec<Unit>, sizes: &HashMap<String, u64>) -> Self {
        units.sort_by_key(|unit| std::cmp::Reverse(sizes.get(&unit.table).copied().unwrap_or(0)));
        Self { state: Mutex::new(State { waiting: units.into(), ..State::default() }), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock can panic")
    }

    /// The next unit that need not wait for one that runs; `None` when none is left.
    pub(super) async fn take(&self) -> Option<Unit> {
        loop {
            // Asked for before looking, so that nothing is missed in between.
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if state.waiting.is_empty() {
                    return None;
                }
                if let Some(at) = state.waiting.iter().position(|unit| state.free(unit)) {
                    let unit = state.waiting.remove(at).expect("it was just found");
                    state.hold(&unit);
                    return Some(unit);
                }
            }
            changed.await;
        }
    }

    /// Gives back what a unit held. What can be done only now is next; whoever calls this takes it if nobody else does.
    pub(super) fn done(&self, unit: Unit) {
        let mut state = self.state();
        state.release(&unit);
        if let Some(then) = unit.then {
            state.waiting.push_front(*then);
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

impl State {
    fn free(&self, unit: &Unit) -> bool {
        let held = |root: &String| self.alone.contains(root) || unit.alone && self.shared.contains_key(root);
        !unit.locks.iter().any(held)
    }

    fn hold(&mut self, unit: &Unit) {
        for root in &unit.locks {
            if unit.alone {
                self.alone.insert(root.clone());
            } else {
                *self.shared.entry(root.clone()).or_default() += 1;
            }
        }
    }

    fn release(&mut self, unit: &Unit) {
        for root in &unit.locks {
            if unit.alone {
                self.alone.remove(root);
            } else if let Some(count) = self.shared.get_mut(root) {
                *count -= 1;
                if *count == 0 {
                    self.shared.remove(root);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(sql: &str) -> Unit {
        match sort(sql, &Roots::default()) {
            Sort::Unit(unit) => unit,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn indexes_and_keys_can_run_beside_others_and_nothing_else() {
        let index = unit("CREATE UNIQUE INDEX \"a ON b\" ON ONLY public.\"Pat;ients\" USING btree (id);");
        assert_eq!((index.kind, index.alone), (UnitKind::Index, false));
        assert_eq!(index.locks, ["\"public\".\"Pat;ients\""]);
        let key = unit("ALTER TABLE ONLY \"s\".\"t\" ADD CONSTRAINT \"t_key\" UNIQUE NULLS NOT DISTINCT (id);");
        assert_eq!((key.kind, key.alone, key.table.as_str()), (UnitKind::Index, true, "\"s\".\"t\""));
        assert_eq!(key.then, None);
        let foreign = unit(
            "ALTER TABLE \"s\".\"t\" ADD CONSTRAINT \"REFERENCES x\" FOREIGN KEY (\"REFERENCES\") REFERENCES public.u(id) NOT VALID;",
        );
        assert_eq!((foreign.kind, foreign.alone), (UnitKind::ForeignKey, true));
        assert_eq!(foreign.locks, ["\"s\".\"t\"", "\"public\".\"u\""]);
        for sql in [
            "ALTER INDEX public.a ATTACH PARTITION public.b;",
            "ALTER TABLE \"s\".\"t\" ADD CONSTRAINT \"c\" CHECK ((a > 0)) NOT VALID;",
            "ALTER TABLE \"s\".\"t\" CLUSTER ON \"i\";",
            "CREATE STATISTICS public.s ON a, b FROM public.t;",
            "CREATE TRIGGER a BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.f();",
            "REFRESH MATERIALIZED VIEW \"a\".\"b\";",
            "COMMENT ON TABLE public.t IS 'x';",
        ] {
            assert_eq!(sort(sql, &Roots::default()), Sort::Other, "{sql}");
        }
        for sql in [
            "ALTER INDEX \"s\".\"i\" SET (\"fillfactor\" = '70');",
            "COMMENT ON CONSTRAINT c ON public.t IS 'x';",
            "COMMENT ON INDEX public.i IS 'x';",
        ] {
            assert_eq!(sort(sql, &Roots::default()), Sort::Detail, "{sql}");
        }
    }

    #[test]
    fn a_plain_key_is_its_index_and_then_the_constraint() {
        let mut key = unit("ALTER TABLE ONLY \"s\".\"t;\" ADD CONSTRAINT \"PRIMARY KEY (\" PRIMARY KEY (id, \"b)\");");
        key.add("COMMENT ON CONSTRAINT c ON s.t IS 'x';".to_owned());
        assert_eq!(key.statements, ["CREATE UNIQUE INDEX \"PRIMARY KEY (\" ON ONLY \"s\".\"t;\" (id, \"b)\");"]);
        let then = key.then.unwrap();
        assert_eq!((key.alone, then.alone), (false, true));
        let taken =
            "ALTER TABLE ONLY \"s\".\"t;\" ADD CONSTRAINT \"PRIMARY KEY (\" PRIMARY KEY USING INDEX \"PRIMARY KEY (\";";
        assert_eq!(then.statements, [taken, "COMMENT ON CONSTRAINT c ON s.t IS 'x';"]);
        for more in [" DEFERRABLE", " INCLUDE (b)", " WITH (fillfactor='70')", " USING INDEX TABLESPACE quick"] {
            let sql = format!("ALTER TABLE ONLY \"s\".\"t\" ADD CONSTRAINT \"k\" UNIQUE (id){more};");
            assert_eq!(unit(&sql).statements, [sql], "as it is");
        }
        let temporal =
            "ALTER TABLE ONLY \"s\".\"t\" ADD CONSTRAINT \"k\" PRIMARY KEY (id, \"during\" WITHOUT OVERLAPS);";
        assert_eq!(unit(temporal).statements, [temporal]);
        let mut roots = Roots::default();
        roots.see("CREATE UNLOGGED TABLE \"s\".\"t\" (\n    \"id\" integer\n)\nPARTITION BY LIST (\"id\");");
        let sql = "ALTER TABLE ONLY \"s\".\"t\" ADD CONSTRAINT \"k\" UNIQUE (id);";
        assert!(matches!(sort(sql, &roots), Sort::Unit(unit) if unit.statements == [sql]));
    }

    #[tokio::test]
    async fn what_would_wait_for_a_lock_is_not_begun() {
        let one = unit("ALTER TABLE a.b ADD CONSTRAINT c FOREIGN KEY (x) REFERENCES a.p(id);");
        let other = unit("ALTER TABLE a.p ADD CONSTRAINT d FOREIGN KEY (x) REFERENCES a.b(id);");
        let third = unit("ALTER TABLE a.q ADD CONSTRAINT d FOREIGN KEY (x) REFERENCES a.q(id);");
        let sizes = HashMap::from([("\"a\".\"p\"".to_owned(), 10), ("\"a\".\"b\"".to_owned(), 20)]);
        let queue = UnitQueue::new(vec![third, other, one], &sizes);
        let first = queue.take().await.unwrap();
        assert_eq!(first.table, "\"a\".\"b\"", "the largest table comes first");
        let second = queue.take().await.unwrap();
        assert_eq!(second.table, "\"a\".\"q\"", "the one that is free");
        let mut waiting = Box::pin(queue.take());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        queue.done(first);
        assert_eq!(waiting.await.unwrap().table, "\"a\".\"p\"");
        assert!(queue.take().await.is_none());
    }

    #[tokio::test]
    async fn indexes_of_one_table_are_made_at_the_same_time_and_a_key_waits_for_them() {
        let units = [
            "CREATE INDEX a ON s.t USING btree (x);",
            "CREATE INDEX b ON s.t USING btree (y);",
            "ALTER TABLE s.t ADD CONSTRAINT k UNIQUE (z);",
        ];
        let queue = UnitQueue::new(units.iter().map(|sql| unit(sql)).collect(), &HashMap::new());
        let (a, b, key) = (queue.take().await.unwrap(), queue.take().await.unwrap(), queue.take().await.unwrap());
        assert!(queue.take().await.is_none());
        queue.done(a);
        queue.done(key);
        let mut key = Box::pin(queue.take());
        assert!(futures_util::poll!(&mut key).is_pending(), "an index is still being made");
        queue.done(b);
        assert!(key.await.unwrap().alone);
    }
}
