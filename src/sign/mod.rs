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
//! What repeats or answers requests goes outside, so that each attempt is dated and signed anew and a
//! hit in a cache costs no signature: retry, cache, timeout. Limits go outside too: while a slow
//! client's body is collected, the inner service is held ready.

mod accepted;
mod answer;
mod complaint;
mod corrections;
mod error_body;
mod future;
pub(crate) mod layer;
mod pending;
mod plan;
mod recovery;
mod report;
pub(crate) mod service;
mod trace;

pub use self::{future::ResponseFuture, report::SigningReport};
