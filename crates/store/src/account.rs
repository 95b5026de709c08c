//! Accounts.

use chat::account::Account;

use crate::migrate::Moves;

impl Moves for Account {
    const NAME: &'static str = "accounts";

    fn bytes(&self) -> usize {
        self.name.len() + self.face_url.len() + self.custom_data.len()
    }
}

/// In SQLite.
pub(crate) mod lite {
    use chat::account::Account;
    use chat::account::import::NewAccount;
    use chat::id::{AccountId, Timestamp};
    use rusqlite::{Connection, OptionalExtension, Result, Row};

    use crate::migrate::InSqlite;

    /// The integer that stands for an account everywhere else.
    pub(crate) fn key(db: &Connection, id: &AccountId) -> Result<Option<i64>> {
        let mut statement = db.prepare_cached("SELECT key FROM account WHERE id = ?1")?;
        statement.query_row([id.as_str()], |row| row.get(0)).optional()
    }

    /// One account.
    pub(crate) fn find(db: &Connection, id: &AccountId) -> Result<Option<Account>> {
        let mut statement =
            db.prepare_cached("SELECT id, name, face_url, custom_data, created FROM account WHERE id = ?1")?;
        statement.query_row([id.as_str()], read).optional()
    }

    /// Makes an account, or updates it with what is given.
    pub(crate) fn import(db: &Connection, new: &NewAccount, now: Timestamp) -> Result<()> {
        let known = find(db, &new.id)?;
        let account = new.clone().over(known, now);
        let mut statement = db.prepare_cached(
            "INSERT INTO account (id, name, face_url, custom_data, created) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET
                name = excluded.name, face_url = excluded.face_url, custom_data = excluded.custom_data",
        )?;
        let Account { id, name, face_url, custom_data, created } = account;
        statement.execute((id.as_str(), name, face_url, custom_data, created.millis()))?;
        Ok(())
    }

    fn read(row: &Row<'_>) -> Result<Account> {
        Ok(Account {
            id: AccountId::new(row.get::<_, String>(0)?),
            name: row.get(1)?,
            face_url: row.get(2)?,
            custom_data: row.get(3)?,
            created: Timestamp::from_millis(row.get(4)?),
        })
    }

    impl InSqlite for Account {
        const ALL: &'static str = "SELECT id, name, face_url, custom_data, created FROM account ORDER BY key";

        fn read(row: &Row<'_>) -> Result<Self> {
            read(row)
        }

        fn add(&self, db: &Connection) -> Result<()> {
            let mut statement = db.prepare_cached(
                "INSERT INTO account (id, name, face_url, custom_data, created) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let Self { id, name, face_url, custom_data, created } = self;
            statement.execute((id.as_str(), name, face_url, custom_data, created.millis()))?;
            Ok(())
        }
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use chat::account::Account;
    use chat::id::{AccountId, Timestamp};
    use tokio_postgres::Row;
    use tokio_postgres::types::Type;

    use crate::migrate::InPostgres;
    use crate::postgres::{CopyIn, Db, Result, from_json, place, to_json};
    use crate::shard::{Shards, SmallInt};

    /// Those of `ids` that exist, each with its place among them.
    pub(crate) async fn find(db: &Db, shards: Shards, ids: &[&AccountId]) -> Result<Vec<(usize, Account)>> {
        let query = db
            .prepare_cached(
                "SELECT u.n, a.data FROM unnest($1::int2[], $2::text[]) WITH ORDINALITY AS u (shard, id, n)
                 CROSS JOIN LATERAL (SELECT data FROM account WHERE shard = u.shard AND id = u.id OFFSET 0) a
                 ORDER BY u.n",
            )
            .await?;
        let (places, ids): (Vec<_>, Vec<_>) = ids.iter().map(|id| (shards.of_account(id).int(), id.as_str())).unzip();
        let rows = db.query(&query, &[&places, &ids]).await?;
        rows.iter().map(|row| Ok((place(row, 0), from_json(row, 1)?))).collect()
    }

    /// Makes accounts, or replaces what is known of them.
    pub(crate) async fn put(db: &Db, shards: Shards, accounts: &[&Account]) -> Result<()> {
        let put = db
            .prepare_cached(
                "INSERT INTO account (shard, id, created, data)
                 SELECT * FROM unnest($1::int2[], $2::text[], $3::int8[], $4::text[])
                 ON CONFLICT (shard, id) DO UPDATE SET data = excluded.data",
            )
            .await?;
        let places: Vec<_> = accounts.iter().map(|account| shards.of_account(&account.id).int()).collect();
        let ids: Vec<_> = accounts.iter().map(|account| account.id.as_str()).collect();
        let created: Vec<_> = accounts.iter().map(|account| account.created.millis()).collect();
        let data = accounts.iter().map(to_json).collect::<Result<Vec<_>>>()?;
        db.execute(&put, &[&places, &ids, &created, &data]).await?;
        Ok(())
    }

    impl InPostgres for Account {
        const ALL: &'static str = "SELECT data, created FROM account ORDER BY shard, id";

        fn read(row: &Row) -> Result<Self> {
            Ok(Self { created: Timestamp::from_millis(row.get(1)), ..from_json(row, 0)? })
        }

        async fn add(db: &Db, shards: Shards, rows: &[Self]) -> Result<()> {
            let types = [Type::INT2, Type::TEXT, Type::INT8, Type::TEXT];
            let mut copy =
                CopyIn::begin(db, "COPY account (shard, id, created, data) FROM STDIN (FORMAT binary)", &types).await?;
            for row in rows {
                let (shard, created) = (shards.of_account(&row.id).int(), row.created.millis());
                copy.row(&[&shard, &row.id.as_str(), &created, &to_json(row)?]).await?;
            }
            copy.end().await
        }
    }
}
