//! Requests that `allow` covers reach the origin.

use fastrand::Rng;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    client::{Client, Draft, verify_section},
    origin::ObjectOrigin,
    support::Gateway,
};

const REQUESTS: usize = 2_000;
const KEY: &str = "AKIDREPORTS";
const LETTERS: [char; 24] = [
    'a', 'Z', '0', '-', '_', '.', '~', '/', ' ', '+', '&', '=', '?', '#', '%', ';', ':', '@', '!',
    '\'', '<', '"', 'é', '日',
];

/// All bytes except the unreserved ones of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A key under the prefix, without a segment of dots.
fn random_key(random: &mut Rng) -> String {
    let count = random.usize(1..20);
    let name: String = (0..count)
        .map(|_| LETTERS[random.usize(..LETTERS.len())])
        .collect();
    let is_dots = |segment: &str| matches!(segment, "." | "..");
    let segments = name
        .split('/')
        .map(|segment| if is_dots(segment) { "dots" } else { segment });
    let key = segments.collect::<Vec<_>>().join("/");
    format!("reports/{}", key.trim_start_matches('/'))
}

/// Encodes all of a key, or leaves its slashes. The verification rejects an encoded slash in a path.
fn encoded(random: &mut Rng, key: &str) -> String {
    let all = utf8_percent_encode(key, RESERVED).to_string();
    if random.bool() {
        all
    } else {
        all.replace("%2F", "/")
    }
}

fn draft(random: &mut Rng, key: &str) -> Draft {
    let source = encoded(random, key);
    let path = source.replace("%2F", "/");
    match random.usize(..7) {
        0 => Draft::new(
            "GET",
            &format!("/bucket-a/{path}?versionId=v&x-id=GetObject"),
        ),
        1 => Draft::new("PUT", &format!("/bucket-a/{path}"))
            .header("x-amz-meta-a", "b")
            .header("x-amz-acl", "private")
            .body("data"),
        2 => Draft::new("DELETE", &format!("/bucket-a/{path}")),
        3 => Draft::new(
            "GET",
            &format!(
                "/bucket-a?list-type=2&prefix={}&delimiter=%2F",
                path.replace('/', "%2F")
            ),
        ),
        4 => {
            let slash = if random.bool() { "/" } else { "" };
            let version = if random.bool() { "?versionId=v" } else { "" };
            Draft::new("PUT", "/bucket-a/reports/copy").header(
                "x-amz-copy-source",
                &format!("{slash}bucket-a/{source}{version}"),
            )
        }
        5 => {
            let escaped = key
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('"', "&quot;")
                .replace('é', "&#xe9;");
            let object = format!("<Object><Key>{escaped}</Key></Object>");
            let namespace = if random.bool() {
                " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
            } else {
                ""
            };
            Draft::new("POST", "/bucket-a?delete").body(&format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete{namespace}>{}<Quiet>true</Quiet></Delete>",
                object.repeat(random.usize(1..4))
            ))
        }
        _ => Draft::new("PUT", &format!("/bucket-a/{path}?partNumber=1&uploadId=u"))
            .header("x-amz-copy-source", &format!("bucket-a/{source}"))
            .header("x-amz-copy-source-range", "bytes=0-9"),
    }
}

#[tokio::test]
async fn allowed_requests_reach_the_origin() {
    let origin = ObjectOrigin::start().await;
    let gateway = Gateway::with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n\
         [[origin]]\nname = \"s3\"\nurl = \"http://{}\"\nservice = \"s3\"\nregion = \"r\"\n\
         [[route]]\nname = \"s3\"\npath = \"/\"\norigin = \"s3\"\n\
         [[caller]]\nmatch = {{ access_key_id = {KEY:?} }}\n\
         allow = {{ route = \"s3\", methods = [\"GET\", \"PUT\", \"DELETE\"], objects = \"bucket-a/reports/**\" }}\n{}",
        origin.address,
        verify_section("s3", &[KEY])
    ));
    let mut client = Client::new(gateway.address);
    let mut random = Rng::with_seed(7);
    for _ in 0..REQUESTS {
        let key = random_key(&mut random);
        let draft = draft(&mut random, &key);
        let response = client.send(KEY, &draft).await;
        assert_eq!(response.status, 200, "{key:?} {draft:?}\n{}", response.body);
        let arrived = origin.take().pop().expect("a request");
        let touched = arrived
            .touches
            .iter()
            .any(|touch| touch.key.as_deref() == Some(&*key));
        assert!(touched, "{key:?} {draft:?}\n{arrived:?}");
    }
}
