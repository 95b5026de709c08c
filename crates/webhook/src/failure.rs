//! What went wrong on the way, in words: the layers' errors are boxed in each other, and only the innermost says why.

use std::error::Error;
use std::io;

use chat::refusal::AskFailure;

use crate::connect::{ProxyFailed, Unresolved};
use crate::egress::Refused;
use crate::tls;
use crate::transport::CallFailure;

/// There is no complete answer, because of this.
pub(crate) fn unreachable(error: &(dyn Error + 'static)) -> CallFailure {
    CallFailure::new(AskFailure::Unreachable, words(error))
}

/// The innermost reason, in words for the operator; a certificate's trouble leads to what must be changed.
pub fn words(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    let mut at = "";
    loop {
        if innermost.is::<ProxyFailed>() {
            at = "at the proxy of callbacks.proxy: ";
        }
        if let Some(error) = innermost.downcast_ref::<rustls::Error>() {
            return format!("{at}{}", tls::words(error));
        }
        // Its own words are the best, and nothing is inside.
        if let Some(refused) = innermost.downcast_ref::<Refused>() {
            return format!("{at}{refused}");
        }
        match inner(innermost) {
            Some(inner) => innermost = inner,
            None => return format!("{at}{innermost}"),
        }
    }
}

/// `io::Error` passes over the error that it carries, and names that one's source as its own.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}

/// How far a connection came, and what went wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReached {
    /// Where it ended.
    pub stage: Stage,
    /// In words for the operator.
    pub detail: String,
}

/// The way to an endpoint, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its name was not resolved.
    Name,
    /// The egress guard refused where it leads.
    Guard,
    /// It ended at the proxy.
    Proxy,
    /// Nobody took the connection.
    Connect,
    /// There was no agreement on TLS.
    Tls,
}

impl NotReached {
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut stage = Stage::Connect;
        let mut next = Some(error);
        while let Some(error) = next {
            // The proxy is the outermost of them, and inside of it the same may go wrong.
            if error.is::<ProxyFailed>() {
                stage = Stage::Proxy;
                break;
            } else if error.is::<rustls::Error>() {
                stage = Stage::Tls;
            } else if error.is::<Refused>() {
                stage = Stage::Guard;
            } else if error.is::<Unresolved>() {
                stage = Stage::Name;
            }
            next = inner(error);
        }
        Self { stage, detail: words(error) }
    }
}
