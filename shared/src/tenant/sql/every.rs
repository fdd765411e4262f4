//! All statements of a plan and of its application, for a server that must know beforehand what they read.

use super::{Statements, World};
use crate::Result;

impl Statements<'_> {
    /// The statements that run in the transaction, in no order. One that is missing here is no harm where tables may be
    /// made, and an error of the server where they may not.
    pub(crate) fn every(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for place in self.classes.order.iter().copied() {
            if self.keyed(place) {
                all.push(self.gather(World::Live, place)?);
                all.extend(self.adopt(place));
                all.extend([self.moved(place), self.taken(place), self.doom_missing(place), self.doom_changed(place)]);
                all.extend((0..self.table(place).unique.len()).map(|number| self.occupied(place, number)));
            } else {
                all.extend(self.count_lines(World::Live, place)?);
                all.extend([self.doom_surplus(place), self.doomed_rows(place)]);
            }
            all.extend([self.keep_members(place), self.counts(place), self.delete(place)?, self.insert(place)]);
            all.push(self.unlike(place));
            for number in 0..self.table(place).references.len() {
                all.extend([self.dangling(place, number), self.orphans_of(place, number)]);
            }
        }
        for (child, table) in self.schema.tables.iter().enumerate() {
            for (number, reference) in table.references.iter().enumerate() {
                if self.classes.classes[reference.parent].is_member() {
                    all.extend([self.clinging(child, number), self.orphans_by(child, number)]);
                }
            }
        }
        Ok(all)
    }
}
