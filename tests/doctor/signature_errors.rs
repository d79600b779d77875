//! Responses of AWS to wrong signatures and credentials.

use tower_sigv4::doctor::Cause;

use super::aws_responses::Row;

/// Signatures that do not match.
pub(super) const SIGNATURES: &[Row] = &[
    (
        "execute-api",
        (
            403,
            Some(("x-amzn-errortype", "InvalidSignatureException")),
            r#"{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'GET\n/prod/orders\na=1&b=2\nhost:api.example.com\nx-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nx-amz-date:20150830T123600Z\nx-tenant:hunter2\n\nhost;x-amz-content-sha256;x-amz-date;x-tenant\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/execute-api/aws4_request\nb0e1c056070f533feff6e3915304e1cf8a0ee73b7f1e873b1b0d413607c3f87a'\n"}"#,
        ),
        Cause::HostChanged,
        "received for \"api.example.com\"",
    ),
    (
        "execute-api",
        (
            403,
            None,
            r#"{"errors":[{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'GET\n/prod/orders\na=1&b=2\nhost:abc123.execute-api.us-east-1.amazonaws.com\nx-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nx-amz-date:20150830T123600Z\nx-tenant:\n\nhost;x-amz-content-sha256;x-amz-date;x-tenant\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'\n","code":"InvalidSignature"}]}"#,
        ),
        Cause::HeaderDropped,
        "header x-tenant was signed but did not reach",
    ),
    (
        "execute-api",
        (
            403,
            None,
            r#"{"message":"The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'GET\n/prod/orders\nb=2&a=1\nhost:abc123.execute-api.us-east-1.amazonaws.com\nx-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nx-amz-date:20150830T123600Z\nx-tenant:hunter3\n\nhost;x-amz-content-sha256;x-amz-date;x-tenant\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'"}"#,
        ),
        Cause::QueryOrder,
        "reordered on the way",
    ),
    (
        "execute-api",
        (
            403,
            None,
            r#"{"message":"The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'GET\n/prod/orders\na=1&b=2\nhost:abc123.execute-api.us-east-1.amazonaws.com\nx-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nx-amz-date:20150830T123600Z\n\nhost;x-amz-content-sha256;x-amz-date\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'"}"#,
        ),
        Cause::AuthorizationChanged,
        "the list of signed headers",
    ),
    (
        "s3",
        (
            403,
            None,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match the signature you provided. Check your key and signing method.</Message><AWSAccessKeyId>AKIDEXAMPLE</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/s3/aws4_request\nb0e1c056070f533feff6e3915304e1cf8a0ee73b7f1e873b1b0d413607c3f87a</StringToSign><SignatureProvided>SIGNATURE</SignatureProvided><StringToSignBytes>41 57 53</StringToSignBytes><CanonicalRequest>GET\n/prod/orders\na=1&amp;b=3\nhost:abc123.execute-api.us-east-1.amazonaws.com\nx-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nx-amz-date:20150830T123600Z\nx-tenant:hunter2\n\nhost;x-amz-content-sha256;x-amz-date;x-tenant\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855</CanonicalRequest><CanonicalRequestBytes>47 45 54</CanonicalRequestBytes><RequestId>4442587FB7D0A2F9</RequestId><HostId>x</HostId></Error>",
        ),
        Cause::QueryChanged,
        "parameter \"b\" of the query was changed",
    ),
    (
        "s3",
        (
            403,
            None,
            "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match the signature you provided. Check your key and signing method.</Message><StringToSign>AWS4-HMAC-SHA256</StringToSign><SignatureProvided>5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31</SignatureProvided></Error>",
        ),
        Cause::AuthorizationChanged,
        "another component signs again",
    ),
    (
        "dynamodb",
        (
            400,
            None,
            r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}"#,
        ),
        Cause::Mismatch,
        "does not show what it derived",
    ),
    (
        "s3",
        (
            403,
            None,
            "<Error><Code>AccessDenied</Code><Message>There were headers present in the request which were not signed</Message><HeadersNotSigned>x-amz-cf-id</HeadersNotSigned></Error>",
        ),
        Cause::HeaderNotSigned,
        "does not cover these headers: \"x-amz-cf-id\"",
    ),
    (
        "s3",
        (
            400,
            None,
            "<Error><Code>XAmzContentSHA256Mismatch</Code><Message>The provided 'x-amz-content-sha256' header does not match what was computed.</Message></Error>",
        ),
        Cause::BodyChanged,
        "its hash is not the signed one",
    ),
    (
        "s3",
        (
            400,
            None,
            "<Error><Code>InvalidRequest</Code><Message>Missing required header for this request: x-amz-content-sha256</Message></Error>",
        ),
        Cause::PayloadKind,
        "x-amz-content-sha256",
    ),
    (
        "execute-api",
        (
            403,
            Some(("x-amzn-errortype", "IncompleteSignatureException")),
            r#"{"message":"'hunter2' not a valid key=value pair (missing equal-sign) in Authorization header: 'Bearer hunter2'."}"#,
        ),
        Cause::NotSigned,
        "an authorization of another scheme",
    ),
    (
        "execute-api",
        (
            403,
            Some(("x-amzn-errortype", "IncompleteSignatureException")),
            r#"{"message":"Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): 'aHVudGVyMg=='."}"#,
        ),
        Cause::NotSigned,
        "an authorization of another scheme",
    ),
    (
        "execute-api",
        (
            403,
            Some(("x-amzn-errortype", "IncompleteSignatureException")),
            r#"{"message":"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=Bearer hunter2"}"#,
        ),
        Cause::NotSigned,
        "the route requires IAM, or API Gateway has no such route",
    ),
    (
        "execute-api",
        (
            403,
            Some(("x-amzn-errortype", "IncompleteSignatureException")),
            r#"{"message":"'SignedHeaders' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 Credential=a, SignedHeaders'."}"#,
        ),
        Cause::AuthorizationChanged,
        "did not arrive as it was sent",
    ),
    (
        "s3",
        (
            400,
            None,
            "<Error><Code>InvalidRequest</Code><Message>The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.</Message></Error>",
        ),
        Cause::SignatureVersion,
        "accepts only version 4",
    ),
    (
        "s3",
        (
            403,
            None,
            "<Error><Code>AccessDenied</Code><Message>AWS authentication requires a valid Date or x-amz-date header</Message></Error>",
        ),
        Cause::HeaderDropped,
        "header x-amz-date was signed but did not",
    ),
    (
        "s3",
        (
            403,
            None,
            "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIDOTHER</AWSAccessKeyId></Error>",
        ),
        Cause::AuthorizationChanged,
        "another component signs again",
    ),
];

/// Unknown or expired credentials.
pub(super) const CREDENTIALS: &[Row] = &[
    (
        "dynamodb",
        (
            400,
            None,
            r#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"The security token included in the request is expired"}"#,
        ),
        Cause::TokenExpired,
        "have expired",
    ),
    (
        "s3",
        (
            400,
            None,
            "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message><Token-0>hunter2</Token-0></Error>",
        ),
        Cause::TokenExpired,
        "have expired",
    ),
    (
        "dynamodb",
        (
            400,
            None,
            r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}"#,
        ),
        Cause::UnknownKey,
        "does not know the access key",
    ),
    (
        "execute-api",
        (
            403,
            Some(("x-amzn-errortype", "AccessDeniedException")),
            r#"{"message":"The security token included in the request is invalid."}"#,
        ),
        Cause::UnknownKey,
        "does not know the access key",
    ),
    (
        "ec2",
        (
            401,
            None,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>AuthFailure</Code><Message>AWS was not able to validate the provided access credentials</Message></Error></Errors><RequestID>1</RequestID></Response>",
        ),
        Cause::UnknownKey,
        "does not know the access key",
    ),
    (
        "s3",
        (
            400,
            None,
            "<Error><Code>InvalidToken</Code><Message>The provided token is malformed or otherwise invalid.</Message><Token-0>hunter2</Token-0></Error>",
        ),
        Cause::WrongToken,
        "does not belong to this access key",
    ),
    (
        "appsync",
        (
            401,
            None,
            r#"{"errors":[{"errorType":"UnrecognizedClientException","message":"The security token included in the request is invalid."}]}"#,
        ),
        Cause::UnknownKey,
        "does not know the access key",
    ),
];
