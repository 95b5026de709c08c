//! What a client says when it connects: the query of the URL, in one of two forms (`spec/openim/gateway.md`, section 1).

use axum::extract::Query;
use axum::http::{HeaderMap, Uri};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chat::id::AccountId;
use serde::Deserialize;

use super::frame::{Encoding, Form};
use crate::error::{ApiError, Code};

/// Who wants to connect, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) account: AccountId,
    pub(super) token: String,
    /// A platform's number, not looked at yet.
    pub(super) platform: i64,
    pub(super) operation: String,
    pub(super) is_background: bool,
    pub(super) form: Form,
    /// Whether the outcome is told as a text frame, and not by HTTP.
    pub(super) wants_answer: bool,
}

/// The one argument of the second form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Packed {
    token: String,
    #[serde(rename = "userID")]
    user_id: String,
    #[serde(rename = "platformID")]
    platform_id: i64,
    #[serde(rename = "operationID")]
    operation_id: String,
    compression: String,
    #[serde(rename = "sdkType")]
    sdk_type: String,
    #[serde(rename = "sendResponse")]
    send_response: bool,
    background: bool,
}

impl Arguments {
    /// Reads them. What is missing or wrong is 1602.
    pub(super) fn read(uri: &Uri, headers: &HeaderMap) -> Result<Self, ApiError> {
        let Query(query): Query<Vec<(String, String)>> =
            Query::try_from_uri(uri).map_err(|error| wrong(format!("the query cannot be read: {error}")))?;
        // Of several of one name the first counts, as in Go.
        let of = |name: &str| query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let packed = match of("v") {
            "" => Packed {
                token: of("token").to_owned(),
                user_id: of("sendID").to_owned(),
                platform_id: of("platformID").parse().map_err(|_| wrong("platformID must be a number"))?,
                operation_id: of("operationID").to_owned(),
                compression: of("compression").to_owned(),
                sdk_type: of("sdkType").to_owned(),
                send_response: flag(of("isMsgResp")).unwrap_or(false),
                background: flag(of("isBackground")).ok_or_else(|| wrong("isBackground must be true or false"))?,
            },
            text => {
                let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong("v must be Base64 without padding"))?;
                serde_json::from_slice(&json).map_err(|error| wrong(format!("v must hold a JSON object: {error}")))?
            }
        };
        for (name, value) in
            [("token", &packed.token), ("sendID", &packed.user_id), ("operationID", &packed.operation_id)]
        {
            if value.is_empty() {
                return Err(wrong(format!("{name} is required")));
            }
        }
        let encoding = match packed.sdk_type.as_str() {
            "" | "go" => Encoding::Gob,
            "js" => Encoding::Json,
            _ => return Err(wrong("sdkType must be go or js")),
        };
        let header = headers.get("compression").is_some_and(|value| value == "gzip");
        Ok(Self {
            account: AccountId::new(packed.user_id),
            token: packed.token,
            platform: packed.platform_id,
            operation: packed.operation_id,
            is_background: packed.background,
            form: Form { encoding, is_gzip: packed.compression == "gzip" || header },
            wants_answer: packed.send_response,
        })
    }
}

fn wrong(detail: impl Into<String>) -> ApiError {
    Code::ConnectArgs.because(detail)
}

/// True or false, as Go writes and reads it.
fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "sendID=u1&token=t&platformID=5&operationID=op";

    fn read(query: &str) -> Result<Arguments, ApiError> {
        Arguments::read(&format!("/any/path?{query}").parse().unwrap(), &HeaderMap::new())
    }

    #[test]
    fn each_sdk_is_understood() {
        // As the Go core writes it, the one in the browser, and the one in JavaScript.
        let native = read(&format!("{PLAIN}&isBackground=false&sdkVersion=1&compression=gzip")).unwrap();
        let gob = Form { encoding: Encoding::Gob, is_gzip: true };
        assert_eq!((native.form, native.wants_answer, native.platform), (gob, false, 5));
        let wasm = format!("{PLAIN}&isBackground=false&compression=gzip&sdkType=js&isMsgResp=true");
        let wasm = read(&wasm).unwrap();
        assert_eq!((wasm.form, wasm.wants_answer), (Form { encoding: Encoding::Json, is_gzip: true }, true));
        let js = read(&format!("{PLAIN}&isBackground=true&isMsgResp=true&sdkType=js")).unwrap();
        assert_eq!((js.form.is_gzip, js.is_background), (false, true));
        assert_eq!((js.account.as_str(), js.token.as_str(), js.operation.as_str()), ("u1", "t", "op"));
    }

    #[test]
    fn the_packed_form_says_the_same() {
        let json = r#"{"token":"t","userID":"u1","platformID":5,"operationID":"op","sdkType":"js","sendResponse":true,"sdkVersion":"x"}"#;
        let packed = format!("v={}&sendID=ignored", URL_SAFE_NO_PAD.encode(json));
        assert_eq!(read(&packed), read(&format!("{PLAIN}&isBackground=0&isMsgResp=1&sdkType=js")));
    }

    #[test]
    fn compression_may_be_a_header() {
        let headers = HeaderMap::from_iter([("compression".parse().unwrap(), "gzip".parse().unwrap())]);
        let uri = format!("/?{PLAIN}&isBackground=false").parse().unwrap();
        assert!(Arguments::read(&uri, &headers).unwrap().form.is_gzip);
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        for (query, words) in [
            ("", "platformID"),
            (PLAIN, "isBackground"),
            ("sendID=u&platformID=5&operationID=o&isBackground=1", "token is required"),
            ("token=u&platformID=5&operationID=o&isBackground=1", "sendID is required"),
            ("sendID=u&token=t&platformID=5&isBackground=1", "operationID is required"),
            ("sendID=u&token=t&platformID=five&operationID=o&isBackground=1", "platformID"),
            ("sendID=u&token=t&platformID=5&operationID=o&isBackground=yes", "isBackground"),
            ("sendID=u&token=t&platformID=5&operationID=o&isBackground=1&sdkType=java", "sdkType"),
            ("v=%21", "Base64"),
            ("v=e30", "token is required"),
            ("v=W10", "token is required"),
            ("v=Ww", "JSON"),
        ] {
            let error = read(query).unwrap_err();
            assert_eq!(error.code, 1602, "{query}");
            assert!(error.detail.contains(words), "{query}: {}", error.detail);
        }
    }
}
