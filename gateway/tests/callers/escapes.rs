//! Mutated requests: none that reaches the origin touches an object outside of `allow`.

use fastrand::Rng;

use crate::{
    client::{Client, Draft, secret_of, verify_section},
    origin::ObjectOrigin,
    support::{Gateway, REGION, forms::Form},
    touches::Touch,
};

const REQUESTS: usize = 10_000;
const KEY: &str = "AKIDREPORTS";

/// Text that servers and parsers read differently.
const TOKENS: [&str; 48] = [
    "/",
    "//",
    ".",
    "..",
    "../",
    "/../",
    "/..",
    "%2f",
    "%2F",
    "%2e%2e",
    "%2e%2e%2f",
    "..%2f",
    "%252e",
    "%252f",
    "%25",
    "%",
    "%00",
    "%5c",
    "+",
    "%20",
    ";",
    "?",
    "&",
    "=",
    "#",
    ":",
    "bucket-a",
    "bucket-b",
    "/bucket-b/",
    "secret",
    "reports/",
    "public/",
    "%C3%A9",
    "?versionId=",
    "versionId=1",
    "acl",
    "&policy",
    "prefix=",
    "&prefix=",
    "<Key>",
    "</Key>",
    "<Key>secret</Key>",
    "<!-- -->",
    "<![CDATA[",
    "]]>",
    "&amp;",
    "&#x2e;&#x2e;",
    "&#47;",
];

fn config(origin: &ObjectOrigin) -> String {
    let address = origin.address;
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n\
         [[origin]]\nname = \"s3\"\nurl = \"http://{address}\"\nservice = \"s3\"\nregion = \"r\"\n\
         [[route]]\nname = \"s3\"\npath = \"/\"\norigin = \"s3\"\n\
         [[caller]]\nmatch = {{ access_key_id = {KEY:?} }}\n\
         allow = [\"s3:GET,PUT,DELETE:bucket-a/reports/**\", \"s3:GET:bucket-b/public/*.csv\"]\n{}",
        verify_section("s3", &[KEY]).replacen("[verify]\n", "[verify]\npost_policy = true\n", 1)
    )
}

/// The reference decision: `allow` of the configuration, by hand.
fn is_allowed(touch: &Touch) -> bool {
    let Some(key) = &touch.key else {
        return false;
    };
    let verbs = ["GET", "PUT", "DELETE"];
    let is_report = touch.bucket == "bucket-a" && key.starts_with("reports/");
    let is_table = key
        .strip_prefix("public/")
        .is_some_and(|name| name.ends_with(".csv") && !name.contains('/'));
    (is_report && verbs.contains(&&*touch.verb))
        || (touch.bucket == "bucket-b" && is_table && touch.verb == "GET" && !touch.lists)
}

/// Requests that the caller may send.
fn templates() -> Vec<Draft> {
    let copy = |source: &str| {
        Draft::new("PUT", "/bucket-a/reports/copy").header("x-amz-copy-source", source)
    };
    let deletion = |body: &str| Draft::new("POST", "/bucket-a?delete").body(body);
    vec![
        Draft::new("GET", "/bucket-a/reports/2026/a.txt"),
        Draft::new("GET", "/bucket-b/public/table.csv"),
        Draft::new("PUT", "/bucket-a/reports/b%20c").body("data"),
        Draft::new("DELETE", "/bucket-a/reports/x?versionId=v"),
        Draft::new(
            "GET",
            "/bucket-a?list-type=2&prefix=reports%2F&delimiter=%2F",
        ),
        Draft::new("GET", "/bucket-a/?versions&prefix=reports/2026"),
        Draft::new("PUT", "/bucket-a/reports/part?partNumber=1&uploadId=u")
            .header("x-amz-copy-source", "/bucket-b/public/table.csv"),
        copy("bucket-a/reports/a"),
        copy("/bucket-b/public/table.csv?versionId=v"),
        copy("bucket-a%2Freports%2Fa%20b"),
        deletion(
            "<Delete><Object><Key>reports/a</Key></Object><Object><Key>reports/b</Key></Object></Delete>",
        ),
        deletion(
            "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>reports/a&amp;b</Key>\
             <VersionId>v</VersionId></Object><Quiet>true</Quiet></Delete>",
        ),
    ]
}

fn mutate(random: &mut Rng, draft: &mut Draft) {
    let header_count = draft.headers.len();
    let text = match random.usize(..10) {
        0 => {
            let methods = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"];
            draft.method = methods[random.usize(..methods.len())].to_owned();
            return;
        }
        1 => {
            let names = [
                "x-amz-copy-source",
                "x-amz-rename-source",
                "x-amz-acl",
                "x-amz-copy-source-range",
            ];
            let values = [
                "bucket-b/secret",
                "/bucket-a/reports/a",
                "bucket-a/secret",
                "secret",
                "public-read",
            ];
            let name = names[random.usize(..names.len())];
            let value = values[random.usize(..values.len())];
            draft.headers.push((name.to_owned(), value.to_owned()));
            return;
        }
        2..=4 if header_count > 0 => &mut draft.headers[random.usize(..header_count)].1,
        2..=5 if !draft.body.is_empty() => &mut draft.body,
        _ => &mut draft.target,
    };
    let mut letters: Vec<char> = text.chars().collect();
    let at = random.usize(..=letters.len());
    match random.usize(..6) {
        0..=3 => {
            let token = TOKENS[random.usize(..TOKENS.len())];
            letters.splice(at..at, token.chars());
        }
        4 => drop(letters.drain(at..(at + random.usize(1..6)).min(letters.len()))),
        _ => {
            let end = (at + random.usize(1..20)).min(letters.len());
            let copied = letters[at..end].to_vec();
            let to = random.usize(..=letters.len());
            letters.splice(to..to, copied);
        }
    }
    *text = letters.into_iter().collect();
}

#[tokio::test]
async fn no_mutated_request_touches_other_objects() {
    let origin = ObjectOrigin::start().await;
    let gateway = Gateway::with_config(&config(&origin));
    let mut client = Client::new(gateway.address);
    for draft in templates() {
        assert_eq!(client.send(KEY, &draft).await.status, 200, "{draft:?}");
        let arrived = origin.take().pop().expect("a request");
        assert!(arrived.touches.iter().all(is_allowed), "{arrived:?}");
    }
    let mut random = Rng::with_seed(26);
    let (mut sent, mut passed, mut denied) = (0, 0, 0);
    while sent < REQUESTS {
        let all = templates();
        let mut draft = all[random.usize(..all.len())].clone();
        for _ in 0..random.usize(1..4) {
            mutate(&mut random, &mut draft);
        }
        let Some(bytes) = draft.signed(KEY, "s3") else {
            continue;
        };
        sent += 1;
        let response = client.exchange(&bytes, draft.method == "HEAD").await;
        let arrived = origin.take();
        for request in &arrived {
            assert!(
                request.touches.iter().all(is_allowed),
                "{draft:?}\n{request:?}"
            );
        }
        match response {
            Some(response) if response.status == 200 => passed += arrived.len(),
            Some(response) => {
                assert!(arrived.is_empty(), "{draft:?}");
                denied += usize::from(response.body.contains("is not allowed to"));
            }
            None => {}
        }
    }
    // Requests that fail for other reasons prove nothing.
    assert!(
        passed > REQUESTS / 10 && denied > REQUESTS / 10,
        "{passed} passed, {denied} denied"
    );
}

/// Forms whose policy allows any key of the bucket, so that only `allow` protects the others.
#[tokio::test]
async fn no_mutated_form_touches_other_objects() {
    let origin = ObjectOrigin::start().await;
    let gateway = Gateway::with_config(&config(&origin));
    let mut client = Client::new(gateway.address);
    let secret = secret_of(KEY);
    let templates = ["bucket-a", "bucket-b"].map(|bucket| {
        let form = Form::signed((KEY, &secret), REGION, bucket, "");
        form.with("key", "reports/a.txt")
    });
    let mut random = Rng::with_seed(28);
    let (mut stored, mut denied) = (0, 0);
    for number in 0..3000 {
        let mut form = templates[usize::from(random.u8(..4) == 0)].clone();
        let mut key = Draft::new("POST", "reports/a.txt");
        for _ in 0..random.usize(..3) {
            mutate(&mut random, &mut key);
        }
        form = form.with("key", &key.target);
        match random.usize(..8) {
            0 => form = form.with("x-amz-copy-source", "/bucket-b/secret"),
            1 => form = form.with("acl", "public-read"),
            2 => form = form.with("key", "reports/${filename}"),
            3 => TOKENS[random.usize(..TOKENS.len())].clone_into(&mut form.file_name),
            4 => form.target += TOKENS[random.usize(..TOKENS.len())],
            _ => {}
        }
        let request = form.text().replacen("connection: close\r\n", "", 1);
        let response = client.exchange(request.as_bytes(), false).await;
        let arrived = origin.take();
        for touched in &arrived {
            let is_put = touched.touches.iter().all(|touch| touch.verb == "PUT");
            let allowed = is_put && touched.touches.iter().all(is_allowed);
            assert!(allowed, "{number}: {form:?}\n{touched:?}");
        }
        let is_denied = response.is_some_and(|it| it.body.contains("is not allowed to"));
        assert!(!is_denied || arrived.is_empty(), "{form:?}");
        stored += arrived.len();
        denied += usize::from(is_denied);
    }
    assert!(
        stored > 500 && denied > 500,
        "{stored} stored, {denied} denied"
    );
}
