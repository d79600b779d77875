//! Responses of AWS to a wrong clock, region or service, or to a caller without permission.

use tower_sigv4::doctor::Cause;

use super::aws_responses::Row;

/// A wrong clock, or an expired URL.
pub(super) const TIMES: &[Row] = &[
    (
        "eks",
        (
            403,
            Some(("x-amzn-errortype", "InvalidSignatureException")),
            r#"{"message":"Signature expired: 20150830T123600Z is now earlier than 20150830T124100Z (20150830T124600Z - 5 min.)"}"#,
        ),
        Cause::ClockSkew,
        "clock was 600 s ahead",
    ),
    (
        "sts",
        (
            403,
            None,
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>Signature not yet current: 20150830T123600Z is still later than 20150830T123500Z (20150830T123000Z + 5 min.)</Message></Error><RequestId>1</RequestId></ErrorResponse>",
        ),
        Cause::ClockSkew,
        "clock was 360 s behind",
    ),
    (
        "s3",
        (
            403,
            None,
            "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message><RequestTime>20150830T123600Z</RequestTime><ServerTime>2015-08-30T13:36:00Z</ServerTime><MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds></Error>",
        ),
        Cause::ClockSkew,
        "clock was 3600 s ahead",
    ),
    (
        "sqs",
        (
            403,
            Some(("date", "Sun, 30 Aug 2015 12:50:00 GMT")),
            r#"{"__type":"RequestExpired","message":"Request has been expired."}"#,
        ),
        Cause::ClockSkew,
        "clock was 840 s ahead",
    ),
    (
        "s3",
        (
            403,
            None,
            "<Error><Code>AccessDenied</Code><Message>Request has expired</Message><X-Amz-Expires>60</X-Amz-Expires><Expires>2015-08-30T12:37:00Z</Expires><ServerTime>2015-08-30T12:38:00Z</ServerTime></Error>",
        ),
        Cause::UrlExpired,
        "was 120 s old",
    ),
    (
        "ec2",
        (
            400,
            None,
            "<Response><Errors><Error><Code>RequestExpired</Code><Message>Request has expired.</Message></Error></Errors></Response>",
        ),
        Cause::ClockSkew,
        "too far from the signing time",
    ),
];

/// Another service or region.
pub(super) const SCOPES: &[Row] = &[
    (
        "s3",
        (
            403,
            None,
            "<Error><Code>AccessDenied</Code><Message>the presigned URL expired 60 seconds ago; create a new one</Message></Error>",
        ),
        Cause::UrlExpired,
        "the presigned URL",
    ),
    (
        "s3",
        (
            400,
            None,
            "<Error><Code>InvalidRequest</Code><Message>the request's body is not the one that was signed</Message></Error>",
        ),
        Cause::BodyChanged,
        "the body was changed on the way",
    ),
    (
        "s3",
        (
            415,
            None,
            "<Error><Code>UnsupportedMediaType</Code><Message>the chunks are signed with the client's key, which the origin does not know; choose `PayloadMode::Mirror`</Message></Error>",
        ),
        Cause::PayloadKind,
        "does not accept this kind of payload",
    ),
    (
        "dynamodb",
        (
            403,
            Some(("x-amzn-errortype", "ForbiddenException")),
            r#"{"__type":"ForbiddenException","message":"the client signed for service \"dynamodb\", which is not one of s3; sign for one of these, or add it by `AsSigned::with_services`"}"#,
        ),
        Cause::ScopeNotAllowed,
        "the gateway does not sign for the service or region that its client signed for",
    ),
    (
        "s3",
        (
            403,
            None,
            "<Error><Code>AccessDenied</Code><Message>the client signed for service \"s3\" in region \"eu-west-1\", but host \"s3.us-east-1.amazonaws.com\" is that of service \"s3\" in region \"us-east-1\"; sign for the host</Message></Error>",
        ),
        Cause::ScopeNotAllowed,
        "the gateway does not sign",
    ),
    (
        "s3",
        (
            403,
            None,
            "<Error><Code>AccessDenied</Code><Message>the request was signed for service \"dynamodb\" and is one to service \"s3\"; sign for \"s3\"</Message></Error>",
        ),
        Cause::ScopeNotAllowed,
        "the gateway does not sign",
    ),
    (
        "s3",
        (
            404,
            None,
            "<Error><Code>NotFound</Code><Message>host \"bkt.gw.example.com\" has the bucket \"bkt\" in it, and no rule reads it; use path-style addressing</Message></Error>",
        ),
        Cause::BucketHost,
        "the gateway cannot read the bucket of S3",
    ),
    (
        "s3",
        (
            400,
            None,
            "<Error><Code>InvalidRequest</Code><Message>\"a..b\" in the host is not a name of a bucket; use 3 to 63 lower-case letters, digits, dots and hyphens</Message></Error>",
        ),
        Cause::BucketHost,
        "the gateway cannot read the bucket of S3",
    ),
    (
        "s3",
        (
            400,
            None,
            "<Error><Code>InvalidRequest</Code><Message>This kind of payload is not accepted here. (payload \"STREAMING-AWS4-HMAC-SHA256-EVENTS\" of x-amz-content-sha256 is a signed event stream, which cannot be verified)</Message></Error>",
        ),
        Cause::PayloadKind,
        "does not accept this kind of payload",
    ),
    (
        "bedrock-runtime",
        (
            403,
            None,
            r#"{"message":"Credential should be scoped to correct service: 'bedrock'. "}"#,
        ),
        Cause::WrongService,
        "signed for service \"bedrock-runtime\", but the origin expects \"bedrock\"",
    ),
    (
        "es",
        (
            403,
            None,
            r#"{"message":"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150831' != '20150830', from '20150830T123600Z'."}"#,
        ),
        Cause::WrongRegion,
        "the day in the credential scope is not that of x-amz-date",
    ),
    (
        "execute-api",
        (
            403,
            None,
            r#"{"message":"Credential should be scoped to a valid region. "}"#,
        ),
        Cause::WrongRegion,
        "signed for region \"us-east-1\", not for the origin's",
    ),
    (
        "sts",
        (
            403,
            None,
            "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>Credential should be scoped to a valid region, not 'us-east-1'. </Message></Error></ErrorResponse>",
        ),
        Cause::WrongRegion,
        "signed for region \"us-east-1\"",
    ),
    (
        "s3",
        (
            301,
            Some(("x-amz-bucket-region", "eu-west-1")),
            "<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting to access must be addressed using the specified endpoint.</Message><Endpoint>bucket.s3.eu-west-1.amazonaws.com</Endpoint></Error>",
        ),
        Cause::WrongRegion,
        "signed for region \"us-east-1\", but the bucket is in \"eu-west-1\"",
    ),
    (
        "s3",
        (400, Some(("x-amz-bucket-region", "eu-west-1")), ""),
        Cause::WrongRegion,
        "signed for region \"us-east-1\", but the bucket is in \"eu-west-1\"",
    ),
    (
        "s3",
        (
            400,
            None,
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>",
        ),
        Cause::WrongRegion,
        "signed for region \"us-east-1\", but the origin expects \"eu-west-1\"",
    ),
    (
        "es",
        (
            403,
            None,
            r#"{"message":"Credential should be scoped to a valid day, region and service."}"#,
        ),
        Cause::WrongService,
        "the origin expects \"execute-api\"",
    ),
    (
        "s3",
        (
            400,
            None,
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; incorrect service \"execute-api\". This endpoint belongs to \"s3\".</Message></Error>",
        ),
        Cause::WrongService,
        "signed for service \"s3\"",
    ),
];

/// Missing routes, permissions and signatures.
pub(super) const OTHER: &[Row] = &[
    (
        "execute-api",
        (
            403,
            Some(("x-amzn-errortype", "MissingAuthenticationTokenException")),
            r#"{"message":"Missing Authentication Token"}"#,
        ),
        Cause::RouteMissing,
        "no route",
    ),
    (
        "dynamodb",
        (
            400,
            None,
            r#"{"__type":"com.amazon.coral.service#MissingAuthenticationTokenException","message":"Request is missing Authentication Token"}"#,
        ),
        Cause::NotSigned,
        "did not reach",
    ),
    (
        "execute-api",
        (
            403,
            Some(("x-amzn-errortype", "ForbiddenException")),
            r#"{"message":"Forbidden"}"#,
        ),
        Cause::StageMissing,
        "does not begin with a stage",
    ),
    (
        "lambda",
        (
            403,
            Some(("x-amzn-errortype", "AccessDeniedException")),
            r#"{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}"#,
        ),
        Cause::NotAllowed,
        "may not have received a signature",
    ),
    (
        "execute-api",
        (
            403,
            Some(("x-amzn-errortype", "AccessDeniedException")),
            r#"{"Message":"User: arn:aws:iam::123456789012:user/a is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:us-east-1:********9012:abc123/prod/GET/orders"}"#,
        ),
        Cause::NotAllowed,
        "a policy does not allow the request",
    ),
    (
        "execute-api",
        (
            403,
            Some(("x-amzn-errortype", "AccessDeniedException")),
            r#"{"Message":"User: anonymous is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:us-east-1:********9012:abc123/prod/GET/orders"}"#,
        ),
        Cause::NotSigned,
        "treats the caller as anonymous",
    ),
    (
        "s3",
        (
            403,
            None,
            "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
        ),
        Cause::NotAllowed,
        "may not have received a signature",
    ),
    (
        "es",
        (
            403,
            None,
            r#"{"Message":"User: anonymous is not authorized to perform: es:ESHttpGet"}"#,
        ),
        Cause::NotSigned,
        "treats the caller as anonymous",
    ),
];
