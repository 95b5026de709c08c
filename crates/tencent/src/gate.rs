//! The gate: which command, who asks, and is it true. Every REST request passes here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::{Method, Uri};
use axum::response::Response;
use chat::id::AccountId;
use chat::{Actor, Origin, Platform};
use serde::Deserialize;

use crate::body::Fields;
use crate::envelope::{self, Failure, closing};
use crate::usersig::UserSigError;
use crate::{Tencent, rest};

/// A request body is read up to this size. The largest real one imports 300 members with custom fields: some 200 KB.
const MAX_BODY_BYTES: usize = 1 << 20;

/// A body that has not arrived by then is given up: a peer that hangs holds nothing for ever.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The families of commands; each has error codes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// `im_open_login_svc`
    Account,
    /// `openim`
    Message,
    /// `group_open_http_svc` and `million_group_open_http_svc`
    Group,
    /// `sns`
    Sns,
    /// Any other.
    Unknown,
}

impl Service {
    fn named(name: &str) -> Self {
        match name {
            "im_open_login_svc" => Self::Account,
            "openim" => Self::Message,
            "group_open_http_svc" | "million_group_open_http_svc" => Self::Group,
            "sns" => Self::Sns,
            _ => Self::Unknown,
        }
    }
}

/// A request that passed the gate.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) tencent: &'a Tencent,
    /// The admin who calls.
    pub(crate) caller: AccountId,
    pub(crate) actor: Actor,
    pub(crate) origin: Origin,
}

impl Call<'_> {
    /// Runs a core command on the caller's authority.
    pub(crate) async fn run<C: chat::Command>(&self, command: C) -> Result<C::Reply, chat::Error> {
        self.tencent.chat.run(&self.actor, &self.origin, command).await
    }
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    sdkappid: Option<String>,
    identifier: Option<String>,
    usersig: Option<String>,
}

/// Every path below `/v4`; commands are of the form `service/command`.
pub(crate) async fn handle(
    State(tencent): State<Arc<Tencent>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().strip_prefix("/v4/").unwrap_or_default();
    let Some((service_name, command)) = path.split_once('/') else {
        return unknown(parts.uri).await;
    };
    let service = Service::named(service_name);
    if parts.method == Method::OPTIONS {
        return preflight();
    }
    if parts.method != Method::POST {
        return refuse(service, &Failure::new(60002, "the method must be POST"), service_name, command);
    }
    let admitted = admit(&tencent, &parts.uri);
    let caller = match admitted {
        Ok(caller) => caller,
        // The body was not read, so the connection cannot go on.
        Err(failure) => return closing(refuse(service, &failure, service_name, command)),
    };
    let body = match read_body(service, &parts.headers, body).await {
        Ok(body) => body,
        Err(failure) => return closing(refuse(service, &failure, service_name, command)),
    };
    let call = Call {
        tencent: &tencent,
        actor: Actor::App(caller.clone()),
        caller,
        origin: Origin { platform: Platform::Rest, ip: Some(peer.ip().to_canonical()), operation: String::new() },
    };
    let result = match Fields::parse(&body) {
        Some(fields) => rest::run(&call, service_name, command, fields).await,
        None => Err(Failure::new(60003, "the body must be a JSON object").into()),
    };
    // The core logs its own refusals; these never reached it.
    if let Err(envelope::Error::Dialect(failure)) = &result {
        tracing::info!(service = service_name, command, code = failure.code, why = failure.info, "refused");
    }
    envelope::answer(service, result)
}

/// Any path that names no command.
pub(crate) async fn unknown(uri: Uri) -> Response {
    let failure = Failure::new(60009, format!("{} is not of the form /v4/service/command", uri.path()));
    closing(envelope::fail(Service::Unknown, &failure))
}

/// COMPAT: the methods and headers that the vendor's samples allow to browsers.
fn preflight() -> Response {
    use axum::response::IntoResponse;
    let headers = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-headers", "X-Requested-With, Content-Type"),
        ("access-control-allow-methods", "POST"),
    ];
    (headers, Body::empty()).into_response()
}

/// A refusal at the gate is logged here, since no core command runs.
fn refuse(service: Service, failure: &Failure, service_name: &str, command: &str) -> Response {
    tracing::info!(service = service_name, command, code = failure.code, why = failure.info, "refused at the gate");
    envelope::fail(service, failure)
}

/// Missing or malformed URL parameters are 60xxx; a UserSig that is wrong, expired or someone else's is 70xxx.
fn admit(tencent: &Tencent, uri: &Uri) -> Result<AccountId, Failure> {
    let Ok(Query(parameters)) = Query::<Parameters>::try_from_uri(uri) else {
        return Err(Failure::new(60002, "the query cannot be read"));
    };
    let sdkappid = parameters.sdkappid.ok_or_else(|| Failure::new(60012, "sdkappid is missing in the URL"))?;
    let sdkappid: u32 = sdkappid.parse().map_err(|_| Failure::new(60006, "sdkappid must be an integer"))?;
    let config = &tencent.config;
    if sdkappid != config.sdkappid {
        return Err(Failure::new(70020, "this server is not the app of that sdkappid"));
    }
    let identifier = parameters.identifier.filter(|identifier| !identifier.is_empty());
    let identifier = identifier.ok_or_else(|| Failure::new(60004, "identifier is missing in the URL"))?;
    let usersig = parameters.usersig.ok_or_else(|| Failure::new(60005, "usersig is missing in the URL"))?;
    let caller = AccountId::new(identifier);
    let now = tencent.chat.clock().now();
    let caller = tencent.verified.verify(sdkappid, &config.key, caller, usersig, now).map_err(usersig_failure)?;
    if !config.admins.contains(&caller) {
        return Err(Failure::new(60010, "the identifier must be an admin of the app"));
    }
    Ok(caller)
}

fn usersig_failure(error: UserSigError) -> Failure {
    let code = match error {
        UserSigError::Expired => 70001,
        UserSigError::Empty => 70002,
        UserSigError::Malformed => 70003,
        UserSigError::WrongKey => 70009,
        UserSigError::OtherUser => 70013,
        UserSigError::OtherApp => 70014,
    };
    Failure::new(code, error.to_string())
}

async fn read_body(service: Service, headers: &axum::http::HeaderMap, body: Body) -> Result<bytes::Bytes, Failure> {
    let too_large = || {
        let code = match service {
            Service::Message => 93000,
            Service::Group => 80002,
            Service::Account | Service::Sns | Service::Unknown => 60002,
        };
        Failure::new(code, format!("the body may have at most {MAX_BODY_BYTES} bytes"))
    };
    let announced =
        headers.get(axum::http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > MAX_BODY_BYTES as u64) {
        return Err(too_large());
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await;
    read.map_err(|_| Failure::new(60008, "the body did not arrive in time"))?.map_err(|error| {
        let is_limit =
            std::error::Error::source(&error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if is_limit { too_large() } else { Failure::new(60008, "the body broke off") }
    })
}
