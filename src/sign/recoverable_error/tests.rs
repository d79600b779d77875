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
fn similar_errors_are_ignored() {
    #[rustfmt::skip]
    let rows: [Row<'_>; 62] = [
        // Another error whose message quotes a query, header, path or member of the client.
        ("es", 400, None, r#"{"error":{"root_cause":[{"type":"illegal_argument_exception","reason":"request [/] contains unrecognized parameter: [Signature expired: (20261129T040000Z]"}],"type":"illegal_argument_exception"},"status":400}"#),
        ("dynamodb", 400, None, r#"{"__type":"com.amazon.coral.validate#ValidationException","message":"1 validation error detected: Value 'Signature expired: (20261129T040000Z' at 'tableName' failed to satisfy constraint"}"#),
        ("dynamodb", 400, None, r#"{"__type":"com.amazon.coral.validate#ValidationException","message":"Signature expired: 20261129T040000Z"}"#),
        ("kms", 400, None, r#"{"__type":"ThrottlingException","message":"The security token included in the request is expired"}"#),
        ("logs", 400, None, r#"{"__type":"ResourceNotFoundException","message":"The specified log group does not exist: Signature expired: 1"}"#),
        ("apigateway", 400, Some("BadRequestException"), r#"{"message":"Invalid header x-a: Signature expired: (20261129T040000Z"}"#),
        ("sts", 400, None, "<ErrorResponse><Error><Code>ValidationError</Code><Message>Value 'Signature expired: 1' at 'roleArn' failed to satisfy constraint</Message></Error></ErrorResponse>"),
        ("sts", 400, None, "<ErrorResponse><Error><Code>InvalidAction</Code><Message>Signature expired: 1 is not a valid action</Message></Error></ErrorResponse>"),
        ("s3", 403, None, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message><Resource>/The difference between the request time and the current time is too large.</Resource></Error>"),
        ("s3", 400, None, "<Error><Code>InvalidArgument</Code><Message>Invalid argument</Message><ArgumentValue>&lt;Code&gt;ExpiredToken&lt;/Code&gt;&lt;Message&gt;The provided token has expired.</ArgumentValue></Error>"),
        // The canonical request in the message has the client's query.
        ("execute-api", 403, Some("InvalidSignatureException"), r#"{"message":"The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'GET\n/\nSignature expired: 20261129T040000Z=\n'"}"#),
        ("sts", 403, None, "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match. Signature expired: 1</Message></Error></ErrorResponse>"),
        // The right code with another message.
        ("dynamodb", 400, None, r#"{"__type":"InvalidSignatureException","message":"Credential should be scoped to a valid region."}"#),
        ("kms", 400, None, r#"{"__type":"ExpiredTokenException","message":"signature expired: 1"}"#),
        ("kms", 400, None, r#"{"__type":"ExpiredTokenException","message":"Error: The security token included in the request is expired"}"#),
        ("kms", 400, None, r#"{"__type":"InvalidSignatureException","message":"The security token included in the request is expired"}"#),
        ("kms", 400, None, r#"{"__type":"ExpiredTokenException"}"#),
        ("s3", 403, None, "<Error><Code>RequestTimeTooSkewed</Code><Message>Access Denied</Message></Error>"),
        ("s3", 403, None, "<Error><Code>RequestTimeTooSkewed</Code></Error>"),
        // Errors of STS about the web identity's token, not about the caller's. aws/aws-sdk-java-v2#5709,
        // mozilla-iam/mozilla-aws-cli#146.
        ("sts", 400, None, "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code><Message>Token expired: current date/time 1731098245 must be before the expiration date/time 1731095240</Message></Error></ErrorResponse>"),
        ("sts", 400, None, "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code><Message>Token too old: 441398</Message></Error></ErrorResponse>"),
        // Neptune, aws/graph-explorer#39: the code is that of missing permissions.
        ("neptune-db", 403, None, r#"{"code":"AccessDeniedException","requestId":"1","detailedMessage":"The security token included in the request is expired"}"#),
        // EC2, aws/aws-sdk-java#519: the code stands for a wrong key, too.
        ("ec2", 401, None, "<Response><Errors><Error><Code>AuthFailure</Code><Message>AWS was not able to validate the provided access credentials</Message></Error></Errors></Response>"),
        // A code outside its place.
        ("execute-api", 400, None, r#"{"__type":"InvalidSignatureException","message":"Signature expired: 1"}"#),
        ("lambda", 403, None, r#"{"code":"ExpiredTokenException","message":"The security token included in the request is expired"}"#),
        ("appsync", 403, None, r#"{"errors":[{"errorType":"ExpiredTokenException","message":"The security token included in the request is expired"}]}"#),
        // Amazon's Selling Partner API, amzn/selling-partner-api-models#2602.
        ("execute-api", 403, None, r#"{"errors":[{"message":"Signature expired: 20230601T095950Z is now earlier than 20230601T135450Z","code":"InvalidSignature"}]}"#),
        ("vpc-lattice-svcs", 403, None, "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error></ErrorResponse>"),
        ("dynamodb", 400, None, r#"{"error":{"__type":"InvalidSignatureException","message":"Signature expired: 1"}}"#),
        ("dynamodb", 400, None, r#"[{"__type":"InvalidSignatureException","message":"Signature expired: 1"}]"#),
        ("dynamodb", 400, None, r#"{"type":"InvalidSignatureException","message":"Signature expired: 1"}"#),
        ("dynamodb", 400, None, r#"{"message":"Signature expired: 1"}"#),
        ("dynamodb", 400, None, r#"{"__type":"InvalidSignatureException","cause":"Signature expired: 1"}"#),
        ("dynamodb", 400, Some(""), r#"{"message":"Signature expired: 1"}"#),
        ("dynamodb", 400, Some("http://a#InvalidSignatureException"), r#"{"message":"Signature expired: 1"}"#),
        // Neither JSON nor XML.
        ("es", 400, None, "Signature expired: 20261129T040000Z"),
        ("es", 403, Some("InvalidSignatureException"), "InvalidSignatureException: Signature expired: 1"),
        ("orders", 403, None, "could not store the receipt: The security token included in the request is expired"),
        ("es", 403, None, "<html><head><title>403 Forbidden</title></head><body>Signature expired: 1</body></html>"),
        ("es", 403, None, "<!DOCTYPE html><html><body><ErrorResponse><Error><Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error></ErrorResponse></body></html>"),
        ("es", 400, None, ""),
        // A code of another protocol.
        ("dynamodb", 400, None, r#"{"__type":"RequestTimeTooSkewed","message":"The difference between the request time and the current time is too large."}"#),
        ("dynamodb", 400, None, r#"{"__type":"SignatureDoesNotMatch","message":"Signature expired: 1"}"#),
        ("s3", 403, None, "<Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired: 1</Message></Error>"),
        ("s3", 403, None, r#"{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}"#),
        ("s3", 403, Some("ExpiredTokenException"), "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"),
        ("sts", 403, None, "<Error><Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error>"),
        ("sts", 400, None, "<Response><Errors><Error><Code>RequestExpired</Code><Message>Request has expired.</Message></Error></Errors></Response>"),
        ("ec2", 400, None, "<ErrorResponse><Error><Code>RequestExpired</Code><Message>Request has expired.</Message></Error></ErrorResponse>"),
        // Two codes or messages that differ.
        ("dynamodb", 400, Some("ValidationException"), r#"{"__type":"InvalidSignatureException","message":"Signature expired: 1"}"#),
        ("dynamodb", 400, Some("InvalidSignatureException"), r#"{"__type":"ValidationException","message":"Signature expired: 1"}"#),
        ("dynamodb", 400, None, r#"{"__type":"InvalidSignatureException","code":"ValidationException","message":"Signature expired: 1"}"#),
        ("dynamodb", 400, None, r#"{"__type":"InvalidSignatureException","code":400,"message":"Signature expired: 1"}"#),
        ("dynamodb", 400, None, r#"{"__type":"InvalidSignatureException","message":"Signature expired: 1","Message":"Bad value"}"#),
        ("dynamodb", 400, None, r#"{"__type":"InvalidSignatureException","message":"Signature expired: 1","errorMessage":null}"#),
        // Members with one name: which one counts differs between parsers.
        ("dynamodb", 400, None, r#"{"__type":"ValidationException","message":"Signature expired: 1","__type":"InvalidSignatureException"}"#),
        ("dynamodb", 400, None, r#"{"__typ\u0065":"InvalidSignatureException","message":"Signature expired: 1","__type":"ValidationException"}"#),
        ("dynamodb", 400, None, r#"{"__type":"InvalidSignatureException","message":"Bad value","message":"Signature expired: 1"}"#),
        // Broken JSON.
        ("dynamodb", 400, None, r#"{"__type":"InvalidSignatureException","message":"Signature expired: 1""#),
        ("dynamodb", 400, None, r#"{"__type":"InvalidSignatureException","message":"Signature expired: 1"}{}"#),
        ("dynamodb", 400, None, "\u{feff}{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: 1\"}"),
        ("dynamodb", 400, None, r#"x{"__type":"InvalidSignatureException","message":"Signature expired: 1"}"#),
    ];
    for row in rows {
        assert_eq!(read_row(row, false), None, "{row:?}");
    }
}

/// Each document has one change from a valid one.
#[test]
fn ambiguous_documents_are_ignored() {
    let right = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";
    let is_read = |document: &str| read_row(("s3", 400, None, document), false).is_some();
    assert!(is_read(right));
    for (from, to) in [
        ("<Code>", "<Code>NoSuchKey</Code><Code>"),
        ("<Code>", "<Code/><Code>"),
        ("<Code>", "<Code><Code>"),
        ("<Code>", "<Code>NoSuchKey<b></b>"),
        ("<Code>", "<Code><b/>"),
        ("Token</Code>", "Token<b/>Missing</Code>"),
        ("<Code>ExpiredToken", "<Code>Expired<!-- -->Token"),
        ("<Code>ExpiredToken", "<Code><![CDATA[ExpiredToken]]>"),
        ("<Code>ExpiredToken", "<Code> ExpiredToken "),
        ("<Code>ExpiredToken", "<Code>expiredtoken"),
        ("<Code>ExpiredToken", "<Code>Expired&nothing;Token"),
        ("<Code>ExpiredToken", "<Code>ExpiredToken&#0;"),
        ("<Code>ExpiredToken</Code>", "<x:Code>ExpiredToken</x:Code>"),
        ("<Code>ExpiredToken</Code>", "<code>ExpiredToken</code>"),
        (
            "<Code>ExpiredToken</Code>",
            "<Details><Code>ExpiredToken</Code></Details>",
        ),
        (
            "<Code>ExpiredToken</Code>",
            "<![CDATA[<Code>ExpiredToken</Code>]]>",
        ),
        (
            "<Code>ExpiredToken</Code>",
            "<!--<Code>ExpiredToken</Code>-->",
        ),
        ("<Message>", "<Message>No key:<b></b>"),
        ("<Message>", "<Message>No key</Message><Message>"),
        ("<Message>", "<Message><![CDATA[]]>"),
        ("<Message>", "<Message>&lt;"),
        ("<Message>", "<Message>\u{a0}"),
        ("</Message>", ""),
        ("</Code><Message>", "</Code></Error><Error><Message>"),
        ("<Error>", "<Error><Error>"),
        ("<Error>", "<Errors><Error>"),
        ("<Error>", "<Error/><Error>"),
        ("<Error>", "<html></html><Error>"),
        ("<Error>", "<?xml version=\"1.0\"?>Sorry<Error>"),
        ("<Error>", "<!DOCTYPE Error [<!ENTITY a 'b'>]><Error>"),
        ("<Error>", "<?php ?><Error>"),
        ("<Error>", "\u{feff}<Error>"),
        ("<Error>", "<error>"),
        ("</Error>", ""),
        ("</Error>", "</Error"),
        ("</Error>", "</Error></Error>"),
        ("</Error>", "</Error><Error></Error>"),
        ("</Error>", "</Error><html></html>"),
        ("</Error>", "</Error>and so on"),
    ] {
        let document = right.replacen(from, to, 1);
        assert_ne!(document, right);
        assert!(!is_read(&document), "{document}");
    }
    let two_errors = "<ErrorResponse><Error><Code>ExpiredToken</Code></Error><Error><Message>The provided token has \
                  expired.</Message></Error></ErrorResponse>";
    assert!(!is_read(two_errors));
    for length in 0..right.len() {
        assert!(!is_read(&right[..length]), "{length}");
    }
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
fn ambiguous_error_type_headers_are_ignored() {
    let body = br#"{"message":"The security token included in the request is expired"}"#;
    let code: &[u8] = b"ExpiredTokenException";
    let header = |value| ("x-amzn-errortype", value);
    let classify = |headers: &[_]| read(&response(403, headers), body, "execute-api", false);
    assert_eq!(
        classify(&[header(code)]),
        Some(RecoverableError::Credentials)
    );
    assert_eq!(classify(&[]), None);
    assert_eq!(classify(&[header(code), header(code)]), None);
    assert_eq!(
        classify(&[header(code), header(b"ValidationException")]),
        None
    );
    assert_eq!(
        classify(&[header(b"ValidationException"), header(code)]),
        None
    );
    assert_eq!(classify(&[header(b"ExpiredTokenException\xff")]), None);
    assert_eq!(classify(&[("x-amzn-error-type", code)]), None);
    assert_eq!(classify(&[("x-amzn-remapped-errortype", code)]), None);
}

#[test]
fn bodies_that_are_not_utf_8_are_ignored() {
    let body = r#"{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}"#;
    let head = response(400, &[]);
    assert!(read(&head, body.as_bytes(), "kms", false).is_some());
    let mut broken = body.as_bytes().to_vec();
    broken.insert(body.len() - 2, 0xff);
    assert_eq!(read(&head, &broken, "kms", false), None);
    let wide: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(&head, &wide, "kms", false), None);
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
