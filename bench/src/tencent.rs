//! As much of the Tencent dialect as a load generator needs: our own UserSig signer and request targets.
//! Written from the protocol's rules and not from `crates/tencent`, so that it also checks that crate.

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::ZlibEncoder};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Result;

/// The app that a run plays, and the admin that it calls as.
pub(crate) struct App {
    pub(crate) sdkappid: u64,
    pub(crate) key: String,
    pub(crate) admin: &'static str,
}

impl App {
    /// A made-up app whose key nobody can know in advance.
    pub(crate) fn invent() -> Result<Self> {
        let key = random_bytes()?.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { sdkappid: 1_400_000_000, key, admin: "bench_admin" })
    }

    /// Path and query of a REST command, signed for one day.
    pub(crate) fn target(&self, command: &str) -> Result<String> {
        let sig = self.usersig(std::time::UNIX_EPOCH.elapsed()?.as_secs(), 86_400)?;
        let (sdkappid, admin) = (self.sdkappid, self.admin);
        Ok(format!("/v4/{command}?sdkappid={sdkappid}&identifier={admin}&usersig={sig}&random=8128&contenttype=json"))
    }

    /// UserSig of the admin: HMAC over four lines, as JSON, through zlib and a base64 of Tencent's own.
    fn usersig(&self, time: u64, expire: u64) -> Result<String> {
        let Self { sdkappid, admin, .. } = self;
        let text = format!("TLS.identifier:{admin}\nTLS.sdkappid:{sdkappid}\nTLS.time:{time}\nTLS.expire:{expire}\n");
        let claims = serde_json::json!({
            "TLS.ver": "2.0",
            "TLS.identifier": admin,
            "TLS.sdkappid": sdkappid,
            "TLS.expire": expire,
            "TLS.time": time,
            "TLS.sig": STANDARD.encode(hmac_sha256(self.key.as_bytes(), text.as_bytes())),
        });
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(claims.to_string().as_bytes())?;
        Ok(STANDARD.encode(zlib.finish()?).replace('+', "*").replace('/', "-").replace('=', "_"))
    }
}

/// HMAC-SHA256, which signs a UserSig and a callback alike.
pub(crate) fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// 32 bytes from the kernel.
pub(crate) fn random_bytes() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector was confirmed with Tencent's own signer. The zlib bytes may differ between
    /// libraries, so what they unpack to is compared.
    #[test]
    fn signs_like_tencent() {
        let app = App { sdkappid: 20_240_001, key: "self-hosted-demo-key-001".into(), admin: "ops_admin" };
        let sig = app.usersig(1_700_000_000, 86_400).unwrap();
        let packed = STANDARD.decode(sig.replace('*', "+").replace('-', "/").replace('_', "=")).unwrap();
        let claims: serde_json::Value =
            serde_json::from_reader(flate2::read::ZlibDecoder::new(packed.as_slice())).unwrap();
        assert_eq!(claims["TLS.sig"], "3KYqgX16ol40ruuFPz+Y+3bT77AUHG5K9blcxaGE7YI=");
        assert_eq!((&claims["TLS.time"], &claims["TLS.ver"]), (&1_700_000_000.into(), &"2.0".into()));
    }
}
