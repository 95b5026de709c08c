//! `/health/live`, `/health/ready` and `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use store::Durable;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// A write that takes longer than this means that the store is not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Histograms are emptied into their buckets this often, so that they do not grow between two readings.
const UPKEEP: Duration = Duration::from_secs(5);

/// Starts collecting metrics; once per process.
pub(crate) fn collect_metrics() -> Result<PrometheusHandle, Failure> {
    let seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    let batch = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_batch".into()), &batch))
        .map_err(Failure::work)?;
    builder.install_recorder().map_err(Failure::work)
}

/// The routes.
pub(crate) fn router(store: Arc<dyn Durable>, metrics: PrometheusHandle, stop: CancellationToken) -> Router {
    let upkeep = metrics.clone();
    let stopped = stop.clone();
    tokio::spawn(async move {
        while tokio::time::timeout(UPKEEP, stopped.cancelled()).await.is_err() {
            upkeep.run_upkeep();
        }
    });
    Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(move || ready(store.clone(), stop.clone())))
        .route("/metrics", get(move || show(metrics.clone())))
}

/// Ready means: a write gets through.
async fn ready(store: Arc<dyn Durable>, stop: CancellationToken) -> Response {
    if stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready: the server is stopping\n").into_response();
    }
    match tokio::time::timeout(READY_WITHIN, store.ready()).await {
        Ok(Ok(())) => "ready\n".into_response(),
        Ok(Err(fault)) => {
            let text = format!("not ready: the store takes no writes: {fault}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready: the store does not answer\n").into_response(),
    }
}

async fn show(metrics: PrometheusHandle) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()).into_response()
}
