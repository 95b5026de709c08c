//! The routes: one folder an area, one file a path.

pub(crate) mod auth;
pub(crate) mod group;
pub(crate) mod msg;
pub(crate) mod user;
