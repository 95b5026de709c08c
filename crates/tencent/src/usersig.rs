//! UserSig, version 2 (TLSSigAPIv2): issuing and verifying.
//!
//! The algorithm and a vector are in `spec/tencent/rules.md`, section 1: a JSON object with an HMAC-SHA256 over some of
//! its fields, compressed with zlib, in a base64 of its own alphabet. Signatures are never compared as text: zlib's
//! output differs between libraries.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chat::id::{AccountId, Timestamp};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// A real one is under 1 KB, unpacked as well; a hostile one may unpack to gigabytes.
const MAX_JSON_BYTES: u64 = 4096;

/// Why a UserSig is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserSigError {
    /// It has no bytes.
    #[error("the UserSig is empty")]
    Empty,
    /// It is not the text of a UserSig.
    #[error("the UserSig is malformed")]
    Malformed,
    /// It was signed with another key, or changed since.
    #[error("the UserSig was not signed with the key of this app")]
    WrongKey,
    /// It is someone else's.
    #[error("the UserSig was issued for another identifier")]
    OtherUser,
    /// It is another app's.
    #[error("the UserSig was issued for another sdkappid")]
    OtherApp,
    /// Its time is over.
    #[error("the UserSig has expired")]
    Expired,
}

/// Issues a UserSig for `seconds`, as the official libraries do.
pub fn issue(sdkappid: u32, key: &str, user: &AccountId, now: Timestamp, seconds: u64) -> String {
    let claims = Claims {
        identifier: user.as_str().to_owned(),
        sdkappid: u64::from(sdkappid),
        time: now.seconds(),
        expire: i64::try_from(seconds).unwrap_or(i64::MAX),
        userbuf: None,
    };
    let json = json!({
        "TLS.ver": "2.0",
        "TLS.identifier": claims.identifier,
        "TLS.sdkappid": claims.sdkappid,
        "TLS.expire": claims.expire,
        "TLS.time": claims.time,
        "TLS.sig": STANDARD.encode(claims.mac(key).finalize().into_bytes()),
    });
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing into memory cannot fail.
    let packed = zlib.write_all(json.to_string().as_bytes()).and_then(|()| zlib.finish()).unwrap_or_default();
    STANDARD.encode(packed).replace('+', "*").replace('/', "-").replace('=', "_")
}

/// Verifies a UserSig: that the key signed it for this user and app, and that it is still valid. Returns the last second
/// in which it is.
pub fn verify(sdkappid: u32, key: &str, user: &AccountId, usersig: &str, now: Timestamp) -> Result<i64, UserSigError> {
    if usersig.is_empty() {
        return Err(UserSigError::Empty);
    }
    let json = unpack(usersig).ok_or(UserSigError::Malformed)?;
    let claims = Claims::read(&json).ok_or(UserSigError::Malformed)?;
    let signature = json.get("TLS.sig").and_then(Value::as_str).ok_or(UserSigError::Malformed)?;
    let signature = STANDARD.decode(signature).map_err(|_| UserSigError::Malformed)?;
    let expected = claims.mac(key).finalize().into_bytes();
    if !bool::from(expected.as_slice().ct_eq(&signature)) {
        return Err(UserSigError::WrongKey);
    }
    if claims.identifier != user.as_str() {
        return Err(UserSigError::OtherUser);
    }
    if claims.sdkappid != u64::from(sdkappid) {
        return Err(UserSigError::OtherApp);
    }
    let last_second = claims.time.saturating_add(claims.expire);
    if last_second < now.seconds() {
        return Err(UserSigError::Expired);
    }
    Ok(last_second)
}

/// UserSigs that were verified not long ago. A backend signs once and then calls a thousand times; unpacking and checking
/// it each time would be a tenth of the cost of a send.
#[derive(Debug, Default)]
pub(crate) struct Verified(Mutex<HashMap<(AccountId, String), i64>>);

/// So many are remembered; then all are forgotten, and verified again.
const MOST_VERIFIED: usize = 1024;

impl Verified {
    /// As [`verify`], and remembers the good ones.
    pub(crate) fn verify(
        &self,
        sdkappid: u32,
        key: &str,
        user: AccountId,
        usersig: String,
        now: Timestamp,
    ) -> Result<AccountId, UserSigError> {
        let entry = (user, usersig);
        if self.entries().get(&entry).is_some_and(|last_second| now.seconds() <= *last_second) {
            return Ok(entry.0);
        }
        let last_second = verify(sdkappid, key, &entry.0, &entry.1, now)?;
        let mut entries = self.entries();
        if entries.len() >= MOST_VERIFIED {
            entries.clear();
        }
        let user = entry.0.clone();
        entries.insert(entry, last_second);
        Ok(user)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<(AccountId, String), i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Claims {
    identifier: String,
    sdkappid: u64,
    time: i64,
    expire: i64,
    userbuf: Option<String>,
}

impl Claims {
    fn read(json: &Map<String, Value>) -> Option<Self> {
        let userbuf = match json.get("TLS.userbuf") {
            None => None,
            Some(value) => Some(value.as_str()?.to_owned()),
        };
        Some(Self {
            identifier: json.get("TLS.identifier")?.as_str()?.to_owned(),
            sdkappid: u64::try_from(integer(json.get("TLS.sdkappid")?)?).ok()?,
            time: integer(json.get("TLS.time")?)?,
            expire: integer(json.get("TLS.expire")?)?,
            userbuf,
        })
    }

    fn mac(&self, key: &str) -> Hmac<Sha256> {
        let mut text = format!(
            "TLS.identifier:{}\nTLS.sdkappid:{}\nTLS.time:{}\nTLS.expire:{}\n",
            self.identifier, self.sdkappid, self.time, self.expire
        );
        if let Some(userbuf) = &self.userbuf {
            text.push_str(&format!("TLS.userbuf:{userbuf}\n"));
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes any key");
        mac.update(text.as_bytes());
        mac
    }
}

/// COMPAT: some signers write the integers as strings.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn unpack(usersig: &str) -> Option<Map<String, Value>> {
    if usersig.len() as u64 > 2 * MAX_JSON_BYTES {
        return None;
    }
    let base64: String = usersig
        .chars()
        .map(|c| match c {
            '*' => '+',
            '-' => '/',
            '_' => '=',
            other => other,
        })
        .collect();
    let packed = STANDARD.decode(base64).ok()?;
    let mut json = String::new();
    ZlibDecoder::new(packed.as_slice()).take(MAX_JSON_BYTES).read_to_string(&mut json).ok()?;
    serde_json::from_str(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "self-hosted-demo-key-001";
    const VECTOR: &str = "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zLBwvkFxfGJKbmZeVDJ4pTsxIKCzBQlKyMDIxMDAwNDiHhqRUFmUaqSlYUZUBAiVJKZCxQwNDeAAqgBmelAY429IwvTIwzN8nNMDIpKS90CqrQjtY2TQszNHUM93E29LZNykisS3V3NIz1tlWoBRBYxAA__";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn check(user: &str, usersig: &str, now: i64) -> Result<(), UserSigError> {
        verify(20_240_001, KEY, &AccountId::new(user), usersig, at(now)).map(drop)
    }

    #[test]
    fn accepts_the_vector_of_the_official_signer() {
        assert_eq!(check("ops_admin", VECTOR, 1_700_000_001), Ok(()));
        assert_eq!(check("ops_admin", VECTOR, 1_700_086_400), Ok(()));
        assert_eq!(check("ops_admin", VECTOR, 1_700_086_401), Err(UserSigError::Expired));
        assert_eq!(check("someone", VECTOR, 1_700_000_001), Err(UserSigError::OtherUser));
        let other = verify(1, KEY, &AccountId::new("ops_admin"), VECTOR, at(1_700_000_001));
        assert_eq!(other, Err(UserSigError::OtherApp));
        let other = verify(20_240_001, "another key", &AccountId::new("ops_admin"), VECTOR, at(1_700_000_001));
        assert_eq!(other, Err(UserSigError::WrongKey));
    }

    #[test]
    fn userbuf_is_part_of_what_is_signed() {
        let mut claims = Claims {
            identifier: "ops_admin".into(),
            sdkappid: 20_240_001,
            time: 1_700_000_000,
            expire: 86_400,
            userbuf: None,
        };
        let signature = |claims: &Claims| STANDARD.encode(claims.mac(KEY).finalize().into_bytes());
        assert_eq!(signature(&claims), "3KYqgX16ol40ruuFPz+Y+3bT77AUHG5K9blcxaGE7YI=");
        claims.userbuf = Some("AAABeA==".into());
        assert_eq!(signature(&claims), "kqLYCeaBc0XJlM3RmqOr6oanEz6IXEF/CInZXKQxAfU=");
    }

    #[test]
    fn verifies_what_it_issues() {
        let usersig = issue(20_240_001, KEY, &AccountId::new("ops_admin"), at(1_700_000_000), 60);
        assert_eq!(check("ops_admin", &usersig, 1_700_000_060), Ok(()));
        assert_eq!(check("ops_admin", &usersig, 1_700_000_061), Err(UserSigError::Expired));
    }

    #[test]
    fn hostile_text_is_malformed() {
        let bomb = {
            let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
            zlib.write_all(&vec![b' '; 1 << 20]).unwrap();
            STANDARD.encode(zlib.finish().unwrap())
        };
        for text in ["x", "____", "é", &bomb, &"A".repeat(100_000)] {
            assert_eq!(check("ops_admin", text, 0), Err(UserSigError::Malformed));
        }
        assert_eq!(check("ops_admin", "", 0), Err(UserSigError::Empty));
    }

    #[test]
    fn what_is_remembered_still_expires_and_is_still_ones_own() {
        let verified = Verified::default();
        let check = |user: &str, now| {
            verified.verify(20_240_001, KEY, AccountId::new(user), VECTOR.into(), at(now)).map(|user| user.to_string())
        };
        assert_eq!(check("ops_admin", 1_700_000_000), Ok("ops_admin".into()));
        assert_eq!(check("ops_admin", 1_700_086_400), Ok("ops_admin".into()));
        assert_eq!(check("ops_admin", 1_700_086_401), Err(UserSigError::Expired));
        assert_eq!(check("someone", 1_700_000_000), Err(UserSigError::OtherUser));
    }
}
