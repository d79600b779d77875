use http::{HeaderMap, Uri, header};

use crate::sigv4::{
    authorization::{claimed_service, has_version_2},
    service_rules::service_rules,
    signed_headers::single_value,
};

/// Format of an error response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorFormat {
    /// A JSON object with a `message`, and the error code in `x-amzn-errortype` and `__type`.
    ///
    /// The `content-type` is that of the request if it is `application/x-amz-json-1.0` or `-1.1`, and
    /// `application/json` otherwise. If the request has `x-amzn-query-mode`, as those to SQS have, the code is in
    /// `x-amzn-query-error` as well.
    Json,
    /// A CBOR map with `__type` and `message` (Smithy 2.0, "Smithy RPC v2 CBOR protocol").
    Cbor,
    /// The XML document of Amazon S3: `Error` with `Code` and `Message`.
    Xml,
    /// The XML document of the query protocol: `ErrorResponse` around `Error` with `Type`, `Code` and `Message`.
    Query,
    /// The XML document of Amazon EC2: `Response` around `Errors` around `Error` with `Code` and `Message`.
    Ec2,
    /// The message as plain text.
    Plain,
}

/// Signing names of the services whose clients read XML errors, except the S3 family and EC2, sorted.
///
/// They are those of botocore with the protocols `query` and `rest-xml`. Some of them have clients with another
/// protocol as well, which a request shows by its `content-type`.
const QUERY_SERVICES: [&str; 16] = [
    "IngestionService",
    "autoscaling",
    "cloudformation",
    "cloudfront",
    "cloudsearch",
    "elasticache",
    "elasticbeanstalk",
    "elasticloadbalancing",
    "iam",
    "rds",
    "redshift",
    "route53",
    "sdb",
    "ses",
    "sns",
    "sts",
];

impl ErrorFormat {
    /// Returns the format that the clients of a service read, by its signing name.
    ///
    /// ```
    /// use tower_sigv4::ErrorFormat;
    ///
    /// assert_eq!(ErrorFormat::for_service("s3express"), ErrorFormat::Xml);
    /// assert_eq!(ErrorFormat::for_service("sts"), ErrorFormat::Query);
    /// assert_eq!(ErrorFormat::for_service("ec2"), ErrorFormat::Ec2);
    /// assert_eq!(ErrorFormat::for_service("dynamodb"), ErrorFormat::Json);
    /// ```
    #[must_use]
    pub fn for_service(service: &str) -> Self {
        if service_rules(service).s3_family {
            Self::Xml
        } else if service == "ec2" {
            Self::Ec2
        } else if QUERY_SERVICES.binary_search(&service).is_ok() {
            Self::Query
        } else {
            Self::Json
        }
    }

    /// Returns the format that the client of a request reads, if the request shows it: by its `content-type`, or by
    /// the service of its signature, which is not verified.
    pub(super) fn for_client(uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        if single_value(headers, "smithy-protocol").is_some_and(|name| name == "rpc-v2-cbor") {
            return Some(Self::Cbor);
        }
        let content_type = MediaType::of(headers);
        let service = claimed_service(uri, headers);
        match content_type {
            Some(MediaType::AmzJson10 | MediaType::AmzJson11) => return Some(Self::Json),
            // Old clients of services that have a newer protocol today, such as SQS and CloudWatch, and SDKs that call
            // AssumeRoleWithWebIdentity without a signature.
            Some(MediaType::Form)
                if service.map_or(headers.contains_key("amz-sdk-request"), speaks_query) =>
            {
                return Some(if service == Some("ec2") {
                    Self::Ec2
                } else {
                    Self::Query
                });
            }
            // Version 2 of SES has the signing name of version 1.
            Some(MediaType::Json) if service == Some("ses") => return Some(Self::Json),
            _ => {}
        }
        match service {
            Some(name) => Some(Self::for_service(name)),
            None if has_version_2(uri, headers) => Some(Self::Xml),
            None if headers.contains_key("x-amz-target") => Some(Self::Json),
            None => None,
        }
    }
}

/// Returns `true` for a service with the query protocol, today or formerly.
fn speaks_query(service: &str) -> bool {
    matches!(service, "ec2" | "sqs" | "monitoring")
        || ErrorFormat::for_service(service) == ErrorFormat::Query
}

/// Media type of a request that shows the protocol of its client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    AmzJson10,
    AmzJson11,
    Json,
    Form,
}

impl MediaType {
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = single_value(headers, header::CONTENT_TYPE)?.as_bytes();
        let end = value
            .iter()
            .position(|&byte| byte == b';')
            .unwrap_or(value.len());
        let essence = value[..end].trim_ascii();
        [
            ("application/x-amz-json-1.0", Self::AmzJson10),
            ("application/x-amz-json-1.1", Self::AmzJson11),
            ("application/json", Self::Json),
            ("application/x-www-form-urlencoded", Self::Form),
        ]
        .into_iter()
        .find_map(|(name, media_type)| {
            essence
                .eq_ignore_ascii_case(name.as_bytes())
                .then_some(media_type)
        })
    }
}
