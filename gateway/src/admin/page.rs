//! The status page, in files that stand in the program.

use axum::{
    Router,
    response::IntoResponse,
    routing::{MethodRouter, get},
};
use http::header;

use super::Admin;

/// Each with its type.
const FILES: [(&str, &str, &str); 6] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("page/index.html"),
    ),
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
    (
        "/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    ),
    (
        "/plot.js",
        "text/javascript; charset=utf-8",
        include_str!("page/plot.js"),
    ),
    (
        "/workbench.js",
        "text/javascript; charset=utf-8",
        include_str!("page/workbench.js"),
    ),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// What the page may do: nothing but run its own files and ask its own port. It shows what callers send, so that
/// no text may become a script (`trusted-types`), and it is shown in no other page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'";

pub(super) fn routes() -> Router<Admin> {
    FILES
        .iter()
        .fold(Router::new(), |router, (path, kind, text)| {
            router.route(path, file(kind, text))
        })
}

fn file(kind: &'static str, text: &'static str) -> MethodRouter<Admin> {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    get(async move || (headers, text).into_response())
}
