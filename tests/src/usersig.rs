//! UserSig (TLSSigAPIv2), written a second time and independently of the server, after `spec/tencent/rules.md` 1.

use std::io::{Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// What a UserSig says. Change a field to make one that is wrong in just that way, then [`UserSig::sign`].
#[derive(Clone, Debug)]
pub struct UserSig {
    pub identifier: String,
    pub sdkappid: u64,
    pub time: u64,
    pub expire: u64,
    pub userbuf: Option<Vec<u8>>,
}

impl UserSig {
    /// A good one: issued now, for an hour.
    pub fn new(sdkappid: u64, identifier: &str) -> Self {
        Self { identifier: identifier.to_owned(), sdkappid, time: now(), expire: 3600, userbuf: None }
    }

    /// The signature alone (`TLS.sig`).
    pub fn signature(&self, key: &str) -> String {
        let mut text = format!(
            "TLS.identifier:{}\nTLS.sdkappid:{}\nTLS.time:{}\nTLS.expire:{}\n",
            self.identifier, self.sdkappid, self.time, self.expire
        );
        if let Some(userbuf) = &self.userbuf {
            text.push_str(&format!("TLS.userbuf:{}\n", STANDARD.encode(userbuf)));
        }
        STANDARD.encode(hmac_sha256(key.as_bytes(), text.as_bytes()))
    }

    /// The JSON inside, signed.
    pub fn document(&self, key: &str) -> Value {
        let mut document = json!({
            "TLS.ver": "2.0",
            "TLS.identifier": self.identifier,
            "TLS.sdkappid": self.sdkappid,
            "TLS.expire": self.expire,
            "TLS.time": self.time,
            "TLS.sig": self.signature(key),
        });
        if let Some(userbuf) = &self.userbuf {
            document["TLS.userbuf"] = STANDARD.encode(userbuf).into();
        }
        document
    }

    pub fn sign(&self, key: &str) -> String {
        pack(self.document(key).to_string().as_bytes())
    }
}

/// zlib, then base64 in the private alphabet.
pub fn pack(document: &[u8]) -> String {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(document).expect("zlib into memory");
    let packed = zlib.finish().expect("zlib into memory");
    STANDARD.encode(packed).replace('+', "*").replace('/', "-").replace('=', "_")
}

/// The JSON inside a UserSig that somebody else made.
pub fn unpack(usersig: &str) -> Value {
    let standard = usersig.replace('*', "+").replace('-', "/").replace('_', "=");
    let packed = STANDARD.decode(standard).expect("a UserSig in base64");
    let mut document = String::new();
    ZlibDecoder::new(packed.as_slice()).read_to_string(&mut document).expect("a UserSig in zlib");
    serde_json::from_str(&document).expect("a UserSig in JSON")
}

pub fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// UNIX seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}
