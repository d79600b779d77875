//! The middleware: [`SigningLayer`](crate::SigningLayer) and the [`Signing`](crate::Signing) service it makes.
//!
//! # The way of a request
//!
//! The target names the origin; the head is rewritten for it; the body is collected and hashed, unless
//! it is to stream ([`PayloadMode`](crate::origin::PayloadMode)); the credentials are taken from the
//! cache; the head is signed; the inner service is called. Nothing that fails on the way sends anything;
//! a body that fails while it streams ends in an error, short of the length that was announced.
//!
//! # The way of an answer
//!
//! An answer passes as it is. Where [diagnoses](crate::SigningLayer::with_diagnosis) are wanted, the beginning
//! of a 400 or 403 is read first, and the answer goes on whole with a [`Diagnosis`](crate::doctor::Diagnosis) in
//! its extensions; where [reports](crate::SigningLayer::with_report) are, each has a [`SigningReport`].
//!
//! # Order of layers
//!
//! Layers that repeat requests or answer them go outside, so that each attempt has a date and a signature of its own
//! and a cache hit costs no signature: retry, cache, timeout. Limits go outside too: while a slow client's body is
//! collected, the inner service is held ready.
//!
//! A layer that follows redirects, such as tower-http's `FollowRedirectLayer`, goes outside as well: inside, it
//! would send the old signature to the new host. Outside, the request to the new host is signed for it, and carries
//! the session token. An [`Origin`](crate::Origin) and [`OriginRules`](crate::origin::OriginRules) send every request
//! to an origin of theirs, wherever the redirect points. [`UriOrigin`](crate::origin::UriOrigin) sends it to the host of
//! the redirect, and only if that is a host it was given or one of AWS.

mod answer;
mod body_plan;
mod complaint;
mod corrections;
mod error_body;
mod framing;
mod future;
pub(crate) mod layer;
mod recent_success;
mod recovery;
mod report;
pub(crate) mod service;
mod state;
mod trace;

pub use self::{future::ResponseFuture, report::SigningReport};
