//! TLS for endpoints: whom we trust, who we are, and what went wrong, in words.

use std::fmt;

use hyper_rustls::ConfigBuilderExt;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};

/// What an endpoint's TLS is made of; by default, the operating system's authorities and no certificate of our own.
#[derive(Clone, Default)]
pub struct Tls {
    authorities: Option<RootCertStore>,
    identity: Option<Identity>,
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl Tls {
    /// Trusts these authorities (one or more certificates in PEM), and none of the operating system's.
    pub fn trust_only(mut self, pem: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem)? {
            roots.add(certificate).map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
        }
        self.authorities = Some(roots);
        Ok(self)
    }

    /// Shows a certificate (in PEM, followed by those between it and its authority) to receivers that ask for one.
    pub fn present(mut self, certificate: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain = certificates(certificate)?;
        // What the parser says of a key could be a part of the key.
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| "the key's file holds no private key in PEM (PKCS #8, PKCS #1 or SEC 1)".to_owned())?;
        self.identity = Some(Identity { chain, key });
        // Whether they belong together is seen now, not at the first call.
        self.config().map_err(|error| error.to_string())?;
        Ok(self)
    }

    /// Whether it is what every endpoint has that asks for nothing else.
    pub fn is_default(&self) -> bool {
        self.authorities.is_none() && self.identity.is_none()
    }

    pub(crate) fn config(&self) -> Result<ClientConfig, std::io::Error> {
        let config = ClientConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?;
        let config = match &self.authorities {
            Some(roots) => config.with_root_certificates(roots.clone()),
            None => config.with_native_roots()?,
        };
        match self.identity.clone() {
            None => Ok(config.with_no_client_auth()),
            Some(Identity { chain, key }) => config.with_client_auth_cert(chain, key).map_err(|error| {
                std::io::Error::other(format!("the certificate and the key cannot be used together: {error}"))
            }),
        }
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| format!("is not PEM: {error}"))?;
    if certificates.is_empty() { Err("holds no certificate in PEM".to_owned()) } else { Ok(certificates) }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorities = self.authorities.as_ref().map(RootCertStore::len);
        f.debug_struct("Tls").field("authorities", &authorities).field("identity", &self.identity.is_some()).finish()
    }
}

/// Ends the words about an authority that is not trusted: where an endpoint names its own.
pub const SEE_CA_FILE: &str = "; see ca_file";

/// What went wrong in TLS, in words that lead to what must be changed.
pub(crate) fn words(error: &Error) -> String {
    use AlertDescription as Alert;
    match error {
        Error::InvalidCertificate(problem) => certificate(problem),
        Error::AlertReceived(Alert::CertificateRequired) => {
            "TLS: the receiver wants a client certificate, and got none; see client_cert_file".to_owned()
        }
        Error::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError),
        ) => format!("TLS: the receiver does not accept our client certificate ({alert:?}); see client_cert_file"),
        // With TLS 1.2 this is also what a receiver says that misses a client certificate.
        Error::AlertReceived(Alert::HandshakeFailure) => {
            "TLS: the receiver ended the handshake: it wants a client certificate (see client_cert_file), or has no cipher \
             in common with us"
                .to_owned()
        }
        Error::AlertReceived(Alert::UnrecognisedName) => "TLS: the receiver does not know the host's name".to_owned(),
        Error::InvalidMessage(_) => "TLS: what answered does not speak TLS; perhaps its URL begins with http".to_owned(),
        other => format!("TLS: {other}"),
    }
}

fn certificate(problem: &CertificateError) -> String {
    use CertificateError as Problem;
    let words = match problem {
        Problem::UnknownIssuer => format!("is from an authority that is not trusted{SEE_CA_FILE}"),
        Problem::Expired | Problem::ExpiredContext { .. } => "has expired".to_owned(),
        Problem::NotValidYet | Problem::NotValidYetContext { .. } => {
            "is not valid yet; is this server's clock right?".to_owned()
        }
        Problem::NotValidForNameContext { expected, presented } => {
            let presented: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            format!("is not for {}, but for {}", expected.to_str(), presented.join(", "))
        }
        Problem::NotValidForName => "is not for this host".to_owned(),
        Problem::Revoked => "is revoked".to_owned(),
        Problem::BadSignature => {
            format!("is from an authority that is not trusted, only called like one that is{SEE_CA_FILE}")
        }
        other => format!("cannot be accepted: {other}"),
    };
    format!("TLS: the receiver's certificate {words}")
}

/// rustls quotes names from certificates as `DnsName("…")`.
fn bare(name: &str) -> &str {
    name.strip_prefix("DnsName(\"").and_then(|name| name.strip_suffix("\")")).unwrap_or(name)
}
