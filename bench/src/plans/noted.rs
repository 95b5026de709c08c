//! What `auto_explain` has noted in PostgreSQL's log, a statement at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;
use tokio_postgres::Client;

use crate::Result;

/// Rows from which reading a table from end to end is a mistake.
const BIG: f32 = 10_000.0;

/// A statement with all its runs.
#[derive(Debug, Default)]
pub(super) struct Statement {
    /// On one line.
    pub(super) text: String,
    pub(super) millis: Vec<f64>,
    /// Blocks that a run touched.
    pub(super) blocks: Vec<f64>,
    /// Of all runs together: blocks that were not in PostgreSQL's cache.
    pub(super) blocks_read: f64,
    /// The plan of the slowest run, a node a line.
    pub(super) plan: String,
    /// Big tables that a run has read from end to end.
    pub(super) reads_all_of: BTreeSet<String>,
}

/// Tables with many rows, as far as PostgreSQL knows.
pub(super) async fn big_tables(admin: &Client) -> Result<BTreeSet<String>> {
    let query = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND reltuples >= $1";
    Ok(admin.query(query, &[&BIG]).await?.iter().map(|row| row.get(0)).collect())
}

/// All statements in a log, the one that took longest in all first.
pub(super) fn read(log: &str, big: &BTreeSet<String>) -> Result<Vec<Statement>> {
    let mut statements: BTreeMap<String, Statement> = BTreeMap::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(millis) = millis_of_plan(line) else { continue };
        let mut json = String::new();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            json.push_str(more);
            json.push('\n');
        }
        let noted: Value = serde_json::from_str(&json).map_err(|e| format!("an unreadable plan in the log: {e}"))?;
        let text = noted["Query Text"].as_str().unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let statement = statements.entry(text).or_default();
        let root = &noted["Plan"];
        let (hit, read) = (count(root, "Shared Hit Blocks"), count(root, "Shared Read Blocks"));
        if statement.millis.iter().all(|before| *before < millis) {
            statement.plan.clear();
            describe(root, 1, &mut statement.plan);
        }
        statement.millis.push(millis);
        statement.blocks.push(hit + read);
        statement.blocks_read += read;
        each_node(root, &mut |node| {
            let table = node["Relation Name"].as_str().unwrap_or_default();
            if node["Node Type"] == "Seq Scan" && big.contains(table) {
                statement.reads_all_of.insert(table.to_owned());
            }
        });
    }
    let named = statements.into_iter().map(|(text, statement)| Statement { text, ..statement });
    let mut statements: Vec<_> = named.collect();
    let total = |statement: &Statement| statement.millis.iter().sum::<f64>();
    statements.sort_by(|one, other| total(other).total_cmp(&total(one)));
    if statements.is_empty() {
        return Err("PostgreSQL has noted no plan".into());
    }
    Ok(statements)
}

/// The time in `… LOG:  duration: 0.123 ms  plan:`.
fn millis_of_plan(line: &str) -> Option<f64> {
    line.strip_suffix(" ms  plan:")?.rsplit_once("duration: ")?.1.parse().ok()
}

fn describe(node: &Value, depth: usize, plan: &mut String) {
    let word = |name: &str| node[name].as_str().unwrap_or_default();
    let mut line = format!("{}{}", "  ".repeat(depth), word("Node Type"));
    for (before, name) in [("on", "Relation Name"), ("by", "Index Name"), ("of", "Function Name")] {
        if !word(name).is_empty() {
            write!(line, " {before} {}", word(name)).expect("writing to memory does not fail");
        }
    }
    let blocks = count(node, "Shared Hit Blocks") + count(node, "Shared Read Blocks");
    let (rows, loops) = (count(node, "Actual Rows"), count(node, "Actual Loops"));
    writeln!(plan, "{line}: {rows} rows × {loops}, {blocks} blocks").expect("writing to memory does not fail");
    for child in node["Plans"].as_array().into_iter().flatten() {
        describe(child, depth + 1, plan);
    }
}

fn each_node(node: &Value, visit: &mut impl FnMut(&Value)) {
    visit(node);
    for child in node["Plans"].as_array().into_iter().flatten() {
        each_node(child, visit);
    }
}

fn count(node: &Value, name: &str) -> f64 {
    node[name].as_f64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-21 14:00:00 UTC [7] LOG:  duration: 0.250 ms  plan:
\t{
\t  \"Query Text\": \"SELECT *\\n  FROM event\",
\t  \"Plan\": {\"Node Type\": \"Limit\", \"Actual Rows\": 1, \"Actual Loops\": 1, \"Shared Hit Blocks\": 3, \"Shared Read Blocks\": 1,
\t    \"Plans\": [{\"Node Type\": \"Seq Scan\", \"Relation Name\": \"event\", \"Actual Rows\": 9, \"Actual Loops\": 1}]}
\t}
2026-11-21 14:00:01 UTC [7] LOG:  checkpoint starting: time";

    #[test]
    fn finds_a_scan_of_a_big_table() {
        let statements = read(LOG, &BTreeSet::from(["event".to_owned()])).unwrap();
        let [statement] = &statements[..] else { panic!("{statements:?}") };
        assert_eq!(statement.text, "SELECT * FROM event");
        assert_eq!(
            (&statement.millis[..], &statement.blocks[..], statement.blocks_read),
            (&[0.25][..], &[4.0][..], 1.0)
        );
        assert!(statement.reads_all_of.contains("event"));
        assert_eq!(statement.plan, "  Limit: 1 rows × 1, 4 blocks\n    Seq Scan on event: 9 rows × 1, 0 blocks\n");
        assert!(read(LOG, &BTreeSet::new()).unwrap()[0].reads_all_of.is_empty());
    }

    #[test]
    fn no_plans_are_no_good_sign() {
        assert!(read("LOG:  checkpoint starting: time", &BTreeSet::new()).is_err());
    }
}
