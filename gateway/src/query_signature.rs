//! Signatures in the query of the gateway's own requests. Anyone who reads one can send the request again.

use axum::response::Response as GatewayResponse;
use http::{HeaderMap, Response, StatusCode, Uri};
use tower_sigv4::sign::SigningReport;
use url::form_urlencoded;

use crate::response::{self, LoggedError};

/// The signature that a request has in its query.
pub(crate) struct QuerySignature(String);

/// Extension of a response with a header that contains the signature, as a redirect to the request's own path does.
#[derive(Clone)]
struct Repeated;

impl QuerySignature {
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let query = uri.query().filter(|it| it.contains("X-Amz-Signature="))?;
        form_urlencoded::parse(query.as_bytes())
            .find(|(name, value)| name == "X-Amz-Signature" && !value.is_empty())
            .map(|(_, value)| Self(value.into_owned()))
    }

    /// Marks a response that repeats the signature.
    pub(crate) fn mark<B>(&self, response: &mut Response<B>) {
        if self.is_in(response.headers()) {
            response.extensions_mut().insert(Repeated);
        }
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        headers.values().any(|value| {
            let mut parts = value.as_bytes().windows(self.0.len());
            parts.any(|part| part.eq_ignore_ascii_case(self.0.as_bytes()))
        })
    }
}

/// Returns the response in place of one that repeats a signature of the gateway. Clients may read their own.
pub(crate) fn replacement<B>(response: &Response<B>) -> Option<GatewayResponse> {
    let extensions = response.extensions();
    if extensions.get::<Repeated>().is_none() || extensions.get::<SigningReport>().is_none() {
        return None;
    }
    let mut hidden = response::message(
        StatusCode::BAD_GATEWAY,
        "the origin's response repeats the gateway's signature, so it is not forwarded",
    );
    hidden.extensions_mut().insert(LoggedError(
        "a header of the origin's response repeats the signature of the query; set signature = \"header\" in \
         [[origin]], or let the origin send no redirect with the query of its request"
            .to_owned(),
    ));
    Some(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_found_in_every_header() {
        let uri = Uri::from_static("http://a/b?c=d&X-Amz-Signature=ab12");
        let signature = QuerySignature::of(&uri).expect("a signature");
        for (name, value, is_repeated) in [
            ("location", "http://a/b/?c=d&X-Amz-Signature=ab12", true),
            ("location", "http://a/b/?x-amz-signature=AB12", true),
            ("link", "<http://a/b?X-Amz-Signature=ab12>; rel=next", true),
            ("location", "http://a/b/?X-Amz-Signature=ab13", false),
            ("location", "", false),
        ] {
            let response = Response::builder().header(name, value).body(());
            let headers = response.expect("a response").headers().clone();
            assert_eq!(signature.is_in(&headers), is_repeated, "{name}: {value}");
        }
        for other in ["/", "/?a=b", "/?X-Amz-Signature=", "/?q=X-Amz-Signature=1"] {
            assert!(
                QuerySignature::of(&other.parse().expect("a URI")).is_none(),
                "{other}"
            );
        }
    }
}
