//! Reasons for which the request of an accepted signature or of a verified caller is rejected.

use std::error::Error;

use tower::load_shed::error::Overloaded;
use tower_sigv4::ErrorKind;

use crate::{authorization::CallerLimited, error::causes, rate::RateLimited};

/// Extension of a response: the reason for the log.
#[derive(Clone, Copy)]
pub(crate) struct RequestRejection {
    /// `None` for limits, which have metrics of their own.
    pub(crate) mechanism: Option<&'static str>,
    pub(crate) kind: &'static str,
}

impl RequestRejection {
    /// Returns `None` for an error that is not the client's.
    pub(crate) fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(kind) = reached_limit(error) {
            let mechanism = None;
            return Some(Self { mechanism, kind });
        }
        // An error of a streaming body is a cause of the failed exchange with the origin.
        let mut own = causes(error).filter_map(|cause| cause.downcast_ref::<tower_sigv4::Error>());
        // The names are those of the verifier's rejections.
        let kind = match own.next()?.kind() {
            ErrorKind::Scope => "scope",
            ErrorKind::PayloadMismatch => "payload-mismatch",
            _ => return None,
        };
        let mechanism = Some("sigv4");
        Some(Self { mechanism, kind })
    }
}

fn reached_limit(error: &(dyn Error + 'static)) -> Option<&'static str> {
    match error.downcast_ref() {
        Some(CallerLimited::Rate(_)) => Some("rate-limit"),
        Some(CallerLimited::Concurrency) => Some("concurrency-limit"),
        None if error.is::<RateLimited>() => Some("rate-limit"),
        None if error.is::<Overloaded>() => Some("concurrency-limit"),
        None => None,
    }
}
