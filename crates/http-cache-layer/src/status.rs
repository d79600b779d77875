//! Outcome of a request.

use std::fmt::{self, Display, Formatter};

/// Reason why the cache forwarded a request (RFC 9211, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardReason {
    /// The cache does not handle such requests.
    Bypass,
    /// The method is neither GET nor HEAD.
    Method,
    /// No response to the URL is stored.
    UriMiss,
    /// Only other variants are stored.
    VaryMiss,
    /// The stored response is stale.
    Stale,
    /// The request's own directives forbid the stored response.
    Request,
}

impl Display for ForwardReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
            Self::Request => "request",
        })
    }
}

/// Outcome of a request, in the extensions of each response.
///
/// It prints the parameters of the header `cache-status` (RFC 9211).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheStatus {
    /// A fresh stored response.
    Hit,
    /// A response that is stale by this many seconds, which the request accepts (`max-stale`, RFC 9111, section
    /// 5.2.1.2).
    MaxStale(u64),
    /// A response that is stale by this many seconds, served while the origin is asked (RFC 5861, section 3).
    StaleWhileRevalidate(u64),
    /// A stale response in place of the origin's failure (RFC 5861, section 4).
    StaleIfError(ForwardReason),
    /// The stored response, which the origin confirmed with a 304.
    Revalidated(ForwardReason),
    /// The response to a concurrent request.
    Collapsed(ForwardReason),
    /// The origin's response, which is stored once its body is complete.
    Stored(ForwardReason),
    /// The origin's response, which is not stored; or a 504 for `only-if-cached`.
    Forwarded(ForwardReason),
}

impl Display for CacheStatus {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit => f.write_str("hit"),
            Self::MaxStale(seconds) => write!(f, "hit; ttl=-{seconds}; detail=max-stale"),
            Self::StaleWhileRevalidate(seconds) => {
                write!(f, "hit; ttl=-{seconds}; detail=stale-while-revalidate")
            }
            Self::StaleIfError(reason) => write!(f, "fwd={reason}; detail=stale-if-error"),
            Self::Revalidated(reason) => write!(f, "fwd={reason}; fwd-status=304"),
            Self::Collapsed(reason) => write!(f, "fwd={reason}; collapsed"),
            Self::Stored(reason) => write!(f, "fwd={reason}; stored"),
            Self::Forwarded(reason) => write!(f, "fwd={reason}"),
        }
    }
}
