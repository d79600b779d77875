//! Signed requests sent by reqwest to servers that verify them or compare them byte by byte.
#![cfg(feature = "reqwest")]

mod bodies;
#[path = "../common/mod.rs"]
mod common;
#[path = "../../examples/reqwest_client.rs"]
#[allow(dead_code)] // its `main` is not run
mod example;
mod exchanges;
mod heads;
#[cfg(feature = "reqwest-middleware")]
mod middleware;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Extension, Router, extract::Request as AxumRequest};
use bytes::Bytes;
use common::{
    HOST, ScriptedBody, Step, credentials, downcast_error, get, layer, now, send, settings,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use reqwest::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tower::{Layer, ServiceExt};
use tower_sigv4::{
    Clock, ErrorKind, Origin, Signing, SigningLayer, VerifyLayer,
    credentials::Credentials,
    doctor::{Cause, Diagnosis},
    origin::{PayloadMode, ResolveOrigin, UriOrigin, WireForm},
    reqwest::ReqwestService,
    sigv4::ChunkSize,
    verify::{BodyCheck, StaticKeys, Verified, VerifySettings},
};

/// Heads of the accepted requests, in order.
type Heads = Arc<Mutex<Vec<Parts>>>;

fn service() -> ReqwestService {
    ReqwestService::new(Client::builder().no_proxy()).expect("built")
}

fn client(target: impl ResolveOrigin + 'static) -> Signing<ReqwestService> {
    layer(target).layer(service())
}

fn origin(address: SocketAddr, service: &str) -> Origin {
    Origin::new(&format!("http://{address}"), settings(service)).expect("an origin")
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Starts a server that verifies requests for `service` and streams their body back.
async fn verifier(service: &str) -> (SocketAddr, Heads) {
    let settings = VerifySettings::new(service, "us-east-1")
        .expect("a scope")
        .with_unsigned_payload(true)
        .with_explain(true);
    let keys = StaticKeys::new([credentials()]).expect("valid");
    let layer = VerifyLayer::new(keys, settings)
        .with_clock(Clock::manual(now()))
        .with_body_check(BodyCheck::Streamed);
    let heads = Heads::default();
    let accepted = heads.clone();
    let echo = async move |Extension(_): Extension<Verified>, request: AxumRequest| {
        let (head, body) = request.into_parts();
        accepted.lock().expect("not poisoned").push(head);
        Response::new(body)
    };
    let (listener, address) = listen().await;
    let app = Router::new().fallback(echo).layer(layer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, heads)
}

fn request<B>(method: Method, target: &str, body: B) -> Request<B> {
    Request::builder()
        .method(method)
        .uri(target)
        .body(body)
        .expect("a request")
}

/// Reads a request up to `end`, sends `response`, and returns the request.
async fn wire(listener: &TcpListener, end: &str, response: &str) -> String {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        read.push(stream.read_u8().await.expect("more"));
    }
    stream
        .write_all(response.as_bytes())
        .await
        .expect("written");
    String::from_utf8(read).expect("ASCII")
}

fn data(text: &str) -> ScriptedBody {
    ScriptedBody::new([Step::Data(Bytes::copy_from_slice(text.as_bytes()))])
}
