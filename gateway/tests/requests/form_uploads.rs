//! Forms of browsers, whose file the gateway sends by PutObject with its own signature.

use crate::support::{
    Gateway, TestResponse, exchange,
    forms::Form,
    s3::{Key, Received, S3Origin},
};

const REGION: &str = "us-east-1";
const CALLER: (&str, &str) = ("AKIDCLIENT", "placeholder");

fn form() -> Form {
    Form::signed(CALLER, REGION, "bucket", "user/")
}

async fn start(verify: &str, more: &str) -> (S3Origin, Gateway) {
    let key = Key::new("AKIDGATEWAY", "the real secret", "s3", "eu-west-1");
    let origin = S3Origin::start(key).await;
    let address = origin.address;
    let gateway = Gateway::with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [credentials]\nsource = \"static\"\naccess_key_id = \"AKIDGATEWAY\"\n\
         secret_access_key = \"the real secret\"\n\
         [[origin]]\nname = \"s3\"\nurl = \"http://{address}\"\nservice = \"s3\"\nregion = \"eu-west-1\"\n\
         {more}\
         [[route]]\npath = \"/\"\norigin = \"s3\"\n\
         [verify]\nservice = [\"s3\", \"execute-api\"]\nregion = \"{REGION}\"\n{verify}\
         [[verify.key]]\naccess_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
        CALLER.0, CALLER.1
    ));
    (origin, gateway)
}

async fn accepting() -> (S3Origin, Gateway) {
    start("post_policy = true\n", "").await
}

async fn send(gateway: &Gateway, form: &Form) -> TestResponse {
    exchange(gateway.address, &form.text()).await
}

fn only(origin: &S3Origin) -> Received {
    let mut seen = origin.take();
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen.remove(0)
}

#[tokio::test]
async fn files_are_stored_with_the_fields_as_headers() {
    let (origin, gateway) = accepting().await;
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet></Tagging>";
    let form = form()
        .with("acl", "private")
        .with("Content-Type", "image/png")
        .with("x-amz-meta-name", "${filename}")
        .with("tagging", tags)
        .with("submit", "Upload");
    let response = send(&gateway, &form).await;
    assert_eq!((response.status, &*response.body), (204, ""));
    let location = "http://gw.example.com/bucket/user/photo.png";
    assert_eq!(response.header("location"), Some(location));
    let stored = only(&origin);
    assert_eq!(stored.head.method, "PUT");
    assert_eq!(stored.head.uri.path(), "/bucket/user/photo.png");
    assert_eq!(stored.data.as_deref(), Ok(&b"content"[..]));
    for (name, value) in [
        ("x-amz-acl", Some("private")),
        ("content-type", Some("image/png")),
        ("x-amz-meta-name", Some("photo.png")),
        ("x-amz-tagging", Some("a=b+c")),
        ("content-length", Some("7")),
        ("submit", None),
        ("x-amz-security-token", None),
    ] {
        assert_eq!(stored.header(name), value, "{name}");
    }
    let authorization = stored.header("authorization").unwrap_or_default();
    assert!(
        authorization.contains("Credential=AKIDGATEWAY/"),
        "{authorization}"
    );
}

#[tokio::test]
async fn responses_are_those_that_the_form_asks_for() {
    let (_origin, gateway) = accepting().await;
    for (status, expected) in [("200", 200), ("201", 201), ("204", 204), ("302", 204)] {
        let response = send(&gateway, &form().with("success_action_status", status)).await;
        assert_eq!(response.status, expected);
        let is_document = response.body.contains(
            "<PostResponse><Location>http://gw.example.com/bucket/user/photo.png</Location>\
             <Bucket>bucket</Bucket><Key>user/photo.png</Key>",
        );
        assert_eq!(is_document, expected == 201, "{}", response.body);
    }
    let redirected = form().with("success_action_redirect", "https://example.com/done?a=b");
    let response = send(&gateway, &redirected).await;
    assert_eq!(response.status, 303);
    let location = response.header("location").unwrap_or_default();
    let start = "https://example.com/done?a=b&bucket=bucket&key=user%2Fphoto.png&etag=";
    assert!(location.starts_with(start), "{location}");
    for other in ["javascript:alert(1)", "/done", ""] {
        let response = send(&gateway, &form().with("success_action_redirect", other)).await;
        assert_eq!(response.status, 204, "{other:?}");
    }
}

#[tokio::test]
async fn buckets_in_the_host_are_those_of_the_routes() {
    let route = "[[route]]\nhost = \"{bucket}.s3.example.com\"\npath = \"/\"\norigin = \"s3\"\n";
    let (origin, gateway) = start("post_policy = true\n", route).await;
    let mut in_host = form();
    "/".clone_into(&mut in_host.target);
    "bucket.s3.example.com".clone_into(&mut in_host.host);
    let response = send(&gateway, &in_host).await;
    assert_eq!(response.status, 204, "{}", response.body);
    let location = "http://bucket.s3.example.com/user/photo.png";
    assert_eq!(response.header("location"), Some(location));
    assert_eq!(only(&origin).head.uri.path(), "/bucket/user/photo.png");
    // The policy allows another bucket than that of the host.
    "other.s3.example.com".clone_into(&mut in_host.host);
    let response = send(&gateway, &in_host).await;
    assert_eq!(response.status, 403, "{}", response.body);
    assert!(origin.take().is_empty());
}

#[tokio::test]
async fn headers_of_the_form_are_not_those_of_the_object() {
    let (origin, gateway) = accepting().await;
    let names = [
        "cache-control",
        "content-disposition",
        "content-language",
        "content-md5",
        "content-range",
        "expires",
        "repr-digest",
        "x-goog-copy-source",
        "x-copy-from",
        "x-other-copy-source",
    ];
    let headers: String = names
        .iter()
        .map(|name| format!("{name}: mine\r\n"))
        .collect();
    let text = form()
        .with("Cache-Control", "no-store")
        .with("Expires", "0")
        .with("Content-MD5", "mgNkuembtIDdJeHwKEyFVQ==")
        .text();
    let more = format!("{headers}connection: expires\r\nuser-agent: mine\r\n");
    let request = text.replacen("\r\n", &format!("\r\n{more}"), 1);
    let response = exchange(gateway.address, &request).await;
    assert_eq!(response.status, 204, "{}", response.body);
    let stored = only(&origin);
    for name in names {
        let expected = match name {
            "cache-control" => Some("no-store"),
            "expires" => Some("0"),
            "content-md5" => Some("mgNkuembtIDdJeHwKEyFVQ=="),
            _ => None,
        };
        assert_eq!(stored.header(name), expected, "{name}");
    }
    assert_eq!(stored.header("user-agent"), Some("mine"));
}

#[tokio::test]
async fn buckets_in_hosts_that_the_route_does_not_read_are_rejected() {
    let by_host = "[[route]]\nhost = \"{bucket}.s3.example.com\"\nmethods = [\"GET\"]\npath = \"/\"\norigin = \"s3\"\n";
    let (origin, gateway) = start("post_policy = true\n", by_host).await;
    // The route would take the key's first segment for the bucket.
    for host in [
        "bucket.s3.us-east-1.amazonaws.com",
        "bucket.s3.amazonaws.com",
        "bucket.s3.example.com",
    ] {
        let mut in_host = form();
        "/".clone_into(&mut in_host.target);
        host.clone_into(&mut in_host.host);
        let response = send(&gateway, &in_host).await;
        assert_eq!(response.status, 403, "{host}: {}", response.body);
        assert!(
            response.body.contains("the host of the form"),
            "{}",
            response.body
        );
        assert!(origin.take().is_empty(), "{host}");
    }
    // The route reads the bucket of a host with a dot at its end, in which the verification sees none.
    let route = "[[route]]\nhost = \"{bucket}.s3.example.com\"\npath = \"/\"\norigin = \"s3\"\n";
    let (other, gateway) = start("post_policy = true\n", route).await;
    let mut in_path = form();
    "other.s3.example.com.".clone_into(&mut in_path.host);
    let response = send(&gateway, &in_path).await;
    assert_eq!(response.status, 403, "{}", response.body);
    assert!(other.take().is_empty());
}

#[tokio::test]
async fn invalid_forms_never_reach_the_origin() {
    let (origin, gateway) = accepting().await;
    let named = |name: &str| {
        let mut named = form();
        name.clone_into(&mut named.file_name);
        named
    };
    let sized = |len: usize| {
        let mut sized = form();
        sized.file = "x".repeat(len);
        sized
    };
    let mut in_other_bucket = form();
    "/other".clone_into(&mut in_other_bucket.target);
    for (form, status, code) in [
        (
            form().with("key", "other/photo.png"),
            403,
            "Invalid according to Policy",
        ),
        (form().with("x-amz-acl", "private"), 403, "AccessDenied"),
        (form().with("key", "user/../photo.png"), 400, "segment"),
        (
            form().with("x-amz-copy-source", "/bucket/secret"),
            400,
            "x-amz-copy-source",
        ),
        (form().with("tagging", "a=b"), 400, "tagging"),
        (
            form().with("x-amz-meta-name", "é\u{1}"),
            400,
            "x-amz-meta-name",
        ),
        (
            form().with("x-amz-signature", &"0".repeat(64)),
            403,
            "SignatureDoesNotMatch",
        ),
        (named("/"), 204, ""),
        (sized(1), 400, "EntityTooSmall"),
        (sized(101), 400, "EntityTooLarge"),
        (in_other_bucket, 403, "AccessDenied"),
    ] {
        let response = send(&gateway, &form).await;
        assert_eq!(response.status, status, "{form:?}: {}", response.body);
        let stored = origin.take();
        if status == 204 {
            assert_eq!(stored[0].head.uri.path(), "/bucket/user/");
            continue;
        }
        assert!(stored.is_empty(), "{form:?}: {stored:?}");
        let is_xml = response.body.contains("<Error>");
        assert!(
            is_xml && response.body.contains(code),
            "{code}: {}",
            response.body
        );
    }
    let body = form().body();
    let truncated = form().request(&body[..body.len() - 8]);
    let repeated = form().request(&body.replace(
        "\r\n--boundary-1--",
        "\r\n--boundary-1\r\n\
         content-disposition: form-data; name=\"key\"\r\n\r\nuser/b\r\n--boundary-1--",
    ));
    for request in [truncated, repeated] {
        let response = exchange(gateway.address, &request).await;
        assert_eq!(response.status, 400, "{}", response.body);
    }
    assert!(origin.take().is_empty());
}

#[tokio::test]
async fn forms_need_a_setting_and_a_route_for_their_object() {
    let (origin, gateway) = start("", "").await;
    let response = send(&gateway, &form()).await;
    assert_eq!(response.status, 403, "{}", response.body);
    let narrow = "[[route]]\npath = \"/bucket/user\"\norigin = \"s3\"\n";
    let posts = "[[route]]\npath = \"/bucket\"\nmethods = [\"POST\"]\norigin = \"s3\"\n";
    for route in [narrow, posts] {
        let (other, gateway) = start("post_policy = true\n", route).await;
        let response = send(&gateway, &form()).await;
        assert_eq!(response.status, 403, "{}", response.body);
        assert!(
            response.body.contains("the route of the bucket"),
            "{}",
            response.body
        );
        assert!(other.take().is_empty());
    }
    assert!(origin.take().is_empty());
}
