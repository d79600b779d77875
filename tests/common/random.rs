//! Random requests.

use fastrand::Rng;
use tower_sigv4::sigv4::PathForm;

/// Returns a URI with parts that parsers may interpret differently.
pub fn uri(rng: &mut Rng, form: PathForm) -> String {
    let schemes = ["http", "https"];
    let hosts = [
        "example.com",
        "EXAMPLE.com",
        "a.b-c.d",
        "127.0.0.1",
        "[::1]",
        "localhost",
    ];
    let ports = ["", "", "", ":80", ":443", ":8080", ":1"];
    let mut uri = format!(
        "{}://{}{}",
        schemes[rng.usize(..schemes.len())],
        hosts[rng.usize(..hosts.len())],
        ports[rng.usize(..ports.len())],
    );
    // For a path that is encoded once, aws-sigv4 requires the canonical encoding as its input.
    let pieces: &[&str] = match form {
        PathForm::Once | PathForm::OnceFolded => {
            &["a", "Z", "0", "~", "-", "_", "%3A", "%20", "%C3%A9", "%2B"]
        }
        _ => &[
            "a", "Z", "~", "%2F", "%2f", "%41", "%7e", "+", "%2B", ":", "@", "!", "$", "&", "'",
            "(", ")", "*", ",", ";", "=", "é", "ሴ", "%zz", "%", "|", "{", "}", "\"", "[", "]", "^",
            "\\", "%C3%A9", "%ff", "%2e",
        ],
    };
    for _ in 0..rng.usize(..6) {
        uri.push('/');
        match rng.u8(..8) {
            0 => {}
            1 => uri.push('.'),
            2 => uri.push_str(".."),
            3 => uri.push_str("..."),
            _ => (0..rng.usize(1..5)).for_each(|_| uri.push_str(pieces[rng.usize(..pieces.len())])),
        }
    }
    if rng.bool() {
        uri.push('?');
        let pieces = [
            "a", "b", "Z", "~", "-", "=", "=", "&", "&", "+", "%20", "%2F", "%2f", "%41", "%7e",
            "%2B", "%C3%A9", "%c3%a9", "é", "ሴ", "/", "?", ":", "@", "!", "*", "'", "(", ")", ",",
            ";", "%zz", "%", "%4", "|", "{", "[", "^",
        ];
        for _ in 0..rng.usize(..24) {
            uri.push_str(pieces[rng.usize(..pieces.len())]);
        }
    }
    uri
}

/// Returns headers, some of them repeated.
pub fn headers(rng: &mut Rng) -> Vec<(&'static str, String)> {
    let names = [
        "accept",
        "Accept",
        "content-type",
        "Content-MD5",
        "x-amz-target",
        "X-Amz-Meta-A",
        "x-amz-meta-b",
        "user-agent",
        "x-amzn-trace-id",
        "transfer-encoding",
        "my-header",
        "Zeta",
        "range",
        "content-length",
        "te",
    ];
    let words = [
        "a",
        "value",
        "\"q r\"",
        "1,2",
        "  ",
        " ",
        "   ",
        "text/plain;",
        "é",
    ];
    let mut headers: Vec<_> = (0..rng.usize(..24))
        .map(|_| {
            let name = names[rng.usize(..names.len())];
            let value = (0..rng.usize(..6))
                .map(|_| words[rng.usize(..words.len())])
                .collect();
            (name, value)
        })
        .collect();
    if rng.u8(..4) == 0 {
        headers.push(("host", "signed.example.com:8443".to_owned()));
    }
    headers
}
