use http::StatusCode;

use super::ErrorFormat;

/// Returns the code for a status: in JSON as API Gateway names it, in XML as Amazon S3 does, and for the query protocol
/// as the AWS General Reference does, "Common errors".
pub(crate) fn code_of_status(format: ErrorFormat, status: StatusCode) -> &'static str {
    let (json, s3, query) = match status {
        StatusCode::BAD_REQUEST => ("BadRequestException", "InvalidRequest", "ValidationError"),
        StatusCode::FORBIDDEN => ("ForbiddenException", "AccessDenied", "AccessDenied"),
        StatusCode::NOT_FOUND => ("NotFoundException", "NotFound", "NotFound"),
        StatusCode::REQUEST_TIMEOUT => (
            "RequestTimeoutException",
            "RequestTimeout",
            "RequestTimeout",
        ),
        StatusCode::LENGTH_REQUIRED => (
            "LengthRequiredException",
            "MissingContentLength",
            "LengthRequired",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => (
            "RequestEntityTooLargeException",
            "EntityTooLarge",
            "RequestEntityTooLarge",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "UnsupportedMediaTypeException",
            "UnsupportedMediaType",
            "UnsupportedMediaType",
        ),
        StatusCode::TOO_MANY_REQUESTS => ("TooManyRequestsException", "SlowDown", "Throttling"),
        StatusCode::BAD_GATEWAY => ("BadGatewayException", "BadGateway", "BadGateway"),
        StatusCode::SERVICE_UNAVAILABLE => (
            "ServiceUnavailableException",
            "ServiceUnavailable",
            "ServiceUnavailable",
        ),
        StatusCode::GATEWAY_TIMEOUT => (
            "GatewayTimeoutException",
            "GatewayTimeout",
            "GatewayTimeout",
        ),
        StatusCode::INSUFFICIENT_STORAGE => (
            "InsufficientStorageException",
            "InsufficientStorage",
            "InsufficientStorage",
        ),
        _ if status.is_client_error() => {
            ("BadRequestException", "InvalidRequest", "ValidationError")
        }
        _ => (
            "InternalServerErrorException",
            "InternalError",
            "InternalFailure",
        ),
    };
    match format {
        ErrorFormat::Json | ErrorFormat::Cbor | ErrorFormat::Plain => json,
        ErrorFormat::Xml => s3,
        ErrorFormat::Query | ErrorFormat::Ec2 => query,
    }
}

/// Returns the code for a caller that is known and not allowed to do something: in JSON that of the services'
/// "Common errors" pages, in XML that of Amazon S3, for EC2 that of the Amazon EC2 API Reference, "Error codes".
pub(super) fn access_denied_code(format: ErrorFormat) -> &'static str {
    match format {
        ErrorFormat::Json | ErrorFormat::Cbor | ErrorFormat::Plain => "AccessDeniedException",
        ErrorFormat::Ec2 => "UnauthorizedOperation",
        ErrorFormat::Xml | ErrorFormat::Query => "AccessDenied",
    }
}
