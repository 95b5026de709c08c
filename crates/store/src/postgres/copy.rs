//! Many rows in at once, by `COPY` in its binary form: what a migration writes with.

use std::pin::Pin;

use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use super::{Db, Result};

/// A `COPY … FROM STDIN (FORMAT binary)` that goes on.
pub(crate) struct CopyIn(Pin<Box<BinaryCopyInWriter>>);

impl CopyIn {
    /// Begins one; the types are those of the columns that `copy` names.
    pub(crate) async fn begin(db: &Db, copy: &str, types: &[Type]) -> Result<Self> {
        Ok(Self(Box::pin(BinaryCopyInWriter::new(db.copy_in(copy).await?, types))))
    }

    /// Adds a row.
    pub(crate) async fn row(&mut self, values: &[&(dyn ToSql + Sync)]) -> Result<()> {
        Ok(self.0.as_mut().write(values).await?)
    }

    /// Ends it; without this, nothing is added.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.0.as_mut().finish().await?;
        Ok(())
    }
}
