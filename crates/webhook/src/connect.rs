//! Connections that go only where the guard lets them: resolve once, judge every address, connect to one that was judged.
//!
//! The resolver that the connector asks *is* the judge, so there is no second resolution that could say something else
//! (DNS rebinding). What needs no resolving is judged before the connector sees it: a URL's host by the way that leads here
//! (`way.rs`), the proxy's here.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::egress::Guard;
use crate::proxy::Proxy;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// What names mean.
#[async_trait]
pub trait Names: Send + Sync {
    /// Every address of a name. Asked once for each connection.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The names that the operating system knows: its files and its DNS.
#[derive(Clone, Copy, Debug)]
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Connects to where a URL leads, or to the proxy. The URL's host was judged before ([`crate::way::Way`]).
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector<Judge>,
    /// Judges the first hop. With a proxy that is the proxy; names are then the proxy's business.
    first_hop: Arc<Guard>,
    proxy: Option<Arc<Proxy>>,
}

impl Connector {
    pub(crate) fn new(names: Arc<dyn Names>, guard: Arc<Guard>, proxy: Option<Arc<Proxy>>) -> Self {
        let first_hop = if proxy.is_some() { Arc::new(Guard::lenient()) } else { guard };
        let mut tcp = HttpConnector::new_with_resolver(Judge { names, guard: first_hop.clone() });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, first_hop, proxy }
    }
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = BoxError;
    type Future = BoxFuture<Link>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> BoxFuture<Link> {
        let Self { mut tcp, first_hop, proxy } = self.clone();
        Box::pin(async move {
            let Some(proxy) = proxy else { return Ok(Link { io: tcp.call(to).await?, whole_urls: false }) };
            let judged = first_hop.check_host(proxy.at.host().unwrap_or_default());
            judged.map_err(|refused| ProxyFailed(refused.into()))?;
            let tunnelled = to.scheme_str() == Some("https");
            let io = if tunnelled {
                tunnel(&proxy, tcp, to).await
            } else {
                tcp.call(proxy.at.clone()).await.map_err(Into::into)
            };
            Ok(Link { io: io.map_err(ProxyFailed)?, whole_urls: !tunnelled })
        })
    }
}

/// A connection through the proxy.
async fn tunnel(proxy: &Proxy, tcp: HttpConnector<Judge>, to: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
    let tunnel = Tunnel::new(proxy.at.clone(), tcp);
    let mut tunnel = match &proxy.authorization {
        Some(authorization) => tunnel.with_auth(authorization.clone()),
        None => tunnel,
    };
    Ok(tunnel.call(to).await?)
}

/// It went wrong on the way to the endpoint, at the proxy.
#[derive(Debug, thiserror::Error)]
#[error("the proxy failed")]
pub(crate) struct ProxyFailed(#[source] BoxError);

/// A name that nobody knows, or that cannot be asked for now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unresolved(String);

/// Resolves a name, and lets through only what may be called.
#[derive(Clone)]
struct Judge {
    names: Arc<dyn Names>,
    guard: Arc<Guard>,
}

impl Service<Name> for Judge {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { names, guard } = self.clone();
        Box::pin(async move {
            let addresses = names.addresses(name.as_str()).await;
            let addresses = addresses
                .map_err(|error| Unresolved(format!("the name {:?} cannot be resolved: {error}", name.as_str())))?;
            let good = guard.filter(name.as_str(), addresses)?;
            // The connector puts in the port.
            Ok(good.into_iter().map(|address| SocketAddr::new(address, 0)).collect::<Vec<_>>().into_iter())
        })
    }
}

/// A connection.
pub(crate) struct Link {
    io: TokioIo<TcpStream>,
    /// It leads to a proxy, which must be told the whole URL.
    whole_urls: bool,
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.whole_urls)
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }
}
