//! The whole way to an endpoint: its host is judged, a connection is made, TLS is agreed on; and all of it has an end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use tower_service::Service;

use crate::connect::{Connector, Link};
use crate::egress::Guard;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection that takes longer is given up: as long as the longest `timeout` that may be configured. A call's own
/// deadline is shorter, and is not enough: if a kept connection becomes free while a new one is being made, the call has
/// that one, and the pool goes on with the new one in the background, where no deadline is.
pub const LONGEST_CONNECT: Duration = Duration::from_secs(60);

/// Connects to where a URL leads, TLS included.
#[derive(Clone)]
pub(crate) struct Way {
    connector: HttpsConnector<Connector>,
    guard: Arc<Guard>,
}

/// Whoever was connected to did not go on.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} s", LONGEST_CONNECT.as_secs())]
struct TookTooLong;

impl Way {
    pub(crate) fn new(connector: HttpsConnector<Connector>, guard: Arc<Guard>) -> Self {
        Self { connector, guard }
    }
}

impl Service<Uri> for Way {
    type Response = MaybeHttpsStream<Link>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        // Before TLS looks at it, which knows fewer hosts and has fewer words.
        if let Err(refused) = self.guard.check_host(to.host().unwrap_or_default()) {
            return Box::pin(std::future::ready(Err(refused.into())));
        }
        let connected = tokio::time::timeout(LONGEST_CONNECT, self.connector.call(to));
        Box::pin(async move { connected.await.unwrap_or_else(|_| Err(TookTooLong.into())) })
    }
}
