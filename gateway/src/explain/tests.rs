use tower_sigv4::sigv4::PayloadHash;

use super::*;

fn explain(saved: &str) -> Result<String, String> {
    Explanation::parse(saved, None).map(|explanation| explanation.to_string())
}

const BODY: &str = r#"{"message":"The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'GET\n/orders\n\nhost:api.example.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'"}"#;
const VERBOSE: &str = "* Connected to h\n> GET /other HTTP/1.1\n> Host: h\n> \n< HTTP/1.1 302 Found\r\n< \r\n\
    * Issue another request\n> GET /orders HTTP/2\r\n> Host: h.example.com\r\n> X-Amz-Date: 20150830T123600Z\r\n\
    > Authorization: AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/execute-api/aws4_request, \
    SignedHeaders=host;x-amz-date, \
    Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n>\r\n\
    * Request completely sent off\n< HTTP/2 403 \r\n< x-amzn-errortype: InvalidSignatureException\r\n<\r\n\
    { [5 bytes data]\n";

#[test]
fn curl_output_is_parsed() {
    let progress = "  % Total    % Received\r  0     0\r100   10\r";
    let verbose = format!("{progress}\n{VERBOSE}{progress}{BODY}\n* Connection #0 left intact\n");
    let explanation = explain(&verbose).expect("explanation");
    assert!(
        explanation.starts_with("cause  host-changed\nreason the host was changed"),
        "{explanation}"
    );
    assert!(
        explanation
            .contains("\nhost\n  signed   \"h.example.com\"\n  derived  \"api.example.com\"\n")
    );
    assert!(!explanation.contains("response alone"), "{explanation}");

    let head = "HTTP/1.1 100 Continue\r\n\r\nHTTP/2 403 \r\ncontent-type: application/json\r\n\r\n";
    for saved in [
        BODY.to_owned(),
        head.to_owned() + BODY,
        head.replace('\r', "") + BODY,
    ] {
        let explanation = explain(&saved).expect("explanation");
        assert!(
            explanation.starts_with("cause  mismatch\n"),
            "{explanation}"
        );
        assert!(
            explanation.contains("for host \"api.example.com\""),
            "{explanation}"
        );
        assert!(explanation.contains("curl -v"), "{explanation}");
    }
    let head = "HTTP/1.1 400 Bad Request\nx-amzn-errortype: ExpiredTokenException\n";
    assert!(
        explain(head)
            .expect("explanation")
            .starts_with("cause  token-expired\n")
    );
}

/// Signed with an unknown key, a session token and a body.
const HEAD: &str = "host: h.example.com\r\nx-amz-date: 20150830T123600Z\r\nx-amz-security-token: T0KEN\r\n\
    authorization: AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/execute-api/aws4_request, \
    SignedHeaders=host;x-amz-date;x-amz-security-token, \
    Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n";

/// Returns the same request, raw and as a curl command, each followed by the response.
fn requests(response: &str) -> [String; 4] {
    let raw = format!("POST /orders?a=1 HTTP/1.1\r\n{HEAD}content-length: 4\r\n\r\n{{\n}}\n");
    let fields: String = HEAD
        .lines()
        .map(|line| format!(" \\\n -H '{line}'"))
        .collect();
    let command = format!("curl https://h.example.com/orders?a=1{fields} --data-binary '{{\n}}\n'");
    [
        format!("{raw}{response}"),
        raw.replace('\r', "") + "\n\n" + response,
        format!("{command}\n{response}"),
        format!("$ {command}\n\n{response}"),
    ]
}

#[test]
fn request_and_response_are_compared() {
    let head = "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\n\r\n";
    for saved in requests(BODY)
        .into_iter()
        .chain(requests(&(head.to_owned() + BODY)))
    {
        let explanation = Explanation::parse(&saved, None).expect("explanation");
        let json = explanation.to_json();
        assert_eq!(json["note"], Value::Null, "{saved}");
        let signed = json["signed"]["canonical_request"]
            .as_str()
            .expect("string");
        let hash = PayloadHash::of(b"{\n}\n").to_string();
        assert!(
            signed.starts_with("POST\n/orders\na=1\nhost:h.example.com\n"),
            "{signed}"
        );
        assert!(
            signed.contains("x-amz-security-token:[redacted]\n"),
            "{signed}"
        );
        assert!(signed.ends_with(&hash), "{signed}");
        let to_sign = json["signed"]["string_to_sign"].as_str().expect("string");
        assert!(
            to_sign.starts_with("AWS4-HMAC-SHA256\n20150830T123600Z\n"),
            "{to_sign}"
        );
        let lines = json["lines"].as_array().expect("array");
        for line in [("signed", "POST"), ("derived", "GET"), ("same", "/orders")] {
            assert!(lines.contains(&json!(line)), "{line:?} in {lines:?}");
        }
        let all = json.to_string() + &explanation.to_string();
        assert!(!all.contains("T0KEN") && !all.contains("5fa00fa3"), "{all}");
    }
}

#[test]
fn requests_without_response_show_what_was_signed() {
    for saved in requests("") {
        let explanation = explain(&saved).expect("explanation");
        assert!(explanation.contains("No response given"), "{explanation}");
        assert!(
            explanation.contains("\nPOST\n/orders\na=1\nhost:h.example.com\n"),
            "{explanation}"
        );
        assert!(
            explanation.contains("\nString to sign\nAWS4-HMAC-SHA256\n"),
            "{explanation}"
        );
        assert!(!explanation.contains("T0KEN"), "{explanation}");
    }
    let error = explain("curl http://h/").expect_err("no signature");
    assert!(error.contains("carries no signature"), "{error}");
}

#[test]
fn derived_strings_hide_session_tokens() {
    let body = BODY.replace("x-amz-date:", "x-amz-security-token:T0KEN\\nx-amz-date:");
    for saved in requests(&body) {
        let json = Explanation::parse(&saved, None)
            .expect("explanation")
            .to_json();
        let derived = json["derived"]["canonical_request"]
            .as_str()
            .expect("string");
        assert!(
            derived.contains("x-amz-security-token:[redacted]\n"),
            "{derived}"
        );
        assert!(!json.to_string().contains("T0KEN"), "{json}");
    }
}

#[test]
fn unsigned_requests_are_diagnosed() {
    let unsigned = "> GET / HTTP/1.1\n> Host: h\n>\n< HTTP/1.1 403 Forbidden\n<\n\
        {\"message\":\"Missing Authentication Token\"}\n";
    let explanation = explain(unsigned).expect("explanation");
    assert!(explanation.contains("cause  not-signed\n"), "{explanation}");
    assert!(
        explanation.contains("because the request carries no signature"),
        "{explanation}"
    );
}

#[test]
fn a_malformed_signature_is_named_first() {
    let hex = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    let cut = VERBOSE.replace(hex, "00");
    let opaque = "{\"message\":\"The request signature we calculated does not match the signature you provided.\"}";
    for (saved, body, is_malformed) in [
        (&*cut, opaque, true),
        (VERBOSE, opaque, false),
        (
            &*cut,
            "{\"message\":\"Signature expired: 20150830T123600Z\"}",
            false,
        ),
    ] {
        let explanation = explain(&format!("{saved}{body}\n")).expect("explanation");
        let lines: Vec<_> = explanation.lines().collect();
        let is_first =
            lines[1].starts_with("reason Signature has to be 64 digits of lower-case hex; ");
        let is_remedy = lines[2].starts_with("remedy send and save authorization");
        assert_eq!([is_first, is_remedy], [is_malformed; 2], "{explanation}");
    }
}

#[test]
fn unparsable_exchanges_are_rejected() {
    for (saved, message) in [
        ("", "the text does not mention a signature"),
        (
            "HTTP/1.1 200 OK\r\n\r\nfine",
            "with status 200 OK, does not mention",
        ),
        ("HTTP/1.1 nothing\r\n\r\n", "the response's head"),
        (
            "> GET / HTTP/1.1\n> a b\n>\n< HTTP/1.1 403 x\n<\n{}",
            "the request's head",
        ),
        (
            "> GET {} HTTP/1.1\n>\n< HTTP/1.1 403 x\n<\n{}",
            "the request's head",
        ),
        ("HTTP/", "the response's head"),
        ("HTTP/1.1 403", "repeat the request with GET and curl -v"),
    ] {
        let error = explain(saved).expect_err(saved);
        assert!(error.contains(message), "{saved}: {error}");
    }
}
