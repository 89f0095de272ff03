//! How SQLite runs the statements that tests have it run: by an index, without sorting, planned once. Each
//! statement is explained when a test first runs it; the few that may look at all rows are named here, with
//! the reason. Upkeep's readings of everything (`rows::all_once`) are none of these.
//!
//! A plan does not depend on how many rows there are: this store keeps no statistics.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};

use rusqlite::{Connection, Statement, StatementStatus};

/// Statements with one of these in them may scan or sort, because …
const MAY_SCAN: [(&str, &str); 10] = [
    ("FROM store", "there is one row"),
    ("WHERE admin AND disabled_at IS NULL", "an index of its own holds the administrators alone"),
    ("ORDER BY used_at DESC", "sorts the logins of one account: 100 at most"),
    ("ORDER BY touched_at, upload", "sorts the uploads of one account: 16 at most"),
    ("(opened_at) FROM lease", "uploads under way are few, and the collector alone asks"),
    ("DELETE FROM lease WHERE touched_at", "uploads under way are few; once an hour"),
    ("DELETE FROM session WHERE expires_at", "once an hour"),
    ("a.name_key > ?2 ORDER BY a.name_key", "sorts the members of one group: a limit bounds them"),
    ("SELECT 1, ?1 UNION ALL SELECT 2", "sorts what was granted to one account"),
    ("FROM staged_commit WHERE opened_at", "few commits are under way; once an hour"),
];

static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
static COMPLAINTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What was found so far: statements that scan or sort and may not.
pub(in crate::db) fn complaints() -> Vec<String> {
    COMPLAINTS.lock().unwrap().clone()
}

/// Explains a statement, unless that was done before.
pub(super) fn explain(conn: &Connection, sql: &str) {
    if SEEN.lock().unwrap().insert(sql.to_owned())
        && let Some(complaint) = complaint(conn, sql)
    {
        COMPLAINTS.lock().unwrap().push(complaint);
    }
}

/// Sees that a statement that is kept prepared is not planned anew when it is used again.
pub(super) fn is_planned_once(statement: &Statement<'_>, sql: &str) {
    let complaint = format!("{sql}\n  is planned anew at each use");
    if statement.get_status(StatementStatus::RePrepare) > 0
        && SEEN.lock().unwrap().insert(complaint.clone())
    {
        COMPLAINTS.lock().unwrap().push(complaint);
    }
}

fn complaint(conn: &Connection, sql: &str) -> Option<String> {
    if MAY_SCAN.iter().any(|(part, _)| sql.contains(part)) {
        return None;
    }
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // Parameters are left unbound: no plan here depends on them.
    let steps = statement.raw_query().mapped(|row| row.get("detail"));
    let steps: Vec<String> = steps.map(Result::unwrap).collect();
    let bad = |step: &String| {
        let scans = step.starts_with("SCAN") && step != "SCAN CONSTANT ROW";
        scans || step.contains("TEMP B-TREE") || step.contains("AUTOMATIC")
    };
    steps.iter().any(bad).then(|| format!("{sql}\n  {}", steps.join("\n  ")))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::complaint;

    #[test]
    fn what_scans_or_sorts_is_seen() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("0001.sql")).unwrap();
        for (sql, good) in [
            ("SELECT id FROM entry WHERE id = ?1", true),
            ("SELECT id FROM entry WHERE name = ?1", false),
            ("SELECT id FROM entry WHERE parent = ?1 ORDER BY name_key", true),
            ("SELECT id FROM entry WHERE parent = ?1 ORDER BY mode", false),
            ("UPDATE entry SET mode = 1 WHERE name_key = ?1", false),
            ("DELETE FROM content WHERE key = ?1", true),
            ("INSERT INTO store (one) VALUES (?1)", true),
            ("SELECT e.id FROM entry AS e JOIN message AS m ON m.sent_at = e.changed_at", false),
        ] {
            assert_eq!(complaint(&conn, sql).is_none(), good, "{sql}");
        }
    }
}
