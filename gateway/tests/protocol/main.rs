//! HTTP/1.1, HTTP/2 and WebSockets, on both sides of the gateway.

#[path = "../support/mod.rs"]
mod support;

mod ambiguous_requests;
mod bodies;
mod exchanges;
mod listener;
mod listener_http2;
mod message_framing;
mod origin_http2;
mod websocket;
