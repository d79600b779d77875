//! Responses that change nothing.

use super::*;

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
