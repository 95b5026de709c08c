//! A database that nobody serves, for as long as it is read or filled as a whole.

use chat::event::{Position, Shard};

use super::claim::Claim;
use super::connect::{self, Connector};
use super::{Db, Result, schema};
use crate::OpenError;
use crate::dataset::pg as dataset;
use crate::shard::Shards;

/// What its connections are set to beyond the usual. Between two pages of rows the other database may take its time; and
/// what a lost server forgets is read again, so that nothing waits for its disk before [`Offline::durable`].
const SET: &str = "SET idle_in_transaction_session_timeout = 0; SET synchronous_commit = off";

/// See the module. Nobody serves it until this is dropped.
#[derive(Debug)]
pub(crate) struct Offline {
    connector: Connector,
    claim: Claim,
    /// What is written, and small reads.
    pub(crate) db: Db,
    pub(crate) shards: Shards,
}

impl Offline {
    /// The id of the data set that is there, if there is one. Nothing is taken or changed.
    pub(crate) async fn id(url: &str) -> Result<Option<String>, OpenError> {
        let connector = connector(url)?;
        let look = async {
            let db = connector.connect().await?;
            match dataset::exists(&db).await? {
                true => Ok(Some(dataset::find(&db).await?.id)),
                false => Ok(None),
            }
        };
        look.await.map_err(|error| connect::unusable(connector.place(), &error))
    }

    /// Whether a schema of ours is there, of whichever version.
    pub(crate) async fn is_there(url: &str) -> Result<bool, OpenError> {
        let connector = connector(url)?;
        let look = async { schema::is_ours(&connector.connect().await?).await };
        look.await.map_err(|error| connect::unusable(connector.place(), &error))
    }

    /// Takes the database for this process alone; makes or migrates the schema.
    pub(crate) async fn open(url: &str, shards: u16) -> Result<Self, OpenError> {
        let connector = connector(url)?;
        let claim = Claim::take(&connector).await?;
        let (db, shards) = schema::prepare(&connector, shards).await?;
        // That one holds the lock on the schema.
        drop(db);
        let place = connector.place().to_owned();
        let db = connect(&connector).await.map_err(|error| connect::unusable(&place, &error))?;
        Ok(Self { connector, claim, db, shards })
    }

    /// Host and database, for people.
    pub(crate) fn place(&self) -> &str {
        self.connector.place()
    }

    /// A connection of one's own.
    pub(crate) async fn connect(&self) -> Result<Db> {
        connect(&self.connector).await
    }

    /// The newest position of each shard.
    pub(crate) async fn heads(&self) -> Result<Vec<(Shard, Position)>> {
        schema::heads(&self.db).await
    }

    /// Fails if somebody serves it after all.
    pub(crate) fn check(&self) -> std::result::Result<(), chat::Fault> {
        self.claim.check()
    }

    /// From now on a commit returns when it, and with it all before it, is on disk. PostgreSQL gets to know what is there.
    pub(crate) async fn durable(&self) -> Result<()> {
        self.db.batch_execute(&format!("ANALYZE {}", schema::TABLES.join(", "))).await?;
        Ok(self.db.batch_execute("SET synchronous_commit = on").await?)
    }
}

async fn connect(connector: &Connector) -> Result<Db> {
    let db = connector.connect().await?;
    db.batch_execute(SET).await?;
    Ok(db)
}

/// Nobody but a server has it from its configuration.
fn connector(url: &str) -> Result<Connector, OpenError> {
    Connector::new(url).map_err(|error| match error {
        OpenError::Unusable { why, is_final, .. } => {
            OpenError::Unusable { place: "the PostgreSQL URL".to_owned(), why, is_final }
        }
        error => error,
    })
}
