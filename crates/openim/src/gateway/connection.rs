//! One connection, from the handshake to its end: one task, that reads, answers and writes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chat::Platform;
use chat::online::{Connection, Given, Online, Outbox};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Bytes, Error as WrongFrame, Message as Frame};

use super::connect::Arguments;
use super::frame::{Form, Request, Response};
use super::handshake::Socket;
use super::push::{self, Frames};
use super::requests::{self, Answer};
use crate::call::Call;
use crate::envelope;
use crate::error::ApiError;

/// A client that says nothing for so long is gone: all of them ping more often (`spec/openim/gateway.md`, section 3).
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that takes nothing in for so long is gone.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Browsers cannot ping by themselves, so they are pinged, and their answers keep the connection alive.
const PING_EVERY: Duration = Duration::from_secs(27);

/// So many requests wait for the one before them. More are left in the socket, and so with the client.
const WAITING_REQUESTS: usize = 8;

/// So many frames are written before they are pushed out together.
const WRITTEN_AT_ONCE: usize = 32;

/// Whoever may connect.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) call: Call<()>,
    pub(super) arguments: Arguments,
}

/// Why a connection ends, for the log.
type Ended = &'static str;

/// Serves a connection to its end.
pub(super) async fn run(socket: Socket, admitted: Admitted) {
    let Admitted { call, arguments } = admitted;
    let call = Arc::new(call);
    let online = call.app.online.clone();
    let Arguments { account, token, is_background, form, wants_answer, .. } = arguments;
    // Its signature tells one token from all others, and is of no use to whoever might read our memory.
    let credential = token.rsplit('.').next().unwrap_or_default().to_owned();
    let (connection, outbox) = online.connect(account, call.origin.platform, credential);
    // Whatever happens from here on, nobody is left who is not there.
    let _leaving = Leaving { online, connection: connection.clone() };
    connection.set_background(is_background);
    if !call.caller.actor.is_app() {
        kick_others(&call.app.online, &connection);
    }
    let mut serving = Serving {
        socket,
        call,
        connection: connection.clone(),
        outbox,
        form,
        answering: None,
        waiting: VecDeque::new(),
        heard: Instant::now(),
    };
    let ended = match serving.begin(wants_answer).await {
        Ok(()) => serving.serve().await,
        Err(ended) => ended,
    };
    tracing::debug!(account.id = %connection.account, ended, "a connection has ended");
    let _ = tokio::time::timeout(WRITE_TIMEOUT, serving.socket.close(None)).await;
}

/// A newer sign-in on a platform takes the place of an older one there. The same sign-in, connected once more, does not: what
/// was its connection is dead or dying, and nobody's to kick.
// COMPAT: OpenIM's `multiLogin.policy` 1, its default, which spares admins (`spec/openim/gateway.md`, section 6).
fn kick_others(online: &Online, connection: &Connection) {
    for other in online.connections_of(&connection.account) {
        // Of two who come at once the later stays.
        let is_older = other.id < connection.id;
        if is_older && other.platform == connection.platform && other.credential != connection.credential {
            other.give(Given::Kicked);
        }
    }
}

/// Takes a connection from those who are here.
struct Leaving {
    online: Arc<Online>,
    connection: Arc<Connection>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.online.disconnect(&self.connection);
    }
}

type Answering = Pin<Box<dyn Future<Output = (Response, Answer)> + Send>>;

struct Serving {
    socket: Socket,
    call: Arc<Call<()>>,
    connection: Arc<Connection>,
    outbox: Outbox,
    form: Form,
    /// The request that is being answered: one after the other, so that answers come in order.
    answering: Option<Answering>,
    waiting: VecDeque<Request>,
    /// When something was read last.
    heard: Instant,
}

impl Serving {
    /// Reads what belongs to the account, and says that it may begin.
    async fn begin(&mut self, wants_answer: bool) -> Result<(), Ended> {
        let known = requests::know_groups(&self.call, &self.connection).await;
        if wants_answer {
            let text = envelope::text(known.as_ref().map(drop));
            self.write([Frame::text(text)]).await?;
        }
        known.map_err(|_: ApiError| "its groups could not be read")
    }

    async fn serve(&mut self) -> Ended {
        let pings = self.connection.platform == Platform::Web;
        let mut ping_at = Instant::now() + PING_EVERY;
        loop {
            let silent_at = self.heard + READ_TIMEOUT;
            let has_room = self.waiting.len() < WAITING_REQUESTS;
            let done = tokio::select! {
                () = self.connection.ended() => Err("it was ended, or did not keep up"),
                given = self.outbox.recv() => match given {
                    Some(given) => self.write_given(given).await,
                    None => Err("the server lets it go"),
                },
                answer = next(&mut self.answering) => self.write_answer(answer).await,
                frame = self.socket.next(), if has_room => match frame {
                    Some(Ok(frame)) => self.read(frame).await,
                    Some(Err(_)) => Err("it broke off, or sent what is no frame"),
                    None => Err("the client closed it"),
                },
                () = tokio::time::sleep_until(silent_at), if has_room => Err("the client was silent"),
                () = tokio::time::sleep_until(ping_at), if pings => {
                    ping_at = Instant::now() + PING_EVERY;
                    self.write([Frame::Ping(Bytes::new())]).await
                }
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    async fn read(&mut self, frame: Frame) -> Result<(), Ended> {
        self.heard = Instant::now();
        match frame {
            Frame::Binary(frame) => {
                let request = self.form.read(&frame).map_err(|_| "a frame could not be read")?;
                if request.sender != self.connection.account.as_str() {
                    return Err("a request was in the name of another account");
                }
                if !requests::is_known(request.identifier) {
                    return Err("a request was of no kind that there is");
                }
                self.waiting.push_back(request);
                self.answer_next();
                Ok(())
            }
            Frame::Text(text) => match control(text.as_str()).ok_or("a text was no ping")? {
                Reply::Pong(text) => self.write([Frame::text(text)]).await,
                Reply::Nothing => Ok(()),
            },
            // The library answers; what it has to say goes out with the next frame, or now.
            Frame::Ping(_) => self.flush().await,
            Frame::Pong(_) | Frame::Frame(_) => Ok(()),
            Frame::Close(_) => Err("the client closed it"),
        }
    }

    /// Begins with the next request, unless one is being answered.
    fn answer_next(&mut self) {
        if self.answering.is_none()
            && let Some(request) = self.waiting.pop_front()
        {
            let (call, connection) = (self.call.clone(), self.connection.clone());
            self.answering = Some(Box::pin(async move { requests::answer(&call, &connection, request).await }));
        }
    }

    async fn write_answer(&mut self, (response, answer): (Response, Answer)) -> Result<(), Ended> {
        self.answering = None;
        // While it was answered, there may have been no room to read.
        self.heard = Instant::now();
        self.answer_next();
        self.write([Frame::Binary(self.form.write(&response))]).await?;
        match answer {
            Answer::GoesOn => Ok(()),
            Answer::Ends => Err("the client logged out"),
        }
    }

    /// Writes what it was given, and what else it was given meanwhile.
    async fn write_given(&mut self, given: Given) -> Result<(), Ended> {
        let mut frames = Vec::new();
        let mut next = Some(given);
        let mut is_kicked = false;
        while let Some(given) = next {
            match given {
                Given::Happened(happening) => {
                    if push::reaches(&self.connection) {
                        let shown = happening.shown(Frames::of);
                        frames.extend(shown.in_form(self.form).map(Frame::Binary));
                    }
                }
                Given::Presence(presence) => {
                    let response = push::presence(&presence);
                    frames.push(Frame::Binary(self.form.write(&response)));
                }
                Given::Kicked => {
                    frames.push(Frame::Binary(self.form.write(&push::kicked())));
                    is_kicked = true;
                    break;
                }
            }
            next = if frames.len() < WRITTEN_AT_ONCE { self.outbox.try_recv().ok() } else { None };
        }
        self.write(frames).await?;
        if is_kicked { Err("it was kicked") } else { Ok(()) }
    }

    async fn write(&mut self, frames: impl IntoIterator<Item = Frame>) -> Result<(), Ended> {
        // Each frame has its time: a pull may be large, and a phone slow.
        for frame in frames {
            in_time(self.socket.feed(frame)).await?;
        }
        in_time(self.socket.flush()).await
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        self.write([]).await
    }
}

async fn in_time(writing: impl Future<Output = Result<(), WrongFrame>>) -> Result<(), Ended> {
    match tokio::time::timeout(WRITE_TIMEOUT, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err("it broke off"),
        Err(_) => Err("the client did not take in what was written"),
    }
}

/// The answer to the request at hand; never, if there is none.
async fn next(answering: &mut Option<Answering>) -> (Response, Answer) {
    match answering {
        Some(answering) => answering.await,
        None => std::future::pending().await,
    }
}

enum Reply {
    Pong(String),
    Nothing,
}

/// The answer to a text frame: those are pings of the JavaScript SDKs, whose body goes back as it came.
fn control(text: &str) -> Option<Reply> {
    #[derive(Deserialize)]
    struct Control {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        body: Value,
    }
    let Control { kind, body } = serde_json::from_str(text).ok()?;
    match kind.as_str() {
        "ping" => Some(Reply::Pong(json!({ "type": "pong", "body": body }).to_string())),
        "pong" => Some(Reply::Nothing),
        _ => None,
    }
}
