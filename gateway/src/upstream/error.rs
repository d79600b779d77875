//! Errors of sending a request to an origin.

use std::{error::Error, fmt, sync::Arc};

use h2::Reason;
use http::Uri;
use hyper_util::client::legacy;

use crate::{BoxError, error::causes};

/// An error of a connection to an origin.
#[derive(Debug)]
pub(super) struct UpstreamError {
    origin: String,
    /// `true` if there was no connection.
    is_connect: bool,
    source: BoxError,
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin, is_connect, ..
        } = self;
        if *is_connect {
            write!(
                f,
                "no connection to origin {origin}; check its url and that it is running"
            )
        } else {
            write!(
                f,
                "the connection to origin {origin} broke during the exchange"
            )
        }
    }
}

impl UpstreamError {
    pub(super) fn connect(uri: &Uri, source: ConnectError) -> Self {
        Self {
            origin: authority(uri),
            is_connect: true,
            source: source.into(),
        }
    }

    pub(super) fn exchange(uri: &Uri, source: hyper::Error) -> Self {
        Self {
            origin: authority(uri),
            is_connect: false,
            source: source.into(),
        }
    }

    pub(super) fn legacy(uri: &Uri, source: legacy::Error) -> Self {
        Self {
            origin: authority(uri),
            is_connect: source.is_connect(),
            source: source.into(),
        }
    }

    /// Returns the message for the client, which learns no name of the origin.
    fn message(&self) -> &'static str {
        let mut causes = causes(&*self.source);
        if self.is_connect {
            "the origin could not be reached"
        } else if causes.any(is_parse_error) {
            "the origin sent an invalid response, or one with too many or too large headers"
        } else {
            "the connection to the origin broke before the response"
        }
    }
}

fn authority(uri: &Uri) -> String {
    uri.authority().map(ToString::to_string).unwrap_or_default()
}

fn is_parse_error(cause: &(dyn Error + 'static)) -> bool {
    cause
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_parse)
}

impl Error for UpstreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// Returns `true` if the origin says that it did not process a request (RFC 9113, section 8.7).
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<h2::Error>())
        .any(|cause| {
            let reason = cause.reason();
            let is_above_last_stream = cause.is_go_away() && reason == Some(Reason::NO_ERROR);
            let is_refused = cause.is_reset() && reason == Some(Reason::REFUSED_STREAM);
            cause.is_remote() && (is_above_last_stream || is_refused)
        })
}

/// A failed attempt to connect, which all requests share that waited for it.
#[derive(Clone, Debug)]
pub(super) struct ConnectError(pub(super) Arc<dyn Error + Send + Sync>);

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the attempt to connect failed")
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// The client's body failed while it was streamed to the origin, or was not the signed one.
#[derive(Debug)]
pub(crate) struct BodyFailed(pub(super) BoxError);

impl BodyFailed {
    pub(crate) const MESSAGE: &str = "the request body ended before it was complete";
}

impl fmt::Display for BodyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MESSAGE)
    }
}

impl Error for BodyFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// Returns the message for a client whose request failed at the origin.
pub(crate) fn message(error: &(dyn Error + 'static)) -> &'static str {
    causes(error)
        .find_map(|cause| cause.downcast_ref::<UpstreamError>())
        .map_or("the request to the origin failed", UpstreamError::message)
}

/// Returns `true` if there was no connection to the origin.
pub(crate) fn is_unreached(error: &BoxError) -> bool {
    error
        .downcast_ref::<UpstreamError>()
        .is_some_and(|upstream| upstream.is_connect)
}
