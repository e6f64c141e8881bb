//! The two pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::health::Health;
use crate::report::Report;
use crate::subject::Subject;

/// `GET` and `HEAD` of both; 404 for other pages, 405 for other methods.
pub(crate) fn router<S: Subject>(health: Arc<Health<S>>) -> Router {
    Router::new()
        .route("/livez", get(livez::<S>))
        .route("/readyz", get(readyz::<S>))
        .with_state(health)
}

async fn livez<S: Subject>(State(health): State<Arc<Health<S>>>) -> impl IntoResponse {
    page(health.live().await)
}

async fn readyz<S: Subject>(State(health): State<Arc<Health<S>>>) -> impl IntoResponse {
    page(health.ready().await)
}

fn page(report: Report) -> impl IntoResponse {
    let status = match report.is_ok() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, report.to_string())
}
