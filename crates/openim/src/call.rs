//! One request: headers, token, bounded body; then its route; then the envelope.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use axum::routing::{MethodRouter, post};
use bytes::Bytes;
use chat::id::Timestamp;
use chat::online::Online;
use chat::{Actor, Chat, Command, Origin};
use http_body_util::{BodyExt, Limited};

use crate::auth::Caller;
use crate::config::Config;
use crate::envelope::{self, Data};
use crate::error::{ApiError, Code};
use crate::fields::Fields;

/// No body is read beyond this: the largest message that can be configured (1 MiB), and what goes around it.
pub(crate) const MAX_BODY_BYTES: usize = (1 << 20) + (64 << 10);

/// `operationID` is stored with each message, so it is bounded. The SDKs send some 20 bytes.
pub(crate) const MAX_OPERATION_BYTES: usize = 256;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) chat: Arc<Chat>,
    /// Who is connected to the gateway.
    pub(crate) online: Arc<Online>,
    pub(crate) config: Config,
}

/// A request with a good token: over REST, with the fields of its body; or through the gateway, whose requests have data of
/// a type of their own.
#[derive(Debug)]
pub(crate) struct Call<B = Fields> {
    pub(crate) app: Arc<App>,
    pub(crate) caller: Caller,
    pub(crate) origin: Origin,
    pub(crate) body: B,
}

/// A request to a route that works without a token.
#[derive(Debug)]
pub(crate) struct OpenCall {
    pub(crate) app: Arc<App>,
    pub(crate) body: Fields,
}

/// What a body that cannot be bound is answered with.
#[derive(Clone, Copy)]
enum Binding {
    /// HTTP 200, like everything.
    Usual,
    /// HTTP 400.
    Strict,
}

/// A route that needs a token.
pub(crate) fn signed<H, F, T>(handle: H) -> MethodRouter<Arc<App>>
where
    H: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<T, ApiError>> + Send,
    T: Data + Send,
{
    with_token(handle, Binding::Usual)
}

/// A route that needs a token, and answers 400 to a body that is not JSON.
// COMPAT: `/msg/send_msg` and `/msg/batch_send_msg` do (`spec/openim/semantics.md`, section 1).
pub(crate) fn strict<H, F, T>(handle: H) -> MethodRouter<Arc<App>>
where
    H: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<T, ApiError>> + Send,
    T: Data + Send,
{
    with_token(handle, Binding::Strict)
}

/// A route that works without a token.
pub(crate) fn open<H, F, T>(handle: H) -> MethodRouter<Arc<App>>
where
    H: Fn(OpenCall) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<T, ApiError>> + Send,
    T: Data + Send,
{
    post(async move |State(app): State<Arc<App>>, request: Request| {
        let outcome = async {
            operation_of(request.headers())?;
            let body = Fields::parse(&read(request).await?)?;
            handle(OpenCall { app, body }).await
        };
        envelope::answer(outcome.await)
    })
}

fn with_token<H, F, T>(handle: H, binding: Binding) -> MethodRouter<Arc<App>>
where
    H: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<T, ApiError>> + Send,
    T: Data + Send,
{
    post(async move |State(app): State<Arc<App>>, request: Request| {
        let outcome = async { handle(Call::of(app, request, binding).await?).await };
        envelope::answer(outcome.await)
    })
}

impl Call {
    async fn of(app: Arc<App>, request: Request, binding: Binding) -> Result<Self, ApiError> {
        let operation = operation_of(request.headers())?;
        let token = text_header(request.headers(), "token");
        if token.is_empty() {
            return Err(Code::Args.because("header must have token"));
        }
        let caller = Caller::of(&app.config, &token, app.now())?;
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let ip = peer.map(|ConnectInfo(address)| address.ip().to_canonical());
        let origin = Origin { platform: caller.platform, ip, operation };
        let body = read(request).await?;
        let body = Fields::parse(&body).map_err(|error| match binding {
            Binding::Usual => error,
            Binding::Strict => error.into_bad_request(),
        })?;
        Ok(Self { app, caller, origin, body })
    }
}

impl<B> Call<B> {
    /// Runs a command on the caller's authority.
    pub(crate) async fn run<C: Command>(&self, command: C) -> Result<C::Reply, ApiError> {
        self.run_as(&self.caller.actor, command).await
    }

    /// Runs a command on somebody's authority.
    pub(crate) async fn run_as<C: Command>(&self, actor: &Actor, command: C) -> Result<C::Reply, ApiError> {
        Ok(self.app.chat.run(actor, &self.origin, command).await?)
    }
}

impl App {
    pub(crate) fn now(&self) -> Timestamp {
        self.chat.clock().now()
    }
}

/// The caller's own id of the request; it must be there (`spec/openim/semantics.md`, section 1).
fn operation_of(headers: &HeaderMap) -> Result<String, ApiError> {
    let operation = text_header(headers, "operationid");
    if operation.is_empty() {
        return Err(Code::Args.because("header must have operationID"));
    }
    if operation.len() > MAX_OPERATION_BYTES {
        return Err(Code::Args.because(format!("operationID has more than {MAX_OPERATION_BYTES} bytes")));
    }
    Ok(operation)
}

fn text_header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// A body that has not arrived by then is given up: a peer that hangs holds nothing for ever.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads a body up to [`MAX_BODY_BYTES`]. What is larger is not read to its end; then the connection has to go.
async fn read(request: Request) -> Result<Bytes, ApiError> {
    let too_large = || {
        let error = Code::Args.because(format!("the body has more than {MAX_BODY_BYTES} bytes"));
        ApiError { closes: true, ..error }
    };
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(too_large());
    }
    let body: Body = request.into_body();
    let late = || ApiError { closes: true, ..Code::Args.because("the body did not arrive in time") };
    let read = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect());
    match read.await.map_err(|_| late())? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(error) => {
            let error = Code::Args.because(format!("the body broke off: {error}"));
            Err(ApiError { closes: true, ..error })
        }
    }
}
