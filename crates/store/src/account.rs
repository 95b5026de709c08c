//! Accounts.

use chat::account::Account;
use chat::account::import::NewAccount;
use chat::id::{AccountId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Result, Row};

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
