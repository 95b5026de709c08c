//! A value that must not be seen.

use std::fmt;

use serde::Deserialize;

/// Text that proves something: a signing key, a token, a password.
///
/// Its `Debug` shows nothing, so that it cannot reach a log line or an error by way of
/// a struct that holds it. Whoever needs the text says so with [`Secret::expose`].
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for signing and comparing; never for showing.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
