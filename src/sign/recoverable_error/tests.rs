mod ignored;

use http::{HeaderValue, Response, response::Parts};

use super::*;

/// Status, `x-amzn-errortype` and body of a response, and the service that it comes from.
type Row<'a> = (&'a str, u16, Option<&'a str>, &'a str);

fn response(status: u16, headers: &[(&str, &[u8])]) -> Parts {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    for (name, value) in headers {
        response.headers_mut().append(
            name.parse::<http::HeaderName>().expect("a name"),
            HeaderValue::from_bytes(value).expect("a value"),
        );
    }
    response.into_parts().0
}

/// Classifies a response that was read to its end.
fn read(head: &Parts, body: &[u8], service: &str, is_presigned: bool) -> Option<RecoverableError> {
    let is_possible = RecoverableError::is_possible(head.status, &head.headers, service);
    is_possible.then(|| RecoverableError::read(&head.headers, body, service, is_presigned))?
}

fn read_row(
    (service, status, code, body): Row<'_>,
    is_presigned: bool,
) -> Option<RecoverableError> {
    let header = code.map(|value| ("x-amzn-errortype", value.as_bytes()));
    read(
        &response(status, header.as_slice()),
        body.as_bytes(),
        service,
        is_presigned,
    )
}

#[test]
fn errors_of_aws_are_recognized() {
    use RecoverableError::{Clock, ClockOrCredentials, Credentials};
    #[rustfmt::skip]
    let rows: [(Row<'_>, RecoverableError); 34] = [
        // JSON 1.0 and 1.1: the code is in the body.
        (("dynamodb", 400, None, r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"Signature expired: 20160610T180547Z is now earlier than 20160610T180612Z (20160610T181112Z - 5 min.)"}"#), Clock),
        // awslabs/amazon-kinesis-producer#222, s12v/awsbeats#48.
        (("kinesis", 400, None, r#"{"__type":"InvalidSignatureException","message":"Signature not yet current: 20181017T093750Z is still later than 20181017T093639Z (20181017T093139Z + 5 min.)"}"#), Clock),
        (("kms", 400, None, r#"{"__type":"InvalidSignatureException","Message":"Signature expired: 20170111T204052Z is now earlier than 20170111T225449Z (20170111T230949Z - 15 min.)"}"#), Clock),
        (("logs", 400, None, r#"{"__type":"InvalidSignatureException","message":"Signature expired: 1 is now earlier than 2"}"#), Clock),
        (("dynamodb", 400, None, r#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"The security token included in the request is expired"}"#), Credentials),
        (("kms", 400, None, r#"{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}"#), Credentials),
        (("logs", 400, None, r#"{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}"#), Credentials),
        (("sqs", 403, None, r#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"The security token included in the request is expired"}"#), Credentials),
        (("ecr", 400, None, "\r\n{\"message\": \"Signature expired: 1\",\n\"requestId\": null, \"__type\": \"InvalidSignatureException\"}\n"), Clock),
        // Glacier, basak/glacier-cli#36.
        (("glacier", 403, None, r#"{"message":"Signature not yet current: 20131120T113529Z is still later than 20131120T104538Z (20131120T104038Z + 5 min.)","code":"InvalidSignatureException","type":"Client"}"#), Clock),
        // REST-JSON: the code is in the header, where Coral appends an address (boto/botocore, `parsers.py`).
        (("apigateway", 403, Some("InvalidSignatureException"), r#"{"message":"Signature expired: 1"}"#), Clock),
        (("apigateway", 403, Some("ExpiredTokenException"), r#"{"message":"The security token included in the request is expired"}"#), Credentials),
        (("glue", 400, Some("InvalidSignatureException:http://internal.amazon.com/coral/com.amazon.coral.service/"), r#"{"message":"Signature expired: 1"}"#), Clock),
        (("aoss", 403, Some("com.amazon.coral.service#ExpiredTokenException"), r#"{"message":"The security token included in the request is expired"}"#), Credentials),
        // A domain of OpenSearch, YelpArchive/elastalert#983.
        (("es", 403, Some("ExpiredTokenException"), r#"{"message":"The security token included in the request is expired"}"#), Credentials),
        // Header and body agree.
        (("dynamodb", 400, Some("ExpiredTokenException"), r#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"The security token included in the request is expired"}"#), Credentials),
        (("polly", 403, None, r#"{"code":"ExpiredTokenException","errorMessage":"The security token included in the request is expired"}"#), Credentials),
        // Services in front of a customer's application: only the header counts. mhart/aws4#118,
        // PolymerAWS/polymeraws#17, aws-amplify/amplify-js#6181.
        (("execute-api", 403, Some("InvalidSignatureException"), r#"{"message":"Signature expired: 20201027T123008Z is now earlier than 20201027T125507Z (20201027T130007Z - 5 min.)"}"#), Clock),
        (("execute-api", 403, Some("ExpiredTokenException"), r#"{"message":"The security token included in the request is expired"}"#), Credentials),
        (("lambda", 403, Some("InvalidSignatureException"), r#"{"message":"Signature not yet current: 20170601T120834Z is still later than 20170601T120804Z (20170601T120304Z + 5 min.)"}"#), Clock),
        (("appsync", 403, Some("ExpiredTokenException"), r#"{"message":"The security token included in the request is expired"}"#), Credentials),
        (("vpc-lattice-svcs", 403, Some("InvalidSignatureException"), r#"{"message":"Signature expired: 1"}"#), Clock),
        // Query protocol and REST-XML. aws/aws-cli#6676, aws/aws-sdk-js#142, cfn-sphere/cfn-sphere#55.
        (("sts", 403, None, r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>Signature expired: 20220127T001427Z is now earlier than 20220127T014428Z (20220127T015928Z - 15 min.)</Message></Error><RequestId>1</RequestId></ErrorResponse>"#), Clock),
        (("elasticloadbalancing", 403, None, "<ErrorResponse>\n  <Error>\n    <Type>Sender</Type>\n    <Code>SignatureDoesNotMatch</Code>\n    <Message>Signature not yet current: 20130730T204752Z is still later than 20130730T204123Z (20130730T203623Z + 5 min.)</Message>\n  </Error>\n</ErrorResponse>\n"), Clock),
        (("iam", 403, None, "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\n  <Error>\n    <Type>Sender</Type>\n    <Code>ExpiredToken</Code>\n    <Message>The security token included in the request is expired</Message>\n  </Error>\n  <RequestId>689b4496-ca92-11e5-9a31-4932678efe5c</RequestId>\n</ErrorResponse>"), Credentials),
        (("sns", 403, None, "<ErrorResponse><Error><Message>The security token included in the request is expired</Message><Code>ExpiredToken</Code></Error></ErrorResponse>"), Credentials),
        // Route 53, hashicorp/terraform#9571.
        (("route53", 403, None, "<?xml version=\"1.0\"?>\n<ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>Signature expired: 20161201T170030Z is now earlier than 20161201T170230Z</Message></Error></ErrorResponse>"), Clock),
        // EC2 uses the same error for both, hellofresh/eks-rolling-update#103, aws/aws-sdk-java#1443.
        (("ec2", 400, None, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>RequestExpired</Code><Message>Request has expired.</Message></Error></Errors><RequestID>213aa903</RequestID></Response>"), ClockOrCredentials),
        // S3. aws/aws-sdk-php#612, romange/helio#15.
        (("s3", 403, None, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message><RequestTime>20150604T232559Z</RequestTime><ServerTime>2015-06-04T22:26:16Z</ServerTime><MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds></Error>"), Clock),
        // Other servers with S3's protocol, cloud-annotations/cloud-annotations#83.
        (("s3", 403, None, "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the server&apos;s time is too large.</Message></Error>"), Clock),
        (("s3", 400, None, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message><Token-0>TOKEN</Token-0><RequestId>1</RequestId><HostId>2</HostId></Error>"), Credentials),
        (("s3express", 403, None, "<Error><Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error>"), Credentials),
        // Amazon S3 API Reference, "Error responses".
        (("s3", 400, None, "<Error><Code>TokenRefreshRequired</Code><Message>The provided token must be refreshed.</Message></Error>"), Credentials),
        // S3 Control (boto/botocore, `S3_CONTROL` of `parsers.py`): the errors of S3 in an element of their own.
        (("s3", 400, None, r#"<ErrorResponse xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error><RequestId>1</RequestId></ErrorResponse>"#), Credentials),
    ];
    for (row, expected) in rows {
        assert_eq!(read_row(row, false), Some(expected), "{row:?}");
        let (service, _, code, body) = row;
        for status in [200, 301, 401, 404, 409, 429, 500, 503] {
            assert_eq!(
                read_row((service, status, code, body), false),
                None,
                "{status} {row:?}"
            );
        }
    }
}

/// The message has the code `AccessDenied`, as missing permissions have. minio/minio#2638.
#[test]
fn expired_presigned_urls_are_recognized() {
    for message in ["Request has expired", "Request is not yet valid"] {
        for body in [
            format!(
                "<Error><Code>AccessDenied</Code><Message>{message}</Message><Expires>2016-09-12T10:09:35Z</Expires></Error>"
            ),
            format!(
                "<ErrorResponse><Error><Code>AccessDenied</Code><Message>{message}</Message></Error></ErrorResponse>"
            ),
        ] {
            let row = |service| (service, 403, None, &*body);
            assert_eq!(
                read_row(row("s3"), true),
                Some(RecoverableError::Clock),
                "{body}"
            );
            assert_eq!(read_row(row("s3"), false), None, "{body}");
            assert_eq!(read_row(row("sts"), true), None, "{body}");
        }
    }
    for body in [
        "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
        "<Error><Code>InvalidRequest</Code><Message>Request has expired</Message></Error>",
        "<Error><Code>AccessDenied</Code><Message>Policy: Request has expired</Message></Error>",
    ] {
        assert_eq!(read_row(("s3", 403, None, body), true), None, "{body}");
    }
}

/// The response to HEAD has no body, so only a code with one meaning counts.
#[test]
fn the_code_in_a_header_counts_without_a_body() {
    let code = |value: &'static str| [("x-amz-error-code", value.as_bytes())];
    for (value, body, service, expected) in [
        (
            "RequestTimeTooSkewed",
            "",
            "s3",
            Some(RecoverableError::Clock),
        ),
        ("RequestTimeTooSkewed", "", "execute-api", None),
        ("RequestTimeTooSkewed", "x", "s3", None),
        ("AccessDenied", "", "s3", None),
        ("ExpiredToken", "", "s3", None),
    ] {
        let head = response(403, &code(value));
        assert_eq!(
            read(&head, body.as_bytes(), service, false),
            expected,
            "{value} {service}"
        );
    }
    let twice = [code("RequestTimeTooSkewed"), code("AccessDenied")].concat();
    assert_eq!(read(&response(403, &twice), b"", "s3", false), None);
}

#[test]
fn repeated_members_count_if_they_are_equal() {
    let body = r#"{"__type":"a#ExpiredTokenException","__type":"ExpiredTokenException","message":"The security token included in the request is expired","Message":"The security token included in the request is expired"}"#;
    assert_eq!(
        read_row(("kms", 400, None, body), false),
        Some(RecoverableError::Credentials)
    );
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let head = response(400, &[]);
    let deep = "<a>".repeat(9_000) + &"</a>".repeat(9_000);
    let document = format!(
        "<Error>{deep}<Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
    );
    assert_eq!(
        read(&head, document.as_bytes(), "s3", false),
        Some(RecoverableError::Credentials)
    );
    let array = "[".repeat(30_000) + &"]".repeat(30_000);
    let object = format!(
        r#"{{"a":{array},"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}}"#
    );
    assert_eq!(
        read(&head, object.as_bytes(), "kms", false),
        Some(RecoverableError::Credentials)
    );
    let in_place = format!(
        r#"{{"__type":{deep},"message":"The security token included in the request is expired"}}"#
    );
    assert_eq!(read(&head, in_place.as_bytes(), "kms", false), None);
}

#[test]
fn origin_time_needs_one_date_and_an_uncached_response() {
    let date: &[u8] = b"Sun, 30 Aug 2015 13:36:00 GMT";
    let time = |headers: &[_]| origin_time(&response(403, headers).headers);
    let expected = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_440_941_760);
    assert_eq!(time(&[("date", date)]), Some(expected));
    for headers in [
        &[][..],
        &[("date", date), ("date", date)],
        &[("date", date), ("age", b"0")],
        &[("date", date), ("age", b"")],
        &[("date", b"20150830T133600Z")],
        &[("date", b"yesterday")],
        &[("date", b"")],
        &[("date", b"Sun, 30 Aug 2015 13:36:00 GMT\xff")],
        &[("x-amz-date", date)],
        &[("last-modified", date)],
    ] {
        assert_eq!(time(headers), None, "{headers:?}");
    }
}
