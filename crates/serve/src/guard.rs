//! Which requests are answered.
//!
//! A page of another site can make a browser send requests to this server, and by DNS rebinding (a name of that site's that resolves to this machine)
//! also read the answers. Its requests name that site as `Host`, as `Origin`, or in `Sec-Fetch-Site`.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

use crate::reply;

/// The start of the paths that need the token, if there is one.
const PRIVATE: &str = "/api/";

/// The rules.
#[derive(Debug)]
pub(crate) struct Guard {
    address: SocketAddr,
    token: Option<String>,
    hosts: Vec<String>,
}

/// Why a request is refused.
type Refusal = (StatusCode, &'static str);

impl Guard {
    pub(crate) const fn new(address: SocketAddr, token: Option<String>, hosts: Vec<String>) -> Self {
        Self { address, token, hosts }
    }

    /// Whether `host`, without its port, is a name of this server. The port does not matter: it may be that of a tunnel.
    fn knows(&self, host: &str) -> bool {
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let ip = match bracketed {
            Some(literal) => literal.parse().map(IpAddr::V6),
            None => host.parse().map(IpAddr::V4),
        };
        match ip {
            Ok(ip) => ip.is_loopback() || ip == self.address.ip() || self.address.ip().is_unspecified(),
            // No page can be loaded from an address by another name than it, so only names can be rebound.
            Err(_) => {
                host.eq_ignore_ascii_case("localhost")
                    || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
            }
        }
    }

    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "this server only reads: use GET or HEAD"));
        }
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok()).filter(|_| hosts.next().is_none());
        let host = host.filter(|host| self.knows(without_port(host))).ok_or((
            StatusCode::MISDIRECTED_REQUEST,
            "this server does not go by that name; --host NAME adds one",
        ))?;
        if let Some(origin) = headers.get(ORIGIN) {
            let own = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
            if own != Some(host) {
                return Err((StatusCode::FORBIDDEN, "pages of other sites may not read this store"));
            }
        }
        if !path.starts_with(PRIVATE) {
            return Ok(());
        }
        let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
        if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
            return Err((StatusCode::FORBIDDEN, "pages of other sites may not read this store"));
        }
        let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let is_known = self
            .token
            .as_ref()
            .is_none_or(|token| given.is_some_and(|given| bool::from(given.ct_eq(token.as_bytes()))));
        if is_known { Ok(()) } else { Err((StatusCode::UNAUTHORIZED, "the token is missing or wrong")) }
    }
}

/// `localhost` of `localhost:8080`, `[::1]` of `[::1]:8080`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

/// Answers a request, if it may be, with headers that keep other pages out.
pub(crate) async fn guarded(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let checked = guard.check(request.method(), request.uri().path(), request.headers());
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    reply::protect(response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(guard: &Guard, path: &str, headers: &[(&'static str, &str)]) -> Result<(), StatusCode> {
        let headers = headers.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), axum::http::HeaderValue::from_str(value).unwrap())
        });
        guard.check(&Method::GET, path, &headers.collect()).map_err(|(status, _)| status)
    }

    fn guard(address: &str, token: Option<&str>, hosts: &[&str]) -> Guard {
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        Guard::new(address.parse().unwrap(), token.map(str::to_owned), hosts)
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let local = guard("127.0.0.1:80", None, &[]);
        for host in ["localhost", "LOCALHOST:9", "127.0.0.1:80", "127.0.0.1", "[::1]:80", "[::1]"] {
            assert_eq!(asked(&local, "/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:80",
            "192.168.0.7",
            "",
            "::1:",
            "127.0.0.1.nip.io",
            "[::1",
        ] {
            assert_eq!(asked(&local, "/", &[("host", host)]), Err(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
        assert_eq!(asked(&local, "/", &[]), Err(StatusCode::MISDIRECTED_REQUEST), "no host");
        let two = [("host", "localhost"), ("host", "evil.example")];
        let mut headers = HeaderMap::new();
        two.iter().for_each(|(name, value)| _ = headers.append(*name, value.parse().unwrap()));
        assert!(local.check(&Method::GET, "/", &headers).is_err(), "two hosts");
        let open = guard("0.0.0.0:80", None, &["node7"]);
        for host in ["10.0.0.3:80", "node7:80", "localhost"] {
            assert_eq!(asked(&open, "/", &[("host", host)]), Ok(()), "{host}");
        }
        assert!(asked(&open, "/", &[("host", "node8")]).is_err(), "an unknown name");
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let guard = guard("127.0.0.1:80", None, &[]);
        let from = |origin| asked(&guard, "/api/runs", &[("host", "localhost:80"), ("origin", origin)]);
        assert_eq!(from("http://localhost:80"), Ok(()), "the page itself");
        for origin in [
            "http://evil.example",
            "null",
            "https://localhost:80",
            "http://localhost:81",
            "http://127.0.0.1:80",
        ] {
            assert_eq!(from(origin), Err(StatusCode::FORBIDDEN), "{origin}");
        }
        for (site, may) in
            [("cross-site", false), ("same-site", false), ("same-origin", true), ("none", true)]
        {
            let found = asked(&guard, "/api/runs", &[("host", "localhost"), ("sec-fetch-site", site)]);
            assert_eq!(found.is_ok(), may, "{site}");
        }
        let link = asked(&guard, "/", &[("host", "localhost"), ("sec-fetch-site", "cross-site")]);
        assert_eq!(link, Ok(()), "a link to the page may be followed");
    }

    #[test]
    fn data_need_the_token_and_nothing_is_written() {
        let guard = guard("127.0.0.1:80", Some("correct horse battery"), &[]);
        let with = |value| asked(&guard, "/api/runs", &[("host", "localhost"), ("authorization", value)]);
        assert_eq!(with("Bearer correct horse battery"), Ok(()));
        for value in
            ["Bearer correct horse batterz", "Bearer correct", "Bearer ", "Basic x", "correct horse battery"]
        {
            assert_eq!(with(value), Err(StatusCode::UNAUTHORIZED), "{value}");
        }
        assert_eq!(asked(&guard, "/api/events", &[("host", "localhost")]), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(
            asked(&guard, "/assets/main.js", &[("host", "localhost")]),
            Ok(()),
            "the page asks for the token"
        );
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let refused = guard.check(&method, "/", &HeaderMap::new()).unwrap_err();
            assert_eq!(refused.0, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        }
    }
}
