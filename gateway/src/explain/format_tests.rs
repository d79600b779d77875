//! Exchanges in the formats of browsers and of clients' debug logs.

use serde_json::json;

use super::*;

const HOST: &str = "abc123.execute-api.us-east-1.amazonaws.com";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const MISMATCH: &str =
    "The request signature we calculated does not match the signature you provided.";
/// Signature that curl 7.88.1 made for `/x?b=2&a=1`, whose query it does not sort.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261129/us-east-1/execute-api/aws4_request, \
                             SignedHeaders=host;x-amz-date, \
                             Signature=ae7140d86611ee27053beefec658075ef40f04ce13c7714686571ff22123e8f0";

fn given(secret: &str, access_key_id: Option<&str>) -> KnownSecret {
    KnownSecret {
        access_key_id: access_key_id.map(str::to_owned),
        secret_access_key: secret.to_owned(),
    }
}

fn canonical(query: &str) -> String {
    format!(
        "GET\n/x\n{query}\nhost:{HOST}\nx-amz-date:20261129T005340Z\n\nhost;x-amz-date\n\
         e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
}

const TO_SIGN: &str = "AWS4-HMAC-SHA256\n20261129T005340Z\n20261129/us-east-1/execute-api/aws4_request\n\
                       0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Returns the body of API Gateway's response to a request with AWS's canonical query.
fn rejection() -> String {
    let derived = canonical("a=1&b=2");
    let message = format!(
        "{MISMATCH}\n\nThe Canonical String for this request should have been\n'{derived}'\n"
    );
    json!({ "message": message }).to_string()
}

fn curl_output() -> String {
    format!(
        "> GET /x?b=2&a=1 HTTP/1.1\r\n> Host: {HOST}\r\n> Authorization: {AUTHORIZATION}\r\n\
         > X-Amz-Date: 20261129T005340Z\r\n> User-Agent: curl/7.88.1\r\n>\r\n< HTTP/1.1 403 Forbidden\r\n<\r\n{}\n",
        rejection()
    )
}

#[test]
fn the_secret_distinguishes_the_client_from_a_wrong_secret() {
    let without = Explanation::parse(&curl_output(), None)
        .expect("explanation")
        .to_string();
    assert!(
        without.starts_with("cause  secret-or-client\nreason either the secret"),
        "{without}"
    );
    assert!(
        without.contains("--explain FILE --secret-env NAME"),
        "{without}"
    );
    assert!(
        without.contains("query: curl 7.86 to 8.2 signs the parameters in the order sent, and AWS derives them sorted"),
        "{without}"
    );

    for known in [given(SECRET, None), given(SECRET, Some("AKIDEXAMPLE"))] {
        let with = Explanation::parse(&curl_output(), Some(&known)).expect("explanation");
        let text = with.to_string();
        assert!(text.starts_with("cause  client-form\n"), "{text}");
        assert!(
            text.contains("client   \"b=2&a=1\"\n  AWS      \"a=1&b=2\"\n"),
            "{text}"
        );
        assert!(with.colored().contains("\x1b[31m"), "{}", with.colored());
        let json = with.to_json();
        let lines = json["lines"].as_array().expect("array");
        assert!(lines.contains(&json!(["signed", "b=2&a=1"])), "{json}");
        assert!(!(text + &json.to_string()).contains(SECRET));
    }
    let other = given("other-key", None);
    let wrong = Explanation::parse(&curl_output(), Some(&other))
        .expect("explanation")
        .to_string();
    assert!(wrong.starts_with("cause  secret-or-client\n"), "{wrong}");
    assert!(!wrong.contains("--secret-env"), "{wrong}");
    // The secret in the environment may be that of another key.
    let unrelated = given("other-key", Some("AKIDOTHER"));
    let same = Explanation::parse(&curl_output(), Some(&unrelated)).expect("explanation");
    assert_eq!(same.to_string(), without);
}

fn har(entries: &[Value]) -> String {
    serde_json::to_string_pretty(&json!({ "log": { "version": "1.2", "entries": entries } }))
        .expect("JSON")
}

fn entry(status: u16, path: &str, authorization: Option<&str>, content: &Value) -> Value {
    let mut headers = vec![
        json!({ "name": ":authority", "value": HOST }),
        json!({ "name": "X-Amz-Date", "value": "20261129T005340Z" }),
        json!({ "name": "user-agent", "value": "curl/7.88.1" }),
    ];
    headers.extend(authorization.map(|value| json!({ "name": "authorization", "value": value })));
    json!({
        "request": { "method": "GET", "url": format!("https://{HOST}{path}#top"), "headers": headers },
        "response": { "status": status, "headers": [], "content": content },
    })
}

#[test]
fn har_files_of_browsers_are_parsed() {
    let plain = json!({ "text": rejection() });
    let encoded = {
        use base64::{Engine, prelude::BASE64_STANDARD};
        json!({ "text": BASE64_STANDARD.encode(rejection()), "encoding": "base64" })
    };
    for content in [plain.clone(), encoded] {
        let saved = har(&[
            entry(403, "/x?b=2&a=1", Some(AUTHORIZATION), &content),
            entry(200, "/other", Some(AUTHORIZATION), &json!({})),
            entry(403, "/unsigned", None, &json!({ "text": "{}" })),
        ]);
        let known = given(SECRET, None);
        let text = Explanation::parse(&saved, Some(&known))
            .expect("explanation")
            .to_string();
        assert!(text.starts_with("cause  client-form\n"), "{text}");
        let note = "\nOf 2 rejected requests in the HAR file, this is the last signed one: entry 1 of 3.\n";
        assert!(text.contains(note), "{text}");
    }
    let saved = har(&[entry(403, "/x?b=2&a=1", Some(AUTHORIZATION), &plain)]);
    let marked = Explanation::parse(&format!("\u{feff}{saved}"), None).expect("a mark");
    assert!(marked.to_string().starts_with("cause  secret-or-client\n"));
    let unsigned = har(&[entry(403, "/x", None, &plain)]);
    let text = Explanation::parse(&unsigned, None)
        .expect("explanation")
        .to_string();
    assert!(text.contains("saved with sensitive data"), "{text}");
    for (saved, message) in [
        (har(&[]), "no rejected request"),
        (har(&[entry(200, "/", None, &plain)]), "no rejected request"),
        ("{ \"log\": {".to_owned(), "the HAR file is invalid"),
        (
            har(&[
                json!({ "request": { "method": "GET", "url": "" }, "response": { "status": 403 } }),
            ]),
            "the URL",
        ),
    ] {
        let error = Explanation::parse(&saved, None).err().unwrap_or_default();
        assert!(error.contains(message), "{saved}: {error}");
    }
}

/// Browsers omit binary and large bodies, so that a missing text does not show an empty body.
#[test]
fn missing_bodies_of_har_files_are_unknown() {
    let content = json!({ "text": rejection() });
    for (method, size, data, is_known) in [
        ("GET", json!(null), json!(null), true),
        ("GET", json!(-1), json!(null), true),
        ("GET", json!(5), json!(null), false),
        ("POST", json!(null), json!(null), false),
        ("POST", json!(-1), json!(null), false),
        ("POST", json!(0), json!(null), true),
        ("POST", json!(5), json!({ "params": [] }), false),
        ("POST", json!(5), json!({ "text": "hello" }), true),
    ] {
        let mut saved = entry(403, "/x", Some(AUTHORIZATION), &content);
        saved["request"]["method"] = json!(method);
        saved["request"]["bodySize"] = size.clone();
        saved["request"]["postData"] = data.clone();
        let exchange = har::parse(&har(&[saved])).expect("a HAR file");
        let (_, payload) = exchange.request.expect("a request");
        assert_eq!(payload.is_some(), is_known, "{method} {size} {data}");
    }
}

/// Returns a debug log of botocore 1.44.8, as `set_stream_logger` writes it, shortened.
fn botocore_log(query: &str, response: &str) -> String {
    let time = "2026-11-29 00:53:40,580 - ";
    format!(
        "{time}botocore.auth - DEBUG - Calculating signature using v4 auth.\n\
         {time}botocore.auth - DEBUG - CanonicalRequest:\n{}\n\
         {time}botocore.auth - DEBUG - StringToSign:\n{TO_SIGN}\n\
         {time}botocore.auth - DEBUG - Signature:\n1815e3e46750560af08fb8a1b792940e563de71e36e244fb1c77c5337d0898dc\n\
         {time}urllib3.connectionpool - DEBUG - https://{HOST}:443 \"GET /x HTTP/1.1\" 403 264\n\
         {time}botocore.parsers - DEBUG - Response headers: {{'Date': 'Sun, 29 Nov 2026 00:53:40 GMT', \
         'x-amzn-ErrorType': 'InvalidSignatureException'}}\n\
         {time}botocore.parsers - DEBUG - Response body:\n{response}\n\
         {time}botocore.retries.standard - DEBUG - Not retrying request.\n",
        canonical(query),
    )
}

#[test]
fn logged_canonical_requests_are_compared_exactly() {
    let python = format!(
        "b'{}'",
        rejection().replace('\\', "\\\\").replace('\'', "\\'")
    );
    let go = format!(
        "2026/11/29 DEBUG: Request Signature:\n---[ CANONICAL STRING  ]-----------------------------\n{}\n\
         ---[ STRING TO SIGN ]--------------------------------\n{TO_SIGN}\n\
         -----------------------------------------------------\n\
         2026/11/29 DEBUG: Response execute-api Details:\n---[ RESPONSE ]---\nHTTP/1.1 403 Forbidden\r\n\
         Content-Type: application/json\r\n\r\n{}\n-----------------------------------------------------\n",
        canonical("b=2&a=1"),
        rejection(),
    );
    let java = format!(
        "DEBUG AWS4Signer - AWS4 Canonical Request: '\"{}\"\nDEBUG AWS4Signer - AWS4 String to Sign: '\"{TO_SIGN}\"\n{}\n",
        canonical("b=2&a=1"),
        rejection(),
    );
    for saved in [botocore_log("b=2&a=1", &python), go, java] {
        let explanation = Explanation::parse(&saved, None).expect(&saved);
        let text = explanation.to_string();
        assert!(text.starts_with("cause  query-order\n"), "{text}\n{saved}");
        let json = explanation.to_json();
        assert_eq!(
            json["signed"]["canonical_request"],
            canonical("b=2&a=1"),
            "{saved}"
        );
    }
    // The last rejected request counts.
    let two = botocore_log("b=2&a=1", &python)
        + &botocore_log("a=1&b=2", "b'{}'").replace(" 403 ", " 200 ");
    let text = Explanation::parse(&two, None)
        .expect("explanation")
        .to_string();
    assert!(text.starts_with("cause  query-order\n"), "{text}");

    let opaque = botocore_log("a=1&b=2", &format!("b'{{\"message\":\"{MISMATCH}\"}}'"));
    let known = given("another-secret", None);
    let text = Explanation::parse(&opaque, Some(&known))
        .expect("explanation")
        .to_string();
    assert!(text.contains("did not make this signature"), "{text}");
}

#[test]
fn errors_that_node_prints_are_parsed() {
    let s3_error = format!(
        "SignatureDoesNotMatch: {MISMATCH}\n    at throwDefaultError (/app/node_modules/x.js:1:2) {{\n  \
         '$fault': 'client',\n  Code: 'SignatureDoesNotMatch',\n  AWSAccessKeyId: 'AKIDEXAMPLE',\n  \
         StringToSign: 'AWS4-HMAC-SHA256\\n' +\n    '20261129T005340Z',\n  \
         CanonicalRequest: 'GET\\n' +\n    '/x\\n' +\n    'a=1&b=2\\n' +\n    'host:{HOST}\\n' +\n    '\\n' +\n    \
         'host\\n' +\n    'UNSIGNED-PAYLOAD'\n}}\n"
    );
    let text = Explanation::parse(&s3_error, None)
        .expect("explanation")
        .to_string();
    assert!(text.starts_with("cause  mismatch\n"), "{text}");
    assert!(text.contains(HOST), "{text}");

    let axios = format!(
        "AxiosError: Request failed with status code 403 {{\n  request: ClientRequest {{\n    \
         _header: 'GET /x?b=2&a=1 HTTP/1.1\\r\\n' +\n      'Host: {HOST}\\r\\n' +\n      \
         'Authorization: {AUTHORIZATION}\\r\\n' +\n      'X-Amz-Date: 20261129T005340Z\\r\\n' +\n      \
         'User-Agent: curl/7.88.1\\r\\n' +\n      '\\r\\n',\n  }},\n  message: 'Request failed',\n  \
         data: {{ message: '{MISMATCH}' }}\n}}\n"
    );
    let known = given(SECRET, None);
    let text = Explanation::parse(&axios, Some(&known))
        .expect("explanation")
        .to_string();
    assert!(text.starts_with("cause  client-form\n"), "{text}");
}

#[test]
fn responses_to_head_state_no_reason() {
    let to_head = curl_output()
        .replace(&rejection(), "")
        .replace("GET", "HEAD");
    let head_alone = "HTTP/1.1 403 Forbidden\r\ncontent-type: application/xml\r\n\r\n";
    for saved in [
        &*to_head,
        head_alone,
        &head_alone.replace("403 Forbidden", "400 Bad Request"),
    ] {
        let error = Explanation::parse(saved, None).err().unwrap_or_default();
        for part in [
            "if the request was HEAD (curl -I)",
            "repeat the request with GET",
            "presigned for GET",
            "no s3:ListBucket",
            "an expired token",
            "a wrong clock",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    for saved in [
        &*to_head.replace("HEAD", "GET"),
        &head_alone.replace("403 Forbidden", "404 Not Found"),
        &format!("{head_alone}hello"),
    ] {
        let error = Explanation::parse(saved, None).err().unwrap_or_default();
        assert!(error.contains("does not mention a signature"), "{error}");
        assert!(!error.contains("HEAD"), "{error}");
    }
}

#[test]
fn a_secret_without_a_request_is_not_checked() {
    for (secret, is_named) in [
        (Some(given(SECRET, None)), true),
        (Some(given(SECRET, Some("AKIDEXAMPLE"))), false),
        (None, false),
    ] {
        let explanation = Explanation::parse(&rejection(), secret.as_ref()).expect("a mismatch");
        let text = explanation.to_string();
        assert_eq!(text.contains("was not checked"), is_named, "{text}");
    }
}

#[test]
fn a_post_in_the_output_of_curl_lacks_the_body_that_a_check_needs() {
    let post = curl_output()
        .replace("> GET ", "> POST ")
        .replace("> User-Agent", "> Content-Length: 4\r\n> User-Agent");
    let opaque = post.replace(&rejection(), &format!("{{\"message\":\"{MISMATCH}\"}}"));
    let known = given(SECRET, None);
    let text = Explanation::parse(&opaque, Some(&known))
        .expect("a mismatch")
        .to_string();
    for part in [
        "was not checked, since the body",
        "remedy to check the secret",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// Hostile texts of the largest size neither panic nor take long.
#[test]
fn hostile_texts_are_read_in_linear_time() {
    for part in [
        "message: '",
        "CanonicalRequest:\n",
        "_header: '\\r\\n' + ",
        "{\"log\":",
        "\nHTTP/1.1 ",
    ] {
        let saved = part.repeat(MAX_SAVED_LEN as usize / part.len());
        drop(Explanation::parse(&saved, None));
    }
}
