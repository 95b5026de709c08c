//! From a request to a connection: who is admitted, and how the others are told (`spec/openim/gateway.md`, section 2).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use chat::Origin;
use futures_util::SinkExt;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::connect::Arguments;
use super::connection::{self, Admitted};
use super::frame::MAX_FRAME_BYTES;
use crate::auth::Caller;
use crate::call::{App, Call, MAX_OPERATION_BYTES};
use crate::envelope;
use crate::error::{ApiError, Code};
use crate::platform;

/// A connection's socket.
pub(super) type Socket = WebSocketStream<TcpStream>;

/// Any path, with an upgrade to WebSocket.
pub(crate) async fn accept(State(app): State<Arc<App>>, mut request: Request) -> Response {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let key = websocket_key(request.method(), request.headers());
    // Everybody is counted, admitted or not: whoever waits to be refused holds a socket, too.
    if app.online.count() >= app.config.max_connections {
        return envelope::refuse(&Code::ConnectionLimit.because("there are as many connections as may be"));
    }
    let arguments = match Arguments::read(request.uri(), request.headers()) {
        Ok(arguments) => arguments,
        Err(error) => return envelope::refuse(&error),
    };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let admitted = admit(app, &arguments, peer);
    match admitted {
        Err(error) if !arguments.wants_answer => envelope::refuse(&error),
        admitted => {
            let (Some(upgrade), Some(key)) = (upgrade, key) else {
                let error = Code::ConnectArgs.because("this is the WebSocket gateway: upgrade to it with GET");
                return envelope::refuse(&ApiError { status: StatusCode::UPGRADE_REQUIRED, ..error });
            };
            tokio::spawn(serve(upgrade, arguments, admitted));
            switching(&key)
        }
    }
}

/// Judges whoever wants to connect.
fn admit(app: Arc<App>, arguments: &Arguments, peer: Option<SocketAddr>) -> Result<Call<()>, ApiError> {
    if arguments.operation.len() > MAX_OPERATION_BYTES {
        return Err(Code::ConnectArgs.because(format!("operationID has more than {MAX_OPERATION_BYTES} bytes")));
    }
    let caller = Caller::of(&app.config, &arguments.token, app.now())?;
    if !caller.is_for(&arguments.account, arguments.platform) {
        return Err(Code::TokenInvalid.because("the token is of another user, or for another platform"));
    }
    let ip = peer.map(|peer| peer.ip().to_canonical());
    // An admin's client is a client here, and no backend.
    let platform = platform::of(arguments.platform).unwrap_or(caller.platform);
    let origin = Origin { platform, ip, operation: arguments.operation.clone() };
    Ok(Call { app, caller, origin, body: () })
}

/// Waits for the socket, says what became of it, and serves whoever was admitted to the end.
async fn serve(upgrade: OnUpgrade, arguments: Arguments, admitted: Result<Call<()>, ApiError>) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "a connection broke off before it was one"),
    };
    // The plain socket below HTTP: its buffers are not needed any more.
    let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        return tracing::error!("the gateway is not served on a plain socket");
    };
    let config = WebSocketConfig::default()
        // The default of 128 KiB would be most of what an idle connection costs.
        .read_buffer_size(4096)
        .write_buffer_size(4096)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let mut socket: Socket =
        WebSocketStream::from_partially_read(io.into_inner(), read_buf.into(), Role::Server, Some(config)).await;
    match admitted {
        Ok(call) => connection::run(socket, Admitted { call, arguments }).await,
        Err(error) => {
            // A peer that does not take it in is gone all the same.
            let _ = tokio::time::timeout(connection::WRITE_TIMEOUT, async {
                socket.send(Frame::text(envelope::text(Err(&error)))).await?;
                socket.close(None).await
            })
            .await;
        }
    }
}

/// What a client sends to be upgraded; none if it wants something else.
fn websocket_key(method: &Method, headers: &HeaderMap) -> Option<HeaderValue> {
    let has = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    let is_websocket = method == Method::GET
        && has(CONNECTION, "upgrade")
        && has(UPGRADE, "websocket")
        && has(SEC_WEBSOCKET_VERSION, "13");
    headers.get(SEC_WEBSOCKET_KEY).filter(|_| is_websocket).cloned()
}

fn switching(key: &HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    // Base64 always is a header's value.
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}
