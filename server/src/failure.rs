//! How a command can end badly, and what the shell is told.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::log::LogError;

/// Why a command ended without having done its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The person has to change what was asked for: exit code 2.
    Usage(Box<dyn Error + Send + Sync>),
    /// What was asked for was fine and could not be done: exit code 1.
    Work(Box<dyn Error + Send + Sync>),
}

impl Failure {
    pub(crate) fn work(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Work(error.into())
    }

    pub(crate) fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Usage(error.into())
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Work(_) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(error) | Self::Work(error)) = self;
        write!(f, "{error}")
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.into())
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self::Usage(error.into())
    }
}
