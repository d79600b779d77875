//! Random events.

use std::{
    io::{self, BufWriter, Write},
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use fastrand::Rng;
use serde_json::{Value, json};
use tower_sigv4::{
    BoxError,
    cloudfront::{EdgeResponse, EdgeSettings, EdgeSigner},
    sigv4::Identity,
};

use crate::{REGION, credentials};

const SEED: u64 = 0xED6E;
/// 30 August 2015, 12:36, in milliseconds since 1970.
const EPOCH: u64 = 1_440_938_160_000;

/// Prints events, each with the time at which it is signed and the JSON of the function's result.
pub(crate) fn print(count: usize) -> Result<(), BoxError> {
    let mut rng = Rng::with_seed(SEED);
    let signer = EdgeSigner::new(EdgeSettings::new());
    let identity = Identity::new(credentials())?;
    let mut out = BufWriter::new(io::stdout());
    for _ in 0..count {
        let event = event(&mut rng);
        let now = EPOCH + rng.u64(..7 * 86_400_000);
        let time = UNIX_EPOCH + Duration::from_millis(now);
        let json = signer
            .sign_json(event.to_string().as_bytes(), &identity, time)
            .unwrap_or_else(|error| EdgeResponse::from_error(&error).to_json());
        let result: Value = serde_json::from_str(&json)?;
        writeln!(
            out,
            "{}",
            json!({"event": event, "now": now, "result": result})
        )?;
    }
    Ok(out.flush()?)
}

fn event(rng: &mut Rng) -> Value {
    let body: Vec<u8> = (0..rng.usize(..300)).map(|_| rng.u8(..)).collect();
    let mut headers = headers(rng);
    if rng.u8(..10) > 0 {
        let length = body.len().to_string();
        headers["content-length"] = json!([{"key": "Content-Length", "value": length}]);
    }
    let mut request = json!({
        "clientIp": "203.0.113.178",
        "method": choose(rng, &["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"]),
        "uri": path(rng),
        "querystring": query(rng),
        "headers": headers,
        "origin": origin(rng),
    });
    if rng.u8(..5) > 0 {
        request["body"] = json!({
            "action": "read-only",
            "encoding": "base64",
            "data": STANDARD.encode(&body),
            "inputTruncated": rng.u8(..50) == 0,
        });
    }
    let event_type = choose(
        rng,
        &[&["origin-request"; 20][..], &["viewer-request"]].concat(),
    );
    json!({"Records": [{"cf": {
        "config": {
            "distributionDomainName": "d111111abcdef8.cloudfront.net",
            "distributionId": "EDFDVBD6EXAMPLE",
            "eventType": event_type,
            "requestId": "4TyzHTaYWb1GX1qTfsHhEqV6HUDd_BzoBZnwfnvQc_1oF26ClkoUSEQ==",
        },
        "request": request,
    }}]})
}

fn origin(rng: &mut Rng) -> Value {
    let host = choose(
        rng,
        &[
            "abc123.execute-api.us-east-1.amazonaws.com",
            "abc123.execute-api.eu-west-1.amazonaws.com",
            "abc123.lambda-url.us-east-1.on.aws",
            "search-a.us-east-1.es.amazonaws.com",
            "bucket.s3.us-east-1.amazonaws.com",
            "api.example.com",
        ],
    );
    let custom_headers = match rng.u8(..4) {
        0 => json!({"x-origin-secret": [{"key": "X-Origin-Secret", "value": "s3cr3t"}]}),
        1 => json!({"content-type": [{"key": "Content-Type", "value": "text/plain"}]}),
        _ => json!({}),
    };
    if host.contains(".s3.") {
        return json!({"s3": {
            "authMethod": "none", "customHeaders": custom_headers, "domainName": host, "path": "",
            "region": REGION,
        }});
    }
    let path = choose(rng, &["", "/prod", "/v1/a%20b", "/é", "/a:b"]);
    let port = choose(rng, &["443", "80", "8443"])
        .parse::<u16>()
        .unwrap_or(443);
    json!({"custom": {
        "customHeaders": custom_headers, "domainName": host, "keepaliveTimeout": 5, "path": path,
        "port": port, "protocol": "https", "readTimeout": 30, "sslProtocols": ["TLSv1.2"],
    }})
}

fn headers(rng: &mut Rng) -> Value {
    let mut headers = json!({
        "host": [{"key": "Host", "value": "d111111abcdef8.cloudfront.net"}],
        "user-agent": [{"key": "User-Agent", "value": "Amazon CloudFront"}],
        "via": [{"key": "Via", "value": "2.0 2afae0d44e2540f472c0635ab62c232b.cloudfront.net (CloudFront)"}],
        "x-forwarded-for": [{"key": "X-Forwarded-For", "value": "203.0.113.178"}],
    });
    for _ in 0..rng.usize(..5) {
        let name = choose(
            rng,
            &[
                "Accept",
                "Authorization",
                "Content-Type",
                "Cookie",
                "Range",
                "X-Amz-Date",
                "X-Amz-Meta-Color",
                "X-Amz-Content-Sha256",
                "X-Amz-Security-Token",
                "X-Color",
            ],
        );
        let list: Vec<_> = (0..=rng.usize(..2))
            .map(|_| {
                let value = choose(
                    rng,
                    &["", "red", "a  b", "text/plain", "a, b;q=0.5", "\"x\"", "é"],
                );
                json!({"key": name, "value": value})
            })
            .collect();
        headers[name.to_ascii_lowercase()] = list.into();
    }
    headers
}

const PIECES: [&str; 24] = [
    "a", "Z", "0", "~", "-", "_", ".", "..", "/", "//", "%20", "%2F", "%2f", "%41", "%C3%A9",
    "%ff", "+", ":", "@", "!", "$", "'", "(", "é",
];

fn path(rng: &mut Rng) -> String {
    let pieces = (0..rng.usize(..12)).map(|_| choose(rng, &PIECES));
    format!("/{}", pieces.collect::<String>())
}

fn query(rng: &mut Rng) -> String {
    let pieces = (0..rng.usize(..12)).map(|_| match rng.u8(..40) {
        0..10 => "&",
        10..20 => "=",
        20 => "%", // malformed, mostly
        21 => "{",
        _ => choose(rng, &PIECES),
    });
    pieces.collect()
}

fn choose<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}
