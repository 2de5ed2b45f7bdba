//! The headers of answers, and their compression.

use std::io::Write as _;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

/// What the page may load and do: its own files, and nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";
/// Smaller answers are not worth compressing, in bytes.
const SMALLEST: usize = 2048;

/// Adds the headers that every answer has.
pub(crate) fn protect(headers: &mut HeaderMap) {
    let fixed: [(HeaderName, &'static str); 5] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Data change, and the files of the page change with the program.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// A document as JSON.
pub(crate) fn json(request: &HeaderMap, value: &Value) -> Response {
    content(request, "application/json", value.to_string().into_bytes())
}

/// An answer of a type, compressed if the browser takes that.
pub(crate) fn content(request: &HeaderMap, kind: &'static str, bytes: Vec<u8>) -> Response {
    let accepted = request.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let takes_gzip =
        accepted.split(',').any(|name| name.trim() == "gzip" || name.trim().starts_with("gzip;q=1"));
    let packed = if takes_gzip && bytes.len() >= SMALLEST { gzip(&bytes) } else { None };
    let headers = [(CONTENT_TYPE, kind), (VARY, "accept-encoding")];
    match packed {
        Some(packed) => (headers, [(CONTENT_ENCODING, "gzip")], Body::from(packed)).into_response(),
        None => (headers, Body::from(bytes)).into_response(),
    }
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}
