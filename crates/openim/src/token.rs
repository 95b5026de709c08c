//! Tokens: JSON web tokens with HMAC-SHA256, as OpenIM issues them (`spec/openim/semantics.md`, section 2).
//!
//! Written out over `hmac` and `base64`: a JWT library would bring RSA and elliptic curves, and with them the choice of
//! algorithm that has been the classic hole of JWT. Here the algorithm is fixed; `none` cannot be said.
//!
//! A token is good by signature and time. Marks of tokens that were revoked (by a kick or a newer login) are looked at
//! beside this, in `auth.rs`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chat::id::{AccountId, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;

/// Tokens are dated back this far, so that a verifier whose clock is a little behind takes them at once.
const BACKDATE_SECONDS: i64 = 5;

/// A real token has some 200 bytes. Longer ones are not even decoded.
const MAX_TOKEN_BYTES: usize = 4096;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Whose it is.
    pub user: AccountId,
    /// The class of client that it was issued for; 10 is an admin's.
    pub platform: u8,
    /// When it ends, in seconds since the epoch.
    pub expires: i64,
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Its time is over: 1501.
    Expired,
    /// It is not such a token at all: 1503.
    Malformed,
    /// It was issued in the future, or is not valid yet: 1504.
    NotYetValid,
    /// Its signature is not by our secret, or not by our algorithm: 1505.
    BadSignature,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// In the order and the letter case of the wire.
#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "UserID")]
    user: &'a str,
    #[serde(rename = "PlatformID")]
    platform: u8,
    exp: i64,
    iat: i64,
}

/// Issues a token for `user` on `platform`.
pub fn issue(secret: &str, user: &AccountId, platform: u8, now: Timestamp, lifetime: Duration) -> String {
    let lifetime = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    let payload = Payload {
        user: user.as_str(),
        platform,
        exp: now.seconds().saturating_add(lifetime),
        iat: now.seconds() - BACKDATE_SECONDS,
    };
    // Strings and integers always serialise.
    let payload = serde_json::to_vec(&payload).unwrap_or_default();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(keyed(secret, &signed).finalize().into_bytes());
    format!("{signed}.{signature}")
}

/// Verifies a token. The signature is judged before anything is believed.
pub fn verify(secret: &str, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Malformed)?;
    let payload: Map<String, Value> = serde_json::from_slice(&decode(payload)?).map_err(|_| TokenError::Malformed)?;
    if header.alg != "HS256" {
        return Err(TokenError::BadSignature);
    }
    // Compares in constant time.
    keyed(secret, signed).verify_slice(&decode(signature)?).map_err(|_| TokenError::BadSignature)?;
    claims(&payload, now.seconds())
}

fn claims(payload: &Map<String, Value>, now: i64) -> Result<Claims, TokenError> {
    let user = payload.get("UserID").and_then(Value::as_str).filter(|user| !user.is_empty());
    let platform = payload.get("PlatformID").and_then(Value::as_u64).and_then(|number| u8::try_from(number).ok());
    let expires = seconds(payload, "exp")?;
    let (Some(user), Some(platform), Some(expires)) = (user, platform, expires) else {
        return Err(TokenError::Malformed);
    };
    if now >= expires {
        return Err(TokenError::Expired);
    }
    let is_early = |at: Option<i64>| at.is_some_and(|at| now < at);
    if is_early(seconds(payload, "iat")?) || is_early(seconds(payload, "nbf")?) {
        return Err(TokenError::NotYetValid);
    }
    Ok(Claims { user: AccountId::new(user), platform, expires })
}

/// A point in time; issuers may write fractions.
fn seconds(payload: &Map<String, Value>, name: &str) -> Result<Option<i64>, TokenError> {
    match payload.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let whole = value.as_i64().or_else(|| value.as_f64().map(|fraction| fraction as i64));
            whole.map(Some).ok_or(TokenError::Malformed)
        }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

fn keyed(secret: &str, signed: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    mac.update(signed.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_760_000_000_123);

    fn sample() -> String {
        issue("s3cret", &AccountId::new("alice"), 5, NOW, Duration::from_secs(3600))
    }

    fn signed(header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = URL_SAFE_NO_PAD.encode(keyed("s3cret", &signed).finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    #[test]
    fn the_payload_is_exactly_what_openim_writes() {
        let token = sample();
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let payload = String::from_utf8(payload).unwrap();
        assert_eq!(payload, r#"{"UserID":"alice","PlatformID":5,"exp":1760003600,"iat":1759999995}"#);
    }

    /// The well-known example of jwt.io: the signature agrees with everybody else's.
    #[test]
    fn signs_like_everybody_else() {
        let header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
        let payload = "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ";
        let mac = keyed("your-256-bit-secret", &format!("{header}.{payload}"));
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        assert_eq!(signature, "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c");
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let claims = Claims { user: AccountId::new("alice"), platform: 5, expires: 1_760_003_600 };
        assert_eq!(verify("s3cret", &sample(), NOW), Ok(claims));
        let late = Timestamp::from_millis(1_760_003_600_000);
        assert_eq!(verify("s3cret", &sample(), late), Err(TokenError::Expired));
        let early = Timestamp::from_millis(1_759_999_994_000);
        assert_eq!(verify("s3cret", &sample(), early), Err(TokenError::NotYetValid));
    }

    #[test]
    fn a_foreign_or_changed_token_is_not() {
        assert_eq!(verify("other", &sample(), NOW), Err(TokenError::BadSignature));
        let (signed_part, _) = sample().rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!(verify("s3cret", &format!("{signed_part}."), NOW), Err(TokenError::BadSignature));
        let none = signed(r#"{"alg":"none"}"#, r#"{"UserID":"alice","PlatformID":5,"exp":9999999999}"#);
        assert_eq!(verify("s3cret", &none, NOW), Err(TokenError::BadSignature));
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        let long = "a".repeat(MAX_TOKEN_BYTES + 1);
        for text in ["", "x", "a.b", "a.b.c", "!.!.!", long.as_str()] {
            assert_eq!(verify("s3cret", text, NOW), Err(TokenError::Malformed), "{text}");
        }
        for payload in
            ["[]", "{}", r#"{"UserID":"","PlatformID":1,"exp":9999999999}"#, r#"{"UserID":"a","PlatformID":1}"#]
        {
            let token = signed(r#"{"alg":"HS256"}"#, payload);
            assert_eq!(verify("s3cret", &token, NOW), Err(TokenError::Malformed), "{payload}");
        }
    }
}
