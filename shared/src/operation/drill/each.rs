//! One database after the other.

use crate::Error;
use crate::archive::manifest::DatabaseManifest;
use crate::operation::Context;

/// Proves one database after the other; returns the first thing that kept one from it. An interrupt keeps all that follow
/// from it: what was proven until then is a part, and no proof of the backup.
pub(super) async fn each<'a>(
    chosen: &[&'a DatabaseManifest],
    context: &Context,
    mut one: impl AsyncFnMut(&'a DatabaseManifest) -> Option<Error>,
) -> Option<Error> {
    let mut failure = None;
    for database in chosen {
        if context.interrupt.is_cancelled() {
            return failure.or(Some(context.stopped().await));
        }
        // Boxed: a restore is nested too deep for the stack of the main thread.
        let error = Box::pin(one(database)).await;
        failure = failure.or(error);
    }
    failure
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Class;
    use crate::audit::Trigger;

    #[tokio::test]
    async fn an_interrupt_between_two_databases_leaves_the_backup_unproven() {
        let database = |name: &str| -> DatabaseManifest {
            serde_json::from_value(serde_json::json!({
                "name": name, "engine": "SQLite", "server_version": "3", "entry": "", "snapshot": {}, "tables": [],
                "objects": {}, "warnings": [], "rows": 0, "raw_bytes": 0, "stored_bytes": 0, "sha256": "",
            }))
            .unwrap()
        };
        let (first, second) = (database("first"), database("second"));
        let context = Context {
            now: jiff::Timestamp::UNIX_EPOCH,
            trigger: Trigger::command_line("a@b"),
            deadline: None,
            progress: Arc::default(),
            interrupt: Default::default(),
        };
        let mut proven = Vec::new();
        let failure = each(&[&first, &second], &context, async |database| {
            proven.push(database.name.clone());
            context.interrupt.cancel();
            None
        })
        .await;
        assert_eq!(failure.map(|error| error.class()), Some(Class::Deadline));
        assert_eq!(proven, ["first"]);
        // The last one is through: nothing is left that could be missing.
        let context = Context { interrupt: Default::default(), ..context };
        let through = each(&[&first], &context, async |_| {
            context.interrupt.cancel();
            None
        })
        .await;
        assert!(through.is_none());
    }
}
