//! The paths of the server.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use sharpness_study::page::{Curve, asset, detail, live_html};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::conclusions::Conclusions;
use crate::guard::{Guard, guarded};
use crate::reply;
use crate::watcher::Watcher;

/// The most browsers that follow the store at a time.
const MOST_FOLLOWERS: usize = 64;
/// The shortest time between two events.
const EVENT_PAUSE: Duration = Duration::from_millis(250);
/// The most epochs of a curve, and trainings of an answer.
const MOST_EPOCHS: usize = 4000;
const MOST_CURVES: usize = 64;

#[derive(Clone)]
struct Served {
    watcher: Arc<Watcher>,
    conclusions: Arc<Conclusions>,
    followers: Arc<Semaphore>,
}

/// All paths, behind the guard.
pub(crate) fn routes(watcher: Arc<Watcher>, conclusions: Arc<Conclusions>, guard: Guard) -> Router {
    let followers = Arc::new(Semaphore::new(MOST_FOLLOWERS));
    Router::new()
        .route("/", get(page))
        .route("/assets/{name}", get(file))
        .route("/api/runs", get(runs))
        .route("/api/curves", get(curves))
        .route("/api/detail", get(details))
        .route("/api/conclusions", get(concluded))
        .route("/api/events", get(events))
        .fallback(async || (StatusCode::NOT_FOUND, "there is no such page"))
        .layer(from_fn_with_state(Arc::new(guard), guarded))
        .with_state(Served { watcher, conclusions, followers })
}

async fn page(headers: HeaderMap) -> Response {
    reply::content(&headers, "text/html; charset=utf-8", live_html().into_bytes())
}

async fn file(headers: HeaderMap, Path(name): Path<String>) -> Response {
    match asset(&name) {
        Some((kind, text)) => reply::content(&headers, kind, text.as_bytes().to_vec()),
        None => (StatusCode::NOT_FOUND, "there is no such file").into_response(),
    }
}

#[derive(Deserialize)]
struct Since {
    instance: Option<u64>,
    since: Option<u64>,
}

async fn runs(State(served): State<Served>, headers: HeaderMap, Query(asked): Query<Since>) -> Response {
    let since = asked.instance.zip(asked.since);
    blocking(headers, move || served.watcher.rows(since)).await
}

#[derive(Deserialize)]
struct Ids {
    ids: String,
}

async fn curves(State(served): State<Served>, headers: HeaderMap, Query(asked): Query<Ids>) -> Response {
    blocking(headers, move || {
        // Only names that the store lists: others could lead out of it.
        let ids = asked.ids.split(',').filter(|id| served.watcher.has(id)).take(MOST_CURVES);
        let curves = ids.map(|id| Curve::read(served.watcher.store(), id, MOST_EPOCHS));
        json!(curves.collect::<Vec<_>>())
    })
    .await
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

async fn details(State(served): State<Served>, headers: HeaderMap, Query(asked): Query<Id>) -> Response {
    if !served.watcher.has(&asked.id) {
        return (StatusCode::NOT_FOUND, "there is no such training").into_response();
    }
    blocking(headers, move || detail(served.watcher.store(), &asked.id)).await
}

async fn concluded(State(served): State<Served>, headers: HeaderMap) -> Response {
    blocking(headers, move || served.conclusions.document()).await
}

/// Answers with a document that takes time to read.
async fn blocking(headers: HeaderMap, read: impl FnOnce() -> Value + Send + 'static) -> Response {
    let answer = tokio::task::spawn_blocking(move || reply::json(&headers, &read())).await;
    answer
        .unwrap_or_else(|_| (StatusCode::INTERNAL_SERVER_ERROR, "this request has hit a bug").into_response())
}

async fn events(State(served): State<Served>) -> Response {
    let Ok(permit) = Arc::clone(&served.followers).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages follow this store").into_response();
    };
    let mut news = served.watcher.news();
    news.mark_changed();
    let next = async |(mut news, permit): (tokio::sync::watch::Receiver<_>, OwnedSemaphorePermit)| {
        news.changed().await.ok()?;
        tokio::time::sleep(EVENT_PAUSE).await;
        let data: String = serde_json::to_string(&*news.borrow_and_update()).ok()?;
        Some((Ok::<_, Infallible>(Event::default().data(data)), (news, permit)))
    };
    Sse::new(stream::unfold((news, permit), next)).keep_alive(KeepAlive::default()).into_response()
}
