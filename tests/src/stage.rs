//! The usual cast: a server, the app's backend listening to everything, and the accounts
//! alice ("Alice", with a face), bob, carol and dave.

use serde_json::json;

use crate::{Endpoint, OpenIm, Receiver, Server, Setup, Tencent};

#[derive(Debug)]
pub struct Stage {
    pub server: Server,
    pub tencent: Tencent,
    pub openim: OpenIm,
    pub backend: Receiver,
}

impl Stage {
    /// The backend hears everything in Tencent's words, at `/callback`.
    pub async fn tencent() -> Self {
        Self::with(Setup::new(), |url| vec![Endpoint::tencent(format!("{url}/callback"))]).await
    }

    /// The backend hears everything in OpenIM's words, at `/webhook`.
    pub async fn openim() -> Self {
        Self::with(Setup::new(), |url| vec![Endpoint::openim(format!("{url}/webhook"))]).await
    }

    /// The backend hears everything in plain JSON events, at `/events`.
    pub async fn standard() -> Self {
        Self::with(Setup::new(), |url| vec![Endpoint::standard(format!("{url}/events"))]).await
    }

    /// One backend, both vendors' dialects.
    pub async fn both() -> Self {
        Self::with(Setup::new(), |url| {
            vec![Endpoint::tencent(format!("{url}/callback")), Endpoint::openim(format!("{url}/webhook"))]
        })
        .await
    }

    /// Any setup, with the endpoints that `endpoints` makes of the backend's base URL.
    pub async fn with(setup: Setup, endpoints: impl FnOnce(&str) -> Vec<Endpoint>) -> Self {
        let backend = Receiver::start().await;
        let setup = endpoints(&backend.url("")).into_iter().fold(setup, Setup::endpoint);
        let server = setup.start().await;
        let (tencent, openim) = (server.tencent(), server.openim().await);
        cast(&tencent).await;
        Self { server, tencent, openim, backend }
    }
}

/// The accounts of the stage.
pub async fn cast(tencent: &Tencent) {
    let alice = json!({"UserID": "alice", "Nick": "Alice", "FaceUrl": "https://cdn.example.com/alice.png"});
    tencent.ok("im_open_login_svc/account_import", alice).await;
    tencent.import(&["bob", "carol", "dave"]).await;
}
