//! Service and regions that a client signed for.

use std::borrow::Cow;

use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::{
    authorization::{Authorization, MAX_SCOPE_PART, ParseError, pairs},
    scope::is_scope_part,
    signed_headers::X_AMZ_REGION_SET,
};

/// Maximum length of a region set of a client, in bytes.
const MAX_REGION_SET: usize = 1024;

/// Credential scope of a client's signature, which is not verified.
#[derive(Debug, PartialEq)]
pub(crate) struct ClientScope<'a> {
    pub(crate) service: &'a str,
    pub(crate) region: ScopeRegion<'a>,
}

/// Region of a scope, or the region set of SigV4a.
#[derive(Debug, PartialEq)]
pub(crate) enum ScopeRegion<'a> {
    One(&'a str),
    Set(Cow<'a, str>),
}

impl<'a> ClientScope<'a> {
    /// Reads the scope of a request; `None` if it has no signature of version 4.
    ///
    /// Without the feature `sigv4a`, SigV4a counts as another scheme.
    pub(crate) fn parse(head: &'a Parts) -> Result<Option<Self>, ParseError> {
        let authorization = match Authorization::parse(head, cfg!(feature = "sigv4a")) {
            Ok(parsed) => parsed,
            Err(ParseError::Missing | ParseError::UnsupportedAlgorithm) => return Ok(None),
            Err(error) => return Err(error),
        };
        if authorization.terminator != "aws4_request" {
            return Err(ParseError::Malformed(
                "the credential's scope does not end in aws4_request",
            ));
        }
        let is_name = |name: &str| name.len() <= MAX_SCOPE_PART && is_scope_part(name);
        if !is_name(authorization.service) {
            return Err(ParseError::Malformed(
                "the credential's scope has an invalid service",
            ));
        }
        let region = if authorization.hmac().is_some() {
            if !is_name(authorization.region) {
                return Err(ParseError::Malformed(
                    "the credential's scope has an invalid region",
                ));
            }
            ScopeRegion::One(authorization.region)
        } else {
            let regions = region_set(head, authorization.presigned.is_some())?;
            let is_region =
                |name: &str| name == "*" || is_name(name.strip_suffix('*').unwrap_or(name));
            if regions.len() > MAX_REGION_SET || !regions.split(',').all(is_region) {
                return Err(ParseError::Malformed("x-amz-region-set is invalid"));
            }
            ScopeRegion::Set(regions)
        };
        Ok(Some(Self {
            service: authorization.service,
            region,
        }))
    }
}

impl ScopeRegion<'_> {
    /// Returns the region or the region set.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::One(region) => region,
            Self::Set(regions) => regions,
        }
    }
}

/// Returns the region set of a SigV4a request, which is where its signature is.
///
/// The authorization is parsed already, so that a query has at most one set, in this spelling.
pub(crate) fn region_set(head: &Parts, presigned: bool) -> Result<Cow<'_, str>, ParseError> {
    let mut headers = head.headers.get_all(X_AMZ_REGION_SET).iter();
    let value = match (headers.next(), presigned) {
        (Some(header), false) if headers.next().is_none() => {
            header.to_str().ok().map(Cow::Borrowed)
        }
        (Some(_), _) => return Err(ParseError::Malformed("x-amz-region-set is given twice")),
        (None, true) => pairs(head.uri.query().unwrap_or_default())
            .find_map(|pair| pair.strip_prefix("X-Amz-Region-Set="))
            .and_then(|value| percent_decode_str(value).decode_utf8().ok()),
        (None, false) => None,
    };
    value.ok_or(ParseError::Malformed(
        "x-amz-region-set is missing or not ASCII",
    ))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const SIGNATURE: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

    fn head(scope: &str) -> Parts {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders=host, Signature={SIGNATURE}"
        );
        let request = Request::get("/").header("authorization", value).body(());
        request.expect("a request").into_parts().0
    }

    #[test]
    fn scopes_are_read_from_the_header_and_the_query() {
        let scope = ClientScope {
            service: "s3",
            region: ScopeRegion::One("eu-west-1"),
        };
        let signed = head("20150830/eu-west-1/s3/aws4_request");
        assert_eq!(ClientScope::parse(&signed), Ok(Some(scope)));

        let query = format!(
            "/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60\
             &X-Amz-SignedHeaders=host&X-Amz-Signature={SIGNATURE}\
             &X-Amz-Credential=AKID%2f20150830%2Fus-east-1%2Fdynamodb%2Faws4_request"
        );
        let (presigned, ()) = Request::get(query)
            .body(())
            .expect("a request")
            .into_parts();
        let scope = ClientScope {
            service: "dynamodb",
            region: ScopeRegion::One("us-east-1"),
        };
        assert_eq!(ClientScope::parse(&presigned), Ok(Some(scope)));
    }

    #[test]
    fn requests_with_other_schemes_have_no_scope() {
        for (uri, authorization) in [
            ("/", None),
            ("/?AWSAccessKeyId=A&Signature=x&Expires=1", None),
            ("/", Some("Bearer eyJ")),
            ("/", Some("AWS AKID:c2ln")),
            ("/", Some("")),
        ] {
            let mut request = Request::get(uri);
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let (head, ()) = request.body(()).expect("a request").into_parts();
            assert_eq!(
                ClientScope::parse(&head),
                Ok(None),
                "{uri} {authorization:?}"
            );
        }
    }

    #[test]
    fn invalid_scopes_are_rejected() {
        let long = format!("20150830/us-east-1/{}/aws4_request", "s".repeat(65));
        let far = format!("20150830/{}/s3/aws4_request", "r".repeat(65));
        for scope in [
            "20150830/us-east-1/s3/aws4_requests",
            "20150830/us-east-1/s3/AWS4_REQUEST",
            "20150830/us-east-1/s3",
            "20150830/us-east-1/s3/aws4_request/x",
            "20150830//s3/aws4_request",
            "20150830/us-east-1//aws4_request",
            "20150830/us east-1/s3/aws4_request",
            "20150830/us-east-1/s3\u{e9}/aws4_request",
            "20150830/us-east-1/s3%2f/aws4_request",
            "20150830/*/s3/aws4_request",
            &long,
            &far,
        ] {
            let parsed = head(scope);
            let result = ClientScope::parse(&parsed);
            assert!(
                matches!(result, Err(ParseError::Malformed(_))),
                "{scope}: {result:?}"
            );
        }
        let mut twice = head("20150830/us-east-1/s3/aws4_request");
        let value = twice.headers["authorization"].clone();
        twice.headers.append("authorization", value);
        assert_eq!(ClientScope::parse(&twice), Err(ParseError::Multiple));
    }
}
