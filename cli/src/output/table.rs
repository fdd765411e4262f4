//! Tables for people: columns two blanks apart, no frames, never wrapped, so that `grep` and `awk` work on them too.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A table; columns in `right` are aligned at their right end.
pub(super) fn render(header: &[&str], right: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("  {}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["bcd".to_owned(), "100".to_owned()]];
        assert_eq!(render(&["NAME", "SIZE"], &[1], rows), "  NAME  SIZE\n  a        1\n  bcd    100\n");
    }
}
