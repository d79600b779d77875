use bytes::Bytes;
use http::{Request, Response, StatusCode};

use super::*;

const ID: &str = "4442587FB7D0A2F9";

/// Returns the head of a signed request with this service in its scope, and further headers.
fn request(service: &str, headers: &[(&'static str, &str)]) -> Request<()> {
    let credential = format!("Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request");
    let mut request = Request::post("/")
        .header("x-request-id", ID)
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=00"),
        )
        .body(())
        .expect("a request");
    for (name, value) in headers {
        request
            .headers_mut()
            .insert(*name, value.parse().expect("a value"));
    }
    request
}

const FORM: (&str, &str) = (
    "content-type",
    "application/x-www-form-urlencoded; charset=utf-8",
);
const JSON_1_0: (&str, &str) = ("content-type", "application/x-amz-json-1.0");
const JSON_1_1: (&str, &str) = ("content-type", "application/x-amz-json-1.1");

const S3: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
                  <Message>a &lt; b</Message><RequestId>4442587FB7D0A2F9</RequestId>\
                  <HostId>tower-sigv4</HostId></Error>";
const QUERY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse><Error><Type>Sender</Type>\
                     <Code>AccessDenied</Code><Message>a &lt; b</Message></Error>\
                     <RequestId>4442587FB7D0A2F9</RequestId></ErrorResponse>";
const EC2: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error>\
                   <Code>AccessDenied</Code><Message>a &lt; b</Message></Error></Errors>\
                   <RequestID>4442587FB7D0A2F9</RequestID></Response>";
const JSON: &str = r#"{"__type":"ForbiddenException","message":"a < b"}"#;

/// The exact bytes for the clients of each service, and the media type.
#[test]
fn each_service_has_the_format_of_its_clients() {
    type Row = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
        &'static str,
    );
    let rows: &[Row] = &[
        ("s3", &[], S3, "application/xml"),
        ("s3express", &[], S3, "application/xml"),
        ("s3-outposts", &[], S3, "application/xml"),
        (
            "s3",
            &[("content-type", "application/json")],
            S3,
            "application/xml",
        ),
        ("s3", &[FORM], S3, "application/xml"),
        ("sts", &[FORM], QUERY, "text/xml"),
        ("sts", &[], QUERY, "text/xml"),
        ("iam", &[FORM], QUERY, "text/xml"),
        ("sns", &[FORM], QUERY, "text/xml"),
        ("sqs", &[FORM], QUERY, "text/xml"),
        ("monitoring", &[FORM], QUERY, "text/xml"),
        ("ses", &[FORM], QUERY, "text/xml"),
        ("autoscaling", &[FORM], QUERY, "text/xml"),
        ("elasticloadbalancing", &[FORM], QUERY, "text/xml"),
        ("cloudformation", &[FORM], QUERY, "text/xml"),
        ("rds", &[FORM], QUERY, "text/xml"),
        ("redshift", &[FORM], QUERY, "text/xml"),
        ("elasticache", &[FORM], QUERY, "text/xml"),
        ("route53", &[], QUERY, "text/xml"),
        ("cloudfront", &[], QUERY, "text/xml"),
        ("ec2", &[FORM], EC2, "text/xml"),
        ("ec2", &[], EC2, "text/xml"),
        (
            "ses",
            &[("content-type", "application/json")],
            JSON,
            "application/json",
        ),
        ("sqs", &[JSON_1_0], JSON, "application/x-amz-json-1.0"),
        ("dynamodb", &[JSON_1_0], JSON, "application/x-amz-json-1.0"),
        ("kinesis", &[JSON_1_1], JSON, "application/x-amz-json-1.1"),
        (
            "monitoring",
            &[JSON_1_0],
            JSON,
            "application/x-amz-json-1.0",
        ),
        ("lambda", &[], JSON, "application/json"),
        ("execute-api", &[], JSON, "application/json"),
        ("execute-api", &[FORM], JSON, "application/json"),
    ];
    for (service, headers, body, content_type) in rows {
        for fallback in [ErrorFormat::Json, ErrorFormat::Xml] {
            let context = ErrorContext::new(&request(service, headers), fallback);
            let response: Response<Bytes> = context.response(StatusCode::FORBIDDEN, "a < b");
            let row = format!("{service} {headers:?}");
            assert_eq!(response.body(), body, "{row}");
            assert_eq!(response.headers()["content-type"], content_type, "{row}");
            let id = if context.format() == ErrorFormat::Xml {
                "x-amz-request-id"
            } else {
                "x-amzn-requestid"
            };
            assert_eq!(response.headers()[id], ID, "{row}");
            assert_eq!(
                response.headers().contains_key("x-amzn-errortype"),
                context.format() == ErrorFormat::Json,
                "{row}"
            );
        }
    }
}

#[test]
fn presigned_urls_and_version_2_show_the_format() {
    let format = |uri: &str, authorization: Option<&str>| {
        let mut request = Request::get(uri);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        ErrorContext::new(&request.body(()).expect("a request"), ErrorFormat::Plain).format()
    };
    for (uri, authorization, expected) in [
        (
            "/k?X-Amz-Credential=A%2F20150830%2Fus-east-1%2Fs3%2Faws4_request",
            None,
            ErrorFormat::Xml,
        ),
        (
            "/k?X-Amz-Credential=A/20150830/us-east-1/sts/aws4_request",
            None,
            ErrorFormat::Query,
        ),
        (
            "/k?AWSAccessKeyId=A&Signature=x&Expires=1",
            None,
            ErrorFormat::Xml,
        ),
        ("/k", Some("AWS AKID:c2ln"), ErrorFormat::Xml),
        (
            "/k",
            Some("AWS4-ECDSA-P256-SHA256 Credential=A/20150830/s3/aws4_request, x"),
            ErrorFormat::Xml,
        ),
        ("/k", Some("Bearer x"), ErrorFormat::Plain),
        (
            "/k",
            Some("AWS4-HMAC-SHA256 Credential=A"),
            ErrorFormat::Plain,
        ),
        ("/k", None, ErrorFormat::Plain),
        ("/k?X-Amz-Credential", None, ErrorFormat::Plain),
    ] {
        assert_eq!(
            format(uri, authorization),
            expected,
            "{uri} {authorization:?}"
        );
    }
}

#[test]
fn responses_to_head_have_the_code_in_a_header() {
    for (service, header, code) in [
        ("s3", "x-amz-error-code", "AccessDenied"),
        ("sts", "x-amzn-errortype", "AccessDenied"),
        ("ec2", "x-amzn-errortype", "AccessDenied"),
        ("dynamodb", "x-amzn-errortype", "ForbiddenException"),
    ] {
        let mut head = request(service, &[]);
        *head.method_mut() = http::Method::HEAD;
        let context = ErrorContext::new(&head, ErrorFormat::Json);
        let response: Response<Bytes> = context.response(StatusCode::FORBIDDEN, "why");
        assert!(response.body().is_empty(), "{service}");
        assert_eq!(response.headers()[header], code, "{service}");
    }
}

/// The code of the query protocol, for clients of SQS that still compare it.
#[test]
fn query_mode_adds_the_code_of_the_query_protocol() {
    let head = request("sqs", &[JSON_1_0, ("x-amzn-query-mode", "true")]);
    let context = ErrorContext::new(&head, ErrorFormat::Xml);
    for (status, value) in [
        (StatusCode::FORBIDDEN, "ForbiddenException;Sender"),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailableException;Receiver",
        ),
    ] {
        let response: Response<Bytes> = context.response(status, "why");
        assert_eq!(response.headers()["x-amzn-query-error"], value);
    }
}

#[test]
fn cbor_clients_get_a_map() {
    let head = request("monitoring", &[("smithy-protocol", "rpc-v2-cbor")]);
    let context = ErrorContext::new(&head, ErrorFormat::Json);
    let long = "m".repeat(300);
    for (message, length) in [
        ("why", &[0x63][..]),
        (&long[..24], &[0x78, 24]),
        (&long[..300], &[0x79, 0x01, 0x2c]),
    ] {
        let response: Response<Bytes> = context.response(StatusCode::FORBIDDEN, message);
        assert_eq!(response.headers()["content-type"], "application/cbor");
        assert_eq!(response.headers()["smithy-protocol"], "rpc-v2-cbor");
        let expected = [
            &b"\xa2\x66__type\x72ForbiddenException\x67message"[..],
            length,
            message.as_bytes(),
        ];
        assert_eq!(response.body(), &expected.concat());
    }
}

#[test]
fn invalid_request_ids_are_replaced() {
    let long = "a".repeat(65);
    for id in ["", "a b", "a<b", "é", &long] {
        let head = request("sts", &[("x-request-id", id)]);
        let context = ErrorContext::new(&head, ErrorFormat::Json);
        let one: Response<Bytes> = context.response(StatusCode::FORBIDDEN, "why");
        let other: Response<Bytes> = context.response(StatusCode::FORBIDDEN, "why");
        let (one, other) = (
            &one.headers()["x-amzn-requestid"],
            &other.headers()["x-amzn-requestid"],
        );
        assert_ne!(one, other, "{id:?}");
        assert_eq!(one.len(), 16, "{id:?}");
        assert!(one.as_bytes().iter().all(u8::is_ascii_hexdigit), "{id:?}");
    }
}

#[test]
fn messages_are_escaped() {
    let message = "path \"/a\\b\" & <c>\n\u{1}é";
    let body = |service| {
        let context = ErrorContext::new(&request(service, &[]), ErrorFormat::Json);
        context
            .response::<Bytes>(StatusCode::FORBIDDEN, message)
            .into_body()
    };
    assert_eq!(
        body("lambda"),
        "{\"__type\":\"ForbiddenException\",\"message\":\"path \\\"/a\\\\b\\\" & <c>\\n\\u0001é\"}"
    );
    let escaped = "<Message>path \"/a\\b\" &amp; &lt;c&gt;\n\u{fffd}é</Message>";
    for service in ["s3", "sts", "ec2"] {
        let text = String::from_utf8(body(service).to_vec()).expect("UTF-8");
        assert!(text.contains(escaped), "{text}");
    }
}
