use crate::error::Error;

/// Type of an event whose function can change a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventType {
    /// CloudFront is about to send the request to the origin.
    OriginRequest,
    /// CloudFront has received the request and not looked into its cache yet.
    ViewerRequest,
}

impl EventType {
    /// Parses the name of a type.
    pub(super) fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "origin-request" => Ok(Self::OriginRequest),
            "viewer-request" => Ok(Self::ViewerRequest),
            other => {
                let shown: String = other.chars().take(32).collect();
                Err(Error::request(format!(
                    "event type {shown:?} cannot be signed; associate the function with origin-request or \
                     viewer-request"
                )))
            }
        }
    }
}
