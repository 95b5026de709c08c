//! The raw limit of calling out: requests that were made before, sent again by a bare pooled client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Uri};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::{Result, clock};

/// What sending them all took.
pub(crate) struct Replayed {
    pub(crate) elapsed: Duration,
    /// CPU time of the client's thread.
    pub(crate) cpu: Duration,
}

/// Sends all requests, same bytes and same headers, `concurrency` at a time.
pub(crate) fn replay(
    runtime: &Runtime,
    requests: Vec<Request<Bytes>>,
    sink: SocketAddr,
    concurrency: usize,
) -> Result<Replayed> {
    let prepared: Vec<_> = requests.into_iter().map(|request| readdress(request, sink)).collect::<Result<_>>()?;
    let queue = Arc::new(Mutex::new(prepared.into_iter()));
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(concurrency).build(connector);
    runtime.block_on(async {
        let (start, cpu) = (Instant::now(), clock::this_thread()?);
        let mut tasks = JoinSet::new();
        for _ in 0..concurrency {
            let (client, queue) = (client.clone(), Arc::clone(&queue));
            tasks.spawn(async move {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some(request) = next() {
                    let response = client.request(request).await?;
                    if !response.status().is_success() {
                        return Err(format!("the sink answered {}", response.status()).into());
                    }
                    response.into_body().collect().await?;
                }
                Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            let done: Result<()> = done?;
            done?;
        }
        Ok(Replayed { elapsed: start.elapsed(), cpu: clock::this_thread()? - cpu })
    })
}

fn readdress(request: Request<Bytes>, sink: SocketAddr) -> Result<Request<Full<Bytes>>> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = Uri::builder().scheme("http").authority(sink.to_string()).path_and_query(path).build()?;
    Ok(Request::from_parts(head, Full::new(body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Sink;

    #[test]
    fn the_same_bytes_arrive() {
        let runtime = Runtime::new().unwrap();
        let sink = Sink::reserve().unwrap();
        let address = sink.address();
        let sink = sink.open(true).unwrap();
        let request = |i: usize| {
            let builder = Request::post("/callback?SdkAppid=1").header("webhook-id", i.to_string());
            builder.body(Bytes::from(format!("body {}", i))).unwrap()
        };
        replay(&runtime, (0..20).map(request).collect(), address, 4).unwrap();
        assert_eq!(sink.distinct(), 20);
        let calls = sink.close().unwrap().calls;
        let call = calls.iter().find(|call| call.request.headers()["webhook-id"] == "7").unwrap();
        assert_eq!(
            (call.request.uri().to_string().as_str(), &call.request.body()[..]),
            ("/callback?SdkAppid=1", &b"body 7"[..])
        );
    }
}
