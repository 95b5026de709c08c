//! What a caller is told when something does not work: one of OpenIM's codes, its name, and words.

use axum::http::StatusCode;

/// The server codes that we use (`spec/openim/errors.jsonl`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Internal = 500,
    Args = 1001,
    NoPermission = 1002,
    RecordNotFound = 1004,
    UserNotFound = 1101,
    RegisteredAlready = 1102,
    GroupNotFound = 1201,
    GroupExists = 1202,
    NotInGroup = 1203,
    Dismissed = 1204,
    GroupType = 1205,
    Blocked = 1302,
    MutedInGroup = 1402,
    MutedGroup = 1403,
    TokenExpired = 1501,
    TokenInvalid = 1502,
    TokenMalformed = 1503,
    TokenNotValidYet = 1504,
    TokenUnknown = 1505,
    ConnectionLimit = 1601,
    ConnectArgs = 1602,
    Callback = 80_000,
    Database = 90_002,
    Network = 90_004,
    Data = 90_007,
}

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// `errCode`.
    pub(crate) code: i64,
    /// `errMsg`: the code's name, or the backend's own text.
    pub(crate) message: String,
    /// `errDlt`: what exactly is wrong.
    pub(crate) detail: String,
    /// The HTTP status; OpenIM answers 200 to nearly everything.
    pub(crate) status: StatusCode,
    /// Whether the connection ends here, because the rest of the request was not read.
    pub(crate) closes: bool,
}

impl Code {
    /// The name that goes into `errMsg`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Internal => "ServerInternalError",
            Self::Args => "ArgsError",
            Self::NoPermission => "NoPermissionError",
            Self::RecordNotFound => "RecordNotFoundError",
            Self::UserNotFound => "UserIDNotFoundError",
            Self::RegisteredAlready => "RegisteredAlreadyError",
            Self::GroupNotFound => "GroupIDNotFoundError",
            Self::GroupExists => "GroupIDExisted",
            Self::NotInGroup => "NotInGroupYetError",
            Self::Dismissed => "DismissedAlreadyError",
            Self::GroupType => "GroupTypeNotSupport",
            Self::Blocked => "BlockedByPeer",
            Self::MutedInGroup => "MutedInGroup",
            Self::MutedGroup => "MutedGroup",
            Self::TokenExpired => "TokenExpiredError",
            Self::TokenInvalid => "TokenInvalidError",
            Self::TokenMalformed => "TokenMalformedError",
            Self::TokenNotValidYet => "TokenNotValidYetError",
            Self::TokenUnknown => "TokenUnknownError",
            Self::ConnectionLimit => "ConnOverMaxNumLimit",
            Self::ConnectArgs => "ConnArgsErr",
            Self::Callback => "CallbackError",
            Self::Database => "DatabaseError",
            Self::Network => "NetworkError",
            Self::Data => "DataError",
        }
    }

    /// The error with this code.
    pub(crate) fn because(self, detail: impl Into<String>) -> ApiError {
        ApiError {
            code: self as i64,
            message: self.name().to_owned(),
            detail: detail.into(),
            status: StatusCode::OK,
            closes: false,
        }
    }
}

impl ApiError {
    /// The same with HTTP status 400.
    // COMPAT: a few routes answer a body that they cannot bind with 400 (`spec/openim/semantics.md`, section 1).
    pub(crate) fn into_bad_request(self) -> Self {
        Self { status: StatusCode::BAD_REQUEST, ..self }
    }
}
