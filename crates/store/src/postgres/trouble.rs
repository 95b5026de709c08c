//! What an error of PostgreSQL means: whether to try again, and what to tell whom.

use std::error::Error as _;

use tokio_postgres::error::{DbError, SqlState};

use super::Error;

/// In words for the operator: what the server said, or what became of the connection.
pub(super) fn in_words(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        let detail = db.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        return format!("{}{detail} ({})", db.message(), db.code().code());
    }
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

/// Whether the connection is gone, and with it whatever was not committed. Another connection may do.
pub(super) fn is_connection_lost(error: &Error) -> bool {
    let Error::Sql(error) = error else { return matches!(error, Error::Outdated) };
    match error.as_db_error() {
        Some(db) => ends_the_connection(db),
        None => error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>()),
    }
}

fn ends_the_connection(db: &DbError) -> bool {
    let ending = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    // 57P05 is an idle session's end; class 08 is about connections.
    ending.contains(db.code()) || db.code().code() == "57P05" || db.code().code().starts_with("08")
}

/// Whether a transaction that was not committed may simply be tried again.
pub(super) fn is_passing(error: &Error) -> bool {
    let again = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        // Another statement's error, which a statement that was prepared late has hidden: the next attempt shows it.
        SqlState::IN_FAILED_SQL_TRANSACTION,
    ];
    let Error::Sql(sql) = error else { return is_connection_lost(error) };
    sql.code().is_some_and(|code| again.contains(code)) || is_connection_lost(error)
}

/// Whether the database is away: no connection, or no answer.
pub(super) fn is_away(error: &Error) -> bool {
    matches!(error, Error::Slow(_)) || is_connection_lost(error)
}

/// Whether it is the operator's to mend rather than ours: away, full, read-only, out of something.
pub(super) fn is_unavailable(error: &Error) -> bool {
    let Error::Sql(sql) = error else { return is_away(error) || matches!(error, Error::WentBack(_)) };
    let passing = [
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::QUERY_CANCELED,
        SqlState::IO_ERROR,
        // Somebody holds a shard for longer than `lock_timeout`.
        SqlState::LOCK_NOT_AVAILABLE,
    ];
    let of_resources = |code: &SqlState| code.code().starts_with("53");
    is_passing(error) || sql.code().is_some_and(|code| passing.contains(code) || of_resources(code))
}

/// Whether an error of `COMMIT` leaves open what became of the transaction. These say that it was rolled back: a constraint,
/// a conflict, a read-only or failed transaction, something that it could not write. With anything else, or nothing, it may
/// have been committed.
pub(super) fn leaves_doubt(error: &Error) -> bool {
    let Error::Sql(sql) = error else { return true };
    let Some(code) = sql.code().map(SqlState::code) else { return true };
    let is_rolled_back = ["40001", "40002", "40P01", "25P02", "25P03", "25006"].contains(&code);
    !is_rolled_back && !["23", "53"].iter().any(|class| code.starts_with(class))
}
