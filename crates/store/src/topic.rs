//! Topics of communities.

use chat::id::GroupId;
use serde::Serialize;

use crate::migrate::Moves;

/// A topic, as it moves.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TopicRow {
    group: GroupId,
    id: String,
    data: String,
}

impl Moves for TopicRow {
    const NAME: &'static str = "topics";

    fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// In SQLite.
pub(crate) mod lite {
    use chat::group::Topic;
    use chat::id::{GroupId, TopicId};
    use rusqlite::{Connection, OptionalExtension, Result, Row};

    use super::TopicRow;
    use crate::migrate::InSqlite;
    use crate::sqlite::{from_json, to_json};

    /// The integer that stands for a topic in `conversation`.
    pub(crate) fn key(db: &Connection, group: &GroupId, id: &TopicId) -> Result<Option<i64>> {
        let mut statement = db.prepare_cached(
            "SELECT key FROM topic WHERE group_key = (SELECT key FROM chat_group WHERE id = ?1) AND id = ?2",
        )?;
        statement.query_row((group.as_str(), id.as_str()), |row| row.get(0)).optional()
    }

    /// One topic.
    pub(crate) fn find(db: &Connection, group: &GroupId, id: &TopicId) -> Result<Option<Topic>> {
        let mut statement = db.prepare_cached(
            "SELECT data FROM topic WHERE group_key = (SELECT key FROM chat_group WHERE id = ?1) AND id = ?2",
        )?;
        statement.query_row((group.as_str(), id.as_str()), |row| from_json(row, 0)).optional()
    }

    /// Adds a topic to a group that exists.
    pub(crate) fn add(db: &Connection, topic: &Topic) -> Result<()> {
        let mut statement = db.prepare_cached(
            "INSERT INTO topic (group_key, id, data) VALUES ((SELECT key FROM chat_group WHERE id = ?1), ?2, ?3)",
        )?;
        statement.execute((topic.group.as_str(), topic.id.as_str(), to_json(topic)?))?;
        Ok(())
    }

    impl InSqlite for TopicRow {
        const ALL: &'static str =
            "SELECT g.id, t.id, t.data FROM topic t CROSS JOIN chat_group g ON g.key = t.group_key
             ORDER BY t.key";

        fn read(row: &Row<'_>) -> Result<Self> {
            Ok(Self { group: GroupId::new(row.get::<_, String>(0)?), id: row.get(1)?, data: row.get(2)? })
        }

        fn add(&self, db: &Connection) -> Result<()> {
            let mut statement = db.prepare_cached(
                "INSERT INTO topic (group_key, id, data) VALUES ((SELECT key FROM chat_group WHERE id = ?1), ?2, ?3)",
            )?;
            statement.execute((self.group.as_str(), &self.id, &self.data))?;
            Ok(())
        }
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use chat::group::Topic;
    use chat::id::{GroupId, TopicId};
    use tokio_postgres::Row;
    use tokio_postgres::types::Type;

    use super::TopicRow;
    use crate::migrate::InPostgres;
    use crate::postgres::{CopyIn, Db, Result, from_json, place, to_json};
    use crate::shard::{Shards, SmallInt};

    /// Which of the topics exist, as their places among them.
    pub(crate) async fn exist(db: &Db, shards: Shards, topics: &[(&GroupId, &TopicId)]) -> Result<Vec<usize>> {
        let query = db
            .prepare_cached(
                "SELECT u.n FROM unnest($1::int2[], $2::text[], $3::text[]) WITH ORDINALITY AS u (shard, group_id, id, n)
                 CROSS JOIN LATERAL (
                    SELECT FROM topic WHERE shard = u.shard AND group_id = u.group_id AND id = u.id OFFSET 0) t",
            )
            .await?;
        let places: Vec<_> = topics.iter().map(|(group, _)| shards.of_group(group).int()).collect();
        let (groups, ids): (Vec<_>, Vec<_>) = topics.iter().map(|(group, id)| (group.as_str(), id.as_str())).unzip();
        let rows = db.query(&query, &[&places, &groups, &ids]).await?;
        Ok(rows.iter().map(|row| place(row, 0)).collect())
    }

    /// One topic.
    pub(crate) async fn find(db: &Db, shards: Shards, group: &GroupId, id: &TopicId) -> Result<Option<Topic>> {
        let query = db.prepare_cached("SELECT data FROM topic WHERE shard = $1 AND group_id = $2 AND id = $3").await?;
        let row = db.query_opt(&query, &[&shards.of_group(group).int(), &group.as_str(), &id.as_str()]).await?;
        row.map(|row| from_json(&row, 0)).transpose()
    }

    /// Adds topics.
    pub(crate) async fn add(db: &Db, shards: Shards, topics: &[&Topic]) -> Result<()> {
        let add = db
            .prepare_cached(
                "INSERT INTO topic (shard, group_id, id, data)
                 SELECT * FROM unnest($1::int2[], $2::text[], $3::text[], $4::text[])",
            )
            .await?;
        let places: Vec<_> = topics.iter().map(|topic| shards.of_group(&topic.group).int()).collect();
        let groups: Vec<_> = topics.iter().map(|topic| topic.group.as_str()).collect();
        let ids: Vec<_> = topics.iter().map(|topic| topic.id.as_str()).collect();
        let data = topics.iter().map(to_json).collect::<Result<Vec<_>>>()?;
        db.execute(&add, &[&places, &groups, &ids, &data]).await?;
        Ok(())
    }

    impl InPostgres for TopicRow {
        const ALL: &'static str = "SELECT group_id, id, data FROM topic ORDER BY shard, group_id, id";

        fn read(row: &Row) -> Result<Self> {
            Ok(Self { group: GroupId::new(row.get::<_, String>(0)), id: row.get(1), data: row.get(2) })
        }

        async fn add(db: &Db, shards: Shards, rows: &[Self]) -> Result<()> {
            let types = [Type::INT2, Type::TEXT, Type::TEXT, Type::TEXT];
            let mut copy =
                CopyIn::begin(db, "COPY topic (shard, group_id, id, data) FROM STDIN (FORMAT binary)", &types).await?;
            for row in rows {
                let shard = shards.of_group(&row.group).int();
                copy.row(&[&shard, &row.group.as_str(), &row.id, &row.data]).await?;
            }
            copy.end().await
        }
    }
}
