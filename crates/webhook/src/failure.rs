//! What went wrong on the way, in words: the layers' errors are boxed in each other, and only the innermost says why.

use std::error::Error;
use std::io;

use chat::refusal::AskFailure;

use crate::connect::ProxyFailed;
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
