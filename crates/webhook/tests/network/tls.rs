//! Whom the client trusts, who it says it is, and the words for each way in which that fails.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use webhook::Client;
use webhook::tls::Tls;

use crate::peer::{Peer, local, post, why_not};

/// Issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Issued {
    certificate: String,
    key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn issue(&self, name: &str) -> Issued {
        self.issue_with(name, |_| {})
    }

    fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

pub(crate) fn trusting(authority: &Authority) -> Tls {
    Tls::default().trust_only(authority.0.pem().as_bytes()).unwrap()
}

/// A receiver that asks for no certificate.
pub(crate) fn server(issued: &Issued) -> ServerConfig {
    server_of(issued, None, &[&TLS12, &TLS13])
}

fn server_of(
    issued: &Issued,
    clients: Option<&Authority>,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(clients) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(clients.roots().into(), provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
    config.with_single_cert(chain, PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap()).unwrap()
}

fn client(tls: &Tls) -> Client {
    Client::new(&local("backend.example"), tls).unwrap()
}

fn url(peer: &Peer) -> String {
    format!("https://backend.example:{}/", peer.port())
}

#[tokio::test]
async fn a_private_authority_is_trusted_by_those_who_name_it() {
    let (authority, other, impostor) = (Authority::new("ours"), Authority::new("theirs"), Authority::new("ours"));
    let peer = Peer::tls(server(&authority.issue("backend.example"))).await;
    assert_eq!(post(&client(&trusting(&authority)), &url(&peer)).await.unwrap().status.as_u16(), 200);

    let both = [authority.0.pem(), other.0.pem()].concat();
    let both = Tls::default().trust_only(both.as_bytes()).unwrap();
    assert_eq!(post(&client(&both), &url(&peer)).await.unwrap().status.as_u16(), 200);

    for tls in [Tls::default(), trusting(&other)] {
        let why = why_not(&client(&tls), &url(&peer)).await;
        assert_eq!(why, "TLS: the receiver's certificate is from an authority that is not trusted; see ca_file");
    }
    let why = why_not(&client(&trusting(&impostor)), &url(&peer)).await;
    assert!(why.contains("not trusted, only called like one that is; see ca_file"), "{why}");
    assert_eq!(peer.heads().len(), 2, "nothing was sent to whom is not trusted");
}

#[tokio::test]
async fn certificates_that_are_no_good() {
    let authority = Authority::new("ours");
    let client = client(&trusting(&authority));
    let expired = authority.issue_with("backend.example", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let early = authority.issue_with("backend.example", |params| params.not_before = date_time_ymd(4000, 1, 1));
    let elsewhere = authority.issue("elsewhere.example");
    let for_clients = authority.issue_with("backend.example", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    for (issued, words) in [
        (expired, "has expired"),
        (early, "is not valid yet; is this server's clock right?"),
        (elsewhere, "is not for backend.example, but for elsewhere.example"),
        (for_clients, "cannot be accepted: "),
    ] {
        let peer = Peer::tls(server(&issued)).await;
        let why = why_not(&client, &url(&peer)).await;
        assert!(why.starts_with(&format!("TLS: the receiver's certificate {words}")), "{why}");
        assert!(peer.heads().is_empty());
    }
}

#[tokio::test]
async fn a_receiver_may_want_to_know_who_calls() {
    let (authority, clients, strangers) =
        (Authority::new("ours"), Authority::new("clients"), Authority::new("strangers"));
    let issued = authority.issue("backend.example");
    let with = |issued: &Issued| {
        let tls = trusting(&authority).present(issued.certificate.as_bytes(), issued.key.as_bytes());
        client(&tls.unwrap())
    };
    let known = with(&clients.issue("ringback.example"));
    let stranger = with(&strangers.issue("ringback.example"));
    let expired = with(&clients.issue_with("ringback.example", |params| params.not_after = date_time_ymd(2020, 1, 1)));
    let nobody = client(&trusting(&authority));
    for version in [&TLS12, &TLS13] {
        let peer = Peer::tls(server_of(&issued, Some(&clients), &[version])).await;
        assert_eq!(post(&known, &url(&peer)).await.unwrap().status.as_u16(), 200);
        let why = why_not(&nobody, &url(&peer)).await;
        assert!(why.contains("wants a client certificate") && why.contains("client_cert_file"), "{version:?}: {why}");
        for unwelcome in [&stranger, &expired] {
            let why = why_not(unwelcome, &url(&peer)).await;
            assert!(why.starts_with("TLS: the receiver does not accept our client certificate"), "{version:?}: {why}");
        }
        assert_eq!(peer.heads().len(), 1);
    }
}

#[tokio::test]
async fn a_receiver_without_tls_is_told_apart() {
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    let answering = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = plain.accept().await.unwrap();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // Until the client hangs up.
        drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
    });
    let why = why_not(&client(&Tls::default()), &format!("https://backend.example:{port}/")).await;
    assert!(why.starts_with("TLS: what answered does not speak TLS"), "{why}");
    answering.await.unwrap();
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let authority = Authority::new("ours");
    let (one, other) = (authority.issue("one.example"), authority.issue("other.example"));
    let trust = |pem: &str| Tls::default().trust_only(pem.as_bytes()).unwrap_err();
    assert_eq!(trust(""), "holds no certificate in PEM");
    assert_eq!(trust(&one.key), "holds no certificate in PEM");
    assert!(trust("-----BEGIN CERTIFICATE-----\nhush\n").starts_with("is not PEM"));
    assert!(trust("-----BEGIN CERTIFICATE-----\naHVzaA==\n-----END CERTIFICATE-----\n").contains("cannot be used"));
    let present =
        |certificate: &str, key: &str| Tls::default().present(certificate.as_bytes(), key.as_bytes()).unwrap_err();
    assert_eq!(present(&one.key, &one.key), "holds no certificate in PEM");
    assert!(present(&one.certificate, &one.certificate).contains("holds no private key"));
    assert!(present(&one.certificate, &other.key).contains("cannot be used together"));
    let whole = Tls::default().present(one.certificate.as_bytes(), one.key.as_bytes()).unwrap();
    assert_eq!(format!("{whole:?}"), "Tls { authorities: None, identity: true }");
}
