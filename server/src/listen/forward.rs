//! `ringback listen --forward`: connects to a running server, is called through that connection, and passes each call on to
//! a local backend, whose answers go back. So a backend on a laptop needs no public URL.
//!
//! The other side is `webhook::tunnel`; how a call becomes one of the local backend, and its answer one of ours, is in
//! [`local`].

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use webhook::tunnel::wire::{CallLine, Line, Said};
use webhook::tunnel::{LONGEST_SILENCE, MAX_IN_FLIGHT};

use self::local::Local;
use super::{Sink, printer, stop_signal};
use crate::cli::ForwardArgs;
use crate::config::{Config, Sources};
use crate::failure::Failure;
use crate::remote::{Remote, RemoteError};
use crate::terminal::printable;

mod local;

/// The wait after the first connection that is lost; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// A server that is back is found within this.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A line holds one call: the largest body of one (8 MiB), in Base64, and its headers.
const MAX_LINE_BYTES: usize = 16 << 20;

/// Runs until it is stopped, or nobody reads any more, or the server wants nothing of it.
pub(super) async fn run(args: ForwardArgs, json: bool) -> Result<(), Failure> {
    let Some(backend) = args.forward else { return Err(Failure::usage("--forward is missing")) };
    let config = Config::load(&Sources::of_process(args.place.config, args.place.data_dir))?;
    let remote = Remote::new(args.server.as_ref(), &config)?;
    let opening = json!({ "dialect": args.dialect, "path": backend.path, "commands": args.commands });
    let unread = CancellationToken::new();
    let sink = printer(json, unread.clone());
    let local = Arc::new(Local::new(backend).map_err(Failure::work)?);
    let forwarder = Forwarder { remote: Arc::new(remote), local, sink, opening };
    tokio::select! {
        ended = forwarder.run() => ended,
        stopped = stop_signal() => stopped.map_err(Failure::work),
        () = unread.cancelled() => Ok(()),
    }
}

struct Forwarder {
    remote: Arc<Remote>,
    local: Arc<Local>,
    sink: Sink,
    /// What opens a tunnel.
    opening: serde_json::Value,
}

/// What ended a connection.
struct Ended {
    why: String,
    /// It was open before.
    was_open: bool,
}

impl Forwarder {
    /// Connects, again and again. Ends only when that is of no use.
    async fn run(&self) -> Result<(), Failure> {
        let mut pause = FIRST_PAUSE;
        let mut was_open = false;
        loop {
            let ended = match self.remote.open("/admin/tunnel", &self.opening).await {
                Ok(response) => self.listen(response.into_body()).await,
                Err(RemoteError::Refused { status, words }) if is_final(status, was_open) => {
                    let error = format!("{} refuses: {words}", self.remote.base());
                    return Err(if status == StatusCode::CONFLICT {
                        Failure::work(error)
                    } else {
                        Failure::usage(error)
                    });
                }
                Err(error @ RemoteError::Strange(_)) if !was_open => return Err(Failure::usage(error)),
                Err(error) => Ended { why: error.to_string(), was_open: false },
            };
            if ended.was_open {
                (pause, was_open) = (FIRST_PAUSE, true);
            }
            eprintln!("not connected: {}; again in {:.1} s", printable(&ended.why), pause.as_secs_f64());
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Serves one connection until it ends.
    async fn listen(&self, body: Incoming) -> Ended {
        let mut lines = Lines { body, unread: Unread::default() };
        let mut open: Option<Open> = None;
        let mut calls = JoinSet::new();
        let why = loop {
            let line = tokio::select! {
                line = tokio::time::timeout(LONGEST_SILENCE, lines.next()) => line,
                // One that ends makes room, and is not looked at.
                Some(_) = calls.join_next() => continue,
            };
            match line {
                Err(_) => break format!("the server was silent for {} s", LONGEST_SILENCE.as_secs()),
                Ok(Err(why)) => break why,
                Ok(Ok(Line::Beat)) => {}
                Ok(Ok(Line::Closed { why })) => break format!("the server ended it: {why}"),
                Ok(Ok(Line::Opened { id, name, beat, deadline })) => {
                    // Not on standard output, which belongs to the calls.
                    let name = printable(&name);
                    eprintln!("connected to {} as {name}: its calls go to {}", self.remote.base(), self.local.base());
                    let path = format!("/admin/tunnel/{id}/answer");
                    let beats = tokio::spawn(beat_on(self.remote.clone(), path.clone(), Duration::from_millis(beat)));
                    open = Some(Open { path, deadline: Duration::from_millis(deadline), beats });
                }
                Ok(Ok(Line::Call(call))) => {
                    let Some(open) = &open else { break "the server began in the middle".to_owned() };
                    if calls.len() >= MAX_IN_FLIGHT {
                        // The server does not send more; a server that did would be made to wait.
                        let _ = calls.join_next().await;
                    }
                    let (remote, local, sink) = (self.remote.clone(), self.local.clone(), self.sink.clone());
                    calls.spawn(forward(remote, local, sink, open.path.clone(), open.deadline, call));
                }
            }
        };
        Ended { why, was_open: open.is_some() }
    }
}

/// An open tunnel.
struct Open {
    /// Where answers go.
    path: String,
    /// For how long the server waits for one.
    deadline: Duration,
    beats: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.beats.abort();
    }
}

/// A wrong token does not become right. A server that has no place, or is stopping, may have one again.
fn is_final(status: StatusCode, was_open: bool) -> bool {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => false,
        StatusCode::CONFLICT => !was_open,
        _ => true,
    }
}

/// Says that we are here, for as long as the tunnel is open.
async fn beat_on(remote: Arc<Remote>, path: String, every: Duration) {
    let mut beats = tokio::time::interval(every.max(Duration::from_millis(100)));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        // What is wrong with the connection, the other one says.
        if let Err(error) = remote.post(&path, &Said::Beat).await {
            tracing::debug!(%error, "a beat was not heard");
        }
    }
}

/// One call: to the local backend, shown, and answered.
async fn forward(remote: Arc<Remote>, local: Arc<Local>, sink: Sink, path: String, deadline: Duration, call: CallLine) {
    let (exchange, said) = local.exchange(call, deadline).await;
    sink(&exchange);
    if let Err(error) = remote.post(&path, &said).await {
        let name = exchange.call.command().map_or(exchange.call.path.as_str(), |command| command.name);
        eprintln!("the answer to {} did not count: {error}", printable(name));
    }
}

/// A response, line by line.
struct Lines {
    body: Incoming,
    unread: Unread,
}

/// What has come and was not taken yet.
#[derive(Default)]
struct Unread {
    bytes: BytesMut,
    /// So many of them are known to end no line: a line of megabytes comes in thousands of pieces.
    searched: usize,
}

impl Lines {
    /// The next line; or why there is none. May be dropped while it waits, and called again.
    async fn next(&mut self) -> Result<Line, String> {
        loop {
            if let Some(line) = self.unread.line() {
                return serde_json::from_slice(&line)
                    .map_err(|_| "the server said something that this version does not understand".to_owned());
            }
            if self.unread.bytes.len() > MAX_LINE_BYTES {
                return Err(format!("the server sent a line of more than {MAX_LINE_BYTES} bytes"));
            }
            match self.body.frame().await {
                None => return Err("the server ended the connection".to_owned()),
                Some(Err(error)) => return Err(format!("the connection broke: {}", webhook::failure::words(&error))),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.unread.bytes.extend_from_slice(data);
                    }
                }
            }
        }
    }
}

impl Unread {
    /// The first line, its end included; none if there is no whole one.
    fn line(&mut self) -> Option<BytesMut> {
        let Some(end) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.bytes.len();
            return None;
        };
        Some(self.bytes.split_to(std::mem::take(&mut self.searched) + end + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_however_they_come_and_nothing_is_searched_twice() {
        let text = b"one\n\nthree, a longer one\nfour\nfi";
        for piece in 1..=text.len() {
            let (mut unread, mut lines) = (Unread::default(), Vec::new());
            for bytes in text.chunks(piece) {
                unread.bytes.extend_from_slice(bytes);
                while let Some(line) = unread.line() {
                    assert_eq!(unread.searched, 0, "the next line is new");
                    lines.push(line);
                }
                assert_eq!(unread.searched, unread.bytes.len(), "all of it is known");
            }
            assert_eq!(lines, [&b"one\n"[..], b"\n", b"three, a longer one\n", b"four\n"], "{piece}");
            assert_eq!(&unread.bytes[..], b"fi");
        }
    }
}
