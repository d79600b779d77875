//! Error responses in the format that the client of a request reads.
//!
//! [`VerifyLayer`](crate::VerifyLayer) and [`ErrorResponseLayer`](crate::sign::ErrorResponseLayer) create them. An
//! SDK shows the message of an error only in the format of its service:
//!
//! | format | clients |
//! |---|---|
//! | [`Xml`](ErrorFormat::Xml) | Amazon S3 |
//! | [`Query`](ErrorFormat::Query) | STS, IAM, SNS, CloudFormation, RDS and others with the query protocol; CloudFront, Route 53 |
//! | [`Ec2`](ErrorFormat::Ec2) | Amazon EC2 |
//! | [`Cbor`](ErrorFormat::Cbor) | SDKs that send `smithy-protocol: rpc-v2-cbor` |
//! | [`Json`](ErrorFormat::Json) | all others: DynamoDB, SQS, Lambda, API Gateway |
//!
//! [`ErrorContext`] finds the format from the request, for responses of your own:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use tower_sigv4::error_response::{ErrorContext, ErrorFormat};
//!
//! let request = Request::post("http://gw.example.com/")
//!     .header("content-type", "application/x-amz-json-1.0")
//!     .header("x-amz-target", "DynamoDB_20120810.GetItem")
//!     .header("x-request-id", "7f0c")
//!     .body(())
//!     .unwrap();
//! let context = ErrorContext::new(&request, ErrorFormat::Xml);
//! let response: Response<Bytes> = context.response(StatusCode::NOT_FOUND, "no route for /");
//! assert_eq!(response.headers()["x-amzn-errortype"], "NotFoundException");
//! assert_eq!(response.headers()["x-amzn-requestid"], "7f0c");
//! assert_eq!(response.body(), r#"{"__type":"NotFoundException","message":"no route for /"}"#);
//! ```

mod codes;
mod context;
mod format;
mod write;

pub(crate) use self::write::ErrorFields;
#[cfg(feature = "cloudfront")]
pub(crate) use self::{codes::code_of_status, write::json_document};
pub use self::{context::ErrorContext, format::ErrorFormat};

#[cfg(test)]
mod tests;
