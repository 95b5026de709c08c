//! Relations between accounts. Blocks for now; friends are the same kind of noun.

pub mod block;
