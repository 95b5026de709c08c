//! How a call and its answer look: on a terminal for a person, on a line for a program.

use std::fmt::Write;
use std::time::SystemTime;

use humantime_serde::re::humantime::format_rfc3339_millis;
use serde::Serialize;
use serde_json::{Map, Value};

use super::backend::{Answer, Decision};
use super::call::{Call, Moment, texts};
use crate::terminal::{Tone, paint, printable};

/// A terminal of 100 columns holds a line of JSON and its indent.
const WIDTH: usize = 96;
/// What is longer than this is cut: the start tells what it is.
const LONGEST_LINE: usize = 240;
/// More of a body than this hides the calls around it.
const MOST_LINES: usize = 12;

/// A call, when it came, and what it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) time: SystemTime,
    pub(crate) call: Call,
    pub(crate) answer: Answer,
}

/// An exchange as a program reads it.
#[derive(Serialize)]
struct Line<'a> {
    /// RFC 3339, UTC, with milliseconds.
    time: String,
    method: &'a str,
    path: &'a str,
    query: Map<String, Value>,
    headers: Map<String, Value>,
    /// A text where it is not JSON.
    body: Value,
    /// None: there was no answer.
    status: Option<u16>,
    answer: Value,
}

impl Exchange {
    /// One JSON object without line breaks.
    pub(crate) fn to_json(&self) -> String {
        let line = Line {
            time: format_rfc3339_millis(self.time).to_string(),
            method: &self.call.method,
            path: &self.call.path,
            query: object(&self.call.query),
            headers: object(&self.call.headers),
            body: self.call.json().unwrap_or_else(|| Value::String(self.call.body.clone())),
            status: Some(self.answer.status).filter(|status| *status != 0),
            answer: serde_json::from_str(&self.answer.body).unwrap_or_default(),
        };
        // Texts, numbers and JSON values cannot fail to be written.
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// A few lines, the last one ended too.
    pub(crate) fn for_person(&self, colours: bool) -> String {
        let paint = |colour, text: &str| paint(colours, colour, text);
        let time = format_rfc3339_millis(self.time).to_string();
        let clock = time.split_once('T').map_or(time.as_str(), |(_, clock)| clock);
        let mut shown = format!("{} {}\n", paint(Tone::Dim, clock), self.headline(&paint));
        for line in pretty(&self.call.body) {
            let _ = writeln!(shown, "    {}", paint(Tone::Dim, &line));
        }
        let (colour, word) = self.answer.word();
        let body = cut(&printable(&self.answer.body));
        let word = if self.answer.status == 0 { word } else { format!("{} {word}", self.answer.status) };
        let _ = writeln!(shown, "  {} {body}", paint(colour, &word));
        shown
    }

    /// `→ asked C2C.CallbackBeforeSendMsg  jared → Jonh  "red packet"`
    fn headline(&self, paint: &impl Fn(Tone, &str) -> String) -> String {
        let Some(command) = self.call.command() else {
            return printable(&format!("→ {} {}", self.call.method, self.call.path));
        };
        let (arrow, word) = match command.moment() {
            Moment::Asked => ("⇄", "asked"),
            Moment::Told => ("→", "told "),
        };
        let name = paint(Tone::Bold, &printable(command.name));
        let mut headline = format!("{arrow} {word} {name}");
        if let Some(body) = self.call.json() {
            let mut what = texts(command.dialect, &body);
            what.extend(first(&body, &CHANGED).map(str::to_owned));
            let whom = match (first(&body, &WHO), first(&body, &WHOM)) {
                (Some(who), Some(whom)) => format!("  {who} → {whom}"),
                (Some(one), None) | (None, Some(one)) => format!("  {one}"),
                (None, None) => String::new(),
            };
            headline.push_str(&printable(&whom));
            if let Some(what) = what.first() {
                let _ = write!(headline, "  “{}”", cut_to(&printable(what), 40));
            }
        }
        headline
    }
}

/// On whose behalf, in the words of all dialects; the first that is there counts.
const WHO: [&str; 8] = [
    "/From_Account",
    "/Operator_Account",
    "/sendID",
    "/opUserID",
    "/userID",
    "/Owner_Account",
    "/data/message/sender",
    "/data/actor/account",
];
/// To whom or what.
const WHOM: [&str; 9] = [
    "/To_Account",
    "/GroupId",
    "/recvID",
    "/groupID",
    "/data/message/recipient",
    "/data/message/conversation/topic",
    "/data/message/conversation/group",
    "/data/group",
    "/data/endpoint",
];
/// What about, where there is no message: a group's changed profile, an endpoint's trouble.
const CHANGED: [&str; 13] = [
    "/Name",
    "/Introduction",
    "/Notification",
    "/FaceUrl",
    "/groupName",
    "/introduction",
    "/notification",
    "/faceURL",
    "/data/changes/name",
    "/data/changes/introduction",
    "/data/changes/announcement",
    "/data/changes/face_url",
    "/data/detail",
];

fn first<'a>(body: &'a Value, places: &[&str]) -> Option<&'a str> {
    places.iter().find_map(|place| body.pointer(place)?.as_str().filter(|text| !text.is_empty()))
}

impl Answer {
    fn word(&self) -> (Tone, String) {
        match &self.decision {
            Decision::Ok => (Tone::Good, "ok".to_owned()),
            Decision::Reject(code) => (Tone::Bad, format!("reject {code}")),
            Decision::Discard => (Tone::Bad, "discard".to_owned()),
            Decision::Wait => (Tone::Warning, "wait".to_owned()),
            Decision::Replace => (Tone::Warning, "replace".to_owned()),
            Decision::Fail => (Tone::Bad, "fail".to_owned()),
            Decision::Strange => (Tone::Bad, "not understood".to_owned()),
            Decision::TooLarge => (Tone::Bad, "too large".to_owned()),
            Decision::HttpError => (Tone::Bad, "an error".to_owned()),
            Decision::NoAnswer => (Tone::Bad, "no answer".to_owned()),
        }
    }
}

/// A name that comes several times has its values joined, as HTTP does.
fn object(pairs: &[(String, String)]) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in pairs {
        match object.get_mut(name) {
            Some(Value::String(before)) => {
                before.push_str(", ");
                before.push_str(value);
            }
            _ => {
                object.insert(name.clone(), Value::String(value.clone()));
            }
        }
    }
    object
}

/// JSON (or whatever came) as a few filled lines, in the order in which it was sent.
///
/// It is broken after commas only, so that it stays JSON that can be copied.
fn pretty(body: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces(body) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + piece.chars().count() < WIDTH => line.push_str(&piece),
            _ => lines.push(piece.trim_start().to_owned()),
        }
    }
    let more = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    let mut lines: Vec<String> = lines.iter().map(|line| cut(line)).collect();
    if more > 0 {
        lines.push(format!("… and {more} more lines"));
    }
    lines
}

/// Splits after commas outside of strings, with one blank after `,` and `:` and none elsewhere.
fn pieces(body: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let (mut in_string, mut is_escaped) = (false, false);
    for c in printable(body).chars() {
        let Some(piece) = pieces.last_mut() else { break };
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if in_string => is_escaped = true,
            '"' => in_string = !in_string,
            c if !in_string && c.is_whitespace() => continue,
            _ => {}
        }
        piece.push(c);
        if !in_string && c == ':' {
            piece.push(' ');
        }
        if !in_string && c == ',' {
            pieces.push(" ".to_owned());
        }
    }
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

fn cut(line: &str) -> String {
    cut_to(line, LONGEST_LINE)
}

fn cut_to(line: &str, longest: usize) -> String {
    let more = line.chars().count().saturating_sub(longest);
    if more == 0 {
        return line.to_owned();
    }
    let start: String = line.chars().take(longest).collect();
    format!("{start}… ({more} more)")
}

#[cfg(test)]
mod tests;
