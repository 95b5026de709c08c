//! Standard Webhooks signatures: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>: what is signed is
//! `<id>.<timestamp>.<body>`, and the header lists one signature for each secret, with spaces between:
//! - `v1,` and the Base64 of HMAC-SHA256, keyed with the bytes behind `whsec_`. The receiver has the same secret.
//! - `v1a,` and the Base64 of an Ed25519 signature with the key behind `whsk_`. The receiver has the public key, `whpk_`.
//!
//! A receiver accepts a call when any signature fits. So two secrets at once are how one replaces the other, and no call
//! fails in between.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chat::id::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::Sha256;

/// Two are a rotation; four leave room for a receiver in several parts, or for both kinds during one. Each costs a hash
/// over the body, and a hundred bytes in a header.
pub const MAX_SECRETS: usize = 4;

/// One key to sign with. Never shown.
#[derive(Clone)]
pub struct SigningSecret(Key);

#[derive(Clone)]
enum Key {
    /// `v1`, ready to take the message: the secret's own blocks are hashed once.
    Hmac(Box<Hmac<Sha256>>),
    /// `v1a`.
    Ed25519(Arc<Ed25519KeyPair>),
}

/// All that sign an endpoint's calls; 1 to [`MAX_SECRETS`].
#[derive(Clone, Debug)]
pub struct SigningSecrets(Vec<SigningSecret>);

impl SigningSecret {
    /// Reads `whsec_` and the Base64 of 24 to 64 bytes, or `whsk_` and the Base64 of an Ed25519 key: its seed (32
    /// bytes), or seed and public key (64 bytes). The error never shows the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(encoded) = text.strip_prefix("whsec_") {
            let key = STANDARD.decode(encoded).map_err(|_| "must be Base64 after whsec_")?;
            if !(24..=64).contains(&key.len()) {
                return Err("must hold 24 to 64 bytes after whsec_");
            }
            let mac = Hmac::new_from_slice(&key).expect("HMAC takes keys of any length");
            return Ok(Self(Key::Hmac(Box::new(mac))));
        }
        if let Some(encoded) = text.strip_prefix("whsk_") {
            let key = STANDARD.decode(encoded).map_err(|_| "must be Base64 after whsk_")?;
            let pair = match key.split_at_checked(32) {
                Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
                Some((seed, public)) if public.len() == 32 => Ed25519KeyPair::from_seed_and_public_key(seed, public),
                _ => return Err("must hold 32 or 64 bytes after whsk_"),
            };
            let pair = pair.map_err(|_| "must hold a public key that belongs to its seed")?;
            return Ok(Self(Key::Ed25519(Arc::new(pair))));
        }
        Err("must begin with whsec_ or whsk_")
    }

    /// `whpk_…`, to verify with, if the secret is an Ed25519 key. Not a secret.
    pub fn public_key(&self) -> Option<String> {
        match &self.0 {
            Key::Hmac(_) => None,
            Key::Ed25519(pair) => Some(format!("whpk_{}", STANDARD.encode(pair.public_key()))),
        }
    }

    fn sign(&self, head: &[u8], body: &[u8]) -> String {
        match &self.0 {
            Key::Hmac(mac) => {
                let mut mac = mac.as_ref().clone();
                mac.update(head);
                mac.update(body);
                format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
            }
            // Ed25519 goes over the message twice, so it must be in one piece.
            Key::Ed25519(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(&[head, body].concat()))),
        }
    }
}

impl SigningSecrets {
    /// These, in this order.
    pub fn new(secrets: Vec<SigningSecret>) -> Result<Self, &'static str> {
        if (1..=MAX_SECRETS).contains(&secrets.len()) { Ok(Self(secrets)) } else { Err("must be 1 to 4 secrets") }
    }

    /// The public keys of those that have one.
    pub fn public_keys(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(SigningSecret::public_key)
    }

    /// The headers of one attempt.
    pub fn headers(&self, id: &str, now: Timestamp, body: &[u8]) -> [(&'static str, String); 2] {
        let timestamp = now.seconds().to_string();
        let head = format!("{id}.{timestamp}.");
        let signatures: Vec<_> = self.0.iter().map(|secret| secret.sign(head.as_bytes(), body)).collect();
        [("webhook-timestamp", timestamp), ("webhook-signature", signatures.join(" "))]
    }
}

impl From<SigningSecret> for SigningSecrets {
    fn from(secret: SigningSecret) -> Self {
        Self(vec![secret])
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    const SYMMETRIC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ASYMMETRIC: &str = "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const NOW: Timestamp = Timestamp::from_millis(1_614_265_330_000);
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn secrets(texts: &[&str]) -> SigningSecrets {
        SigningSecrets::new(texts.iter().map(|text| SigningSecret::parse(text).unwrap()).collect()).unwrap()
    }

    fn signature(texts: &[&str]) -> String {
        let [(_, timestamp), (_, signature)] = secrets(texts).headers(ID, NOW, BODY);
        assert_eq!(timestamp, "1614265330");
        signature
    }

    /// The examples of the specification's reference libraries, for both kinds.
    #[test]
    fn signs_like_the_reference() {
        let v1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let v1a = "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==";
        assert_eq!(signature(&[SYMMETRIC]), v1);
        assert_eq!(signature(&[ASYMMETRIC]), v1a);
        assert_eq!(signature(&[ASYMMETRIC, SYMMETRIC]), format!("{v1a} {v1}"));
    }

    #[test]
    fn the_public_key_verifies() {
        let public = SigningSecret::parse(ASYMMETRIC).unwrap().public_key().unwrap();
        let key = STANDARD.decode(public.strip_prefix("whpk_").unwrap()).unwrap();
        let signature = STANDARD.decode(signature(&[ASYMMETRIC]).strip_prefix("v1a,").unwrap()).unwrap();
        let signed = [ID.as_bytes(), b".1614265330.", BODY].concat();
        let verifier = UnparsedPublicKey::new(&ED25519, &key);
        verifier.verify(&signed, &signature).unwrap();
        assert!(verifier.verify(&signed[1..], &signature).is_err());
        assert_eq!(SigningSecret::parse(SYMMETRIC).unwrap().public_key(), None);
        assert_eq!(secrets(&[SYMMETRIC, ASYMMETRIC]).public_keys().collect::<Vec<_>>(), [public]);
    }

    /// The longer form, as libsodium and others write a secret key.
    #[test]
    fn an_ed25519_key_may_carry_its_public_key() {
        let seed = STANDARD.decode(&ASYMMETRIC[5..]).unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let long = format!("whsk_{}", STANDARD.encode([&seed, pair.public_key().as_ref()].concat()));
        assert_eq!(signature(&[&long]), signature(&[ASYMMETRIC]));
        let not_its_own = format!("whsk_{}", STANDARD.encode([seed.clone(), seed].concat()));
        assert!(SigningSecret::parse(&not_its_own).is_err());
    }

    #[test]
    fn a_secret_is_checked_and_never_shown() {
        let public = SigningSecret::parse(ASYMMETRIC).unwrap().public_key().unwrap();
        for text in
            ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA", "whsk_AAAA", "whsec_hush!", "whsk_hush!", &public]
        {
            let problem = SigningSecret::parse(text).unwrap_err();
            assert!(!problem.contains(text), "{problem}");
        }
        assert_eq!(format!("{:?}", secrets(&[SYMMETRIC])), "SigningSecrets([SigningSecret(…)])");
        assert!(SigningSecrets::new(Vec::new()).is_err());
        assert!(SigningSecrets::new(vec![SigningSecret::parse(SYMMETRIC).unwrap(); MAX_SECRETS + 1]).is_err());
    }
}
