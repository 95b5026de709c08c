//! Where a webhook goes: `{url}/{command}?contenttype=json`, and after-callbacks with a `key`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::msg_data::MsgData;

/// In every query: the documents that ask for these callbacks have it, and a receiver that does not ignores it.
pub(crate) const CONTENT_TYPE: &str = "contenttype=json";

/// An endpoint's URL, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    /// Up to where the command is appended.
    path: String,
    /// The query that the operator wrote; kept in front of ours.
    own_query: Option<String>,
}

impl BaseUrl {
    pub(crate) fn of(url: &str) -> Self {
        let url = url.split_once('#').map_or(url, |(url, _)| url);
        let (path, query) = match url.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (url, None),
        };
        let own_query = query.filter(|query| !query.is_empty()).map(str::to_owned);
        Self { path: path.trim_end_matches('/').to_owned(), own_query }
    }

    pub(crate) fn to(&self, command: &str, query: &str) -> String {
        let path = &self.path;
        match &self.own_query {
            Some(own) => format!("{path}/{command}?{own}&{query}"),
            None => format!("{path}/{command}?{query}"),
        }
    }
}

/// What the key holds: whoever has it can answer into the conversation. All three are always there.
#[derive(Serialize)]
struct Key<'a> {
    #[serde(rename = "sendID")]
    send_id: &'a str,
    #[serde(rename = "recvID")]
    recv_id: &'a str,
    #[serde(rename = "groupID")]
    group_id: &'a str,
}

/// The query parameter `key` of a message's after-callback.
pub(crate) fn key(message: &MsgData) -> String {
    let key = Key { send_id: &message.send_id, recv_id: &message.recv_id, group_id: &message.group_id };
    // Strings always serialise.
    let encoded = STANDARD.encode(serde_json::to_vec(&key).unwrap_or_default());
    // What base64 has beyond letters and digits means something else in a query.
    format!("key={}", encoded.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_goes_before_the_query() {
        let to = |url: &str| BaseUrl::of(url).to("cmd", "contenttype=json");
        assert_eq!(to("http://h:1/hook"), "http://h:1/hook/cmd?contenttype=json");
        assert_eq!(to("http://h:1/hook/"), "http://h:1/hook/cmd?contenttype=json");
        assert_eq!(to("http://h:1"), "http://h:1/cmd?contenttype=json");
        assert_eq!(to("http://h/hook?tenant=7#x"), "http://h/hook/cmd?tenant=7&contenttype=json");
        assert_eq!(to("http://h/hook?"), "http://h/hook/cmd?contenttype=json");
    }

    #[test]
    fn the_key_names_the_conversation() {
        let message = MsgData { send_id: "a?".into(), group_id: "g>1".into(), ..MsgData::default() };
        let key = key(&message);
        assert!(!key["key=".len()..].contains(['+', '/', '=']), "{key}");
        let encoded = key["key=".len()..].replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        let json = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        assert_eq!(json, r#"{"sendID":"a?","recvID":"","groupID":"g>1"}"#);
    }
}
