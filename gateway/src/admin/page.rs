//! Static files of the status page, compiled into the program.

use axum::{
    Router,
    response::IntoResponse,
    routing::{MethodRouter, get},
};
use http::header;

use super::Admin;

/// Path, content type and content of each file.
const FILES: [(&str, &str, &str); 7] = [
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
        "/tables.js",
        "text/javascript; charset=utf-8",
        include_str!("page/tables.js"),
    ),
    (
        "/workbench.js",
        "text/javascript; charset=utf-8",
        include_str!("page/workbench.js"),
    ),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// Lets the page load its own files and connect to its own port only. It shows data from callers, so no string can
/// become a script (`trusted-types`), and no other page can embed it.
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
