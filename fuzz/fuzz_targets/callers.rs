//! Authorization of a head and a body. No allowed request touches an object outside of `allow`, as S3 reads it.
#![no_main]

#[path = "../../gateway/tests/callers/touches.rs"]
mod touches;

use std::sync::LazyLock;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use sigv4_gateway::Authorizer;
use tower_sigv4::{
    Origin, SigningLayer,
    origin::{OriginRule, OriginRules},
};
use tower_sigv4_fuzz::{head, layer, send, settings};

use self::touches::{Touch, touches};

const CONFIG: &str = r#"
[credentials]
source = "static"
access_key_id = "AKID"
secret_access_key = "secret"
[verify]
service = "s3"
region = "us-east-1"
[[verify.key]]
access_key_id = "AKIDCALLER"
secret_access_key = "secret"
[[origin]]
name = "s3"
url = "http://origin.example.com"
service = "s3"
region = "us-east-1"
[[route]]
name = "s3"
path = "/s3"
strip_prefix = true
origin = "s3"
[[caller]]
match = { access_key_id = "AKIDCALLER" }
allow = ["s3:GET,PUT,DELETE:bucket-a/reports/**", "s3:GET:bucket-b/public/*.csv"]
"#;

static AUTHORIZER: LazyLock<Authorizer> =
    LazyLock::new(|| Authorizer::parse(CONFIG).expect("a configuration"));

static LAYER: LazyLock<SigningLayer> = LazyLock::new(|| {
    let origin = Origin::new("http://origin.example.com", settings("s3")).expect("an origin");
    let rule = OriginRule::path("/s3").expect("a path").strip_prefix();
    layer(OriginRules::new().add_rule(rule, origin))
});

fuzz_target!(|input: &[u8]| {
    let end = input.windows(2).position(|pair| pair == b"\n\n");
    let (text, body) = end.map_or((input, &[][..]), |at| (&input[..at], &input[at + 2..]));
    let Some(mut request) = head(text) else { return };
    request.headers.remove("upgrade");
    if !AUTHORIZER.allows("AKIDCALLER", &request, body) {
        return;
    }
    let whole = Full::new(Bytes::copy_from_slice(body));
    let Ok(sent) = send(&LAYER, Request::from_parts(request, whole)) else {
        return;
    };
    let (sent_head, _) = sent.into_parts();
    let touched = touches(&sent_head, &String::from_utf8_lossy(body));
    assert!(touched.iter().all(is_allowed), "{touched:?}");
});

fn is_allowed(touch: &Touch) -> bool {
    let Some(key) = &touch.key else { return false };
    let is_report = touch.bucket == "bucket-a" && key.starts_with("reports/");
    let is_table = key
        .strip_prefix("public/")
        .is_some_and(|name| name.ends_with(".csv") && !name.contains('/'));
    (is_report && ["GET", "PUT", "DELETE"].contains(&&*touch.verb))
        || (touch.bucket == "bucket-b" && is_table && touch.verb == "GET" && !touch.lists)
}
