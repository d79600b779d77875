//! Demonstration: an origin that verifies signatures like API Gateway.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
};

use aws_credential_types::Credentials;
use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    middleware::map_request,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Request, header, request::Parts};
use serde_json::json;
use tokio::net::TcpListener;
use tower_sigv4::{
    VerifyLayer,
    verify::{StaticKeys, Verified, VerifySettings},
};

use crate::BoxError;

const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "us-east-1";
const SERVICE: &str = "execute-api";
const STAGE: &str = "/prod";

/// Starts the origin on a free port, and returns its address.
pub(crate) async fn start_origin() -> Result<SocketAddr, BoxError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let own_host = HeaderValue::try_from(address.to_string())?;
    let key = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "demo");
    let settings = VerifySettings::new(SERVICE, REGION)?.with_explain(true);
    let router = Router::new()
        .fallback(handle)
        .layer(DefaultBodyLimit::disable()) // the next layer has a limit
        .layer(VerifyLayer::new(StaticKeys::new([key])?, settings))
        // API Gateway verifies for its own name, not for a custom domain's.
        .layer(map_request(
            move |mut request: Request<axum::body::Body>| {
                request.headers_mut().insert(header::HOST, own_host.clone());
                std::future::ready(request)
            },
        ));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// Returns the configuration file of a gateway for this origin.
pub(crate) fn config(origin: SocketAddr) -> String {
    format!(
        "[credentials]\n\
         source = \"static\"\n\
         access_key_id = \"{ACCESS_KEY_ID}\"\n\
         secret_access_key = \"{SECRET_ACCESS_KEY}\"\n\
         [[origin]]\n\
         name = \"demo\"\n\
         url = \"http://{origin}{STAGE}\"\n\
         service = \"{SERVICE}\"\n\
         region = \"{REGION}\"\n\
         [[origin]]\n\
         name = \"mistaken\"\n\
         url = \"http://{origin}{STAGE}\"\n\
         signed_host = \"api.example.com\"\n\
         service = \"{SERVICE}\"\n\
         region = \"{REGION}\"\n\
         [[route]]\n\
         path = \"/mistaken\"\n\
         origin = \"mistaken\"\n\
         [[route]]\n\
         path = \"/\"\n\
         origin = \"demo\"\n\
         [admin]\n\
         listen = \"127.0.0.1:0\"\n"
    )
}

/// Returns the text with commands to try.
pub(crate) fn welcome(
    origin: SocketAddr,
    gateway: SocketAddr,
    admin: Option<SocketAddr>,
) -> String {
    let status = admin.map_or_else(String::new, |address| {
        format!("status  http://{address}/ shows the gateway's state and rejected signatures\n")
    });
    let path = env::current_exe().unwrap_or_else(|_| "sigv4-gateway".into());
    let program = path.display();
    format!(
        "origin  http://{origin}{STAGE} verifies SigV4 like API Gateway\n\
         {status}\
         gateway http://{gateway} signs for it\n\
         \n\
         Try in another terminal:\n\
         \n\
         # the origin itself, unsigned: 403\n\
         curl -i http://{origin}{STAGE}/orders\n\
         \n\
         # the origin itself, signed for another host, as clients of a custom domain do: 403\n\
         curl -i -H 'host: api.example.com' --aws-sigv4 aws:amz:{REGION}:{SERVICE} \\\n  \
         --user {ACCESS_KEY_ID}:{SECRET_ACCESS_KEY} http://{origin}{STAGE}/orders\n\
         \n\
         # the reason: the doctor compares the signed request with the one that the origin derived\n\
         curl -v -H 'host: api.example.com' --aws-sigv4 aws:amz:{REGION}:{SERVICE} \\\n  \
         --user {ACCESS_KEY_ID}:{SECRET_ACCESS_KEY} http://{origin}{STAGE}/orders 2>&1 |\n  \
         {program} --explain -\n\
         \n\
         # the same through the gateway: 200\n\
         curl -i http://{gateway}/orders\n\
         curl -i 'http://{gateway}/v1/items:batch?b=2&a=1+1' -d 'any body'\n\
         \n\
         # the gateway signs for the wrong host: 502, and the status page shows the reason\n\
         curl -i http://{gateway}/mistaken/orders\n\
         \n\
         Press Ctrl-C to stop."
    )
}

async fn handle(Extension(caller): Extension<Verified>, parts: Parts, body: Bytes) -> Response {
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let seen = json!({
        "message": "the signature is valid",
        "access key id": caller.access_key_id(),
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "host": header("host"),
        "x-forwarded-for": header("x-forwarded-for"),
        "x-forwarded-host": header("x-forwarded-host"),
        "body bytes": body.len(),
    });
    Json(seen).into_response()
}
