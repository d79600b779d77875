use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_smithy_types::base64;
use bytes::Bytes;
use http::{
    Request, Response,
    header::{CONTENT_TYPE, HOST, RANGE},
};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    Clock, Error, SigningSettings, VerifyLayer,
    body::VerifiedBody,
    sigv4::{Identity, Payload, PostPolicy, SigningParams, scope::Timestamp},
    verify::{PayloadKind, StaticKeys, Verified, VerifiedForm, VerifySettings},
};

use super::multipart::Fields;

const BOUNDARY: &str = "boundary-1";
const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const DATE: &str = "20151229T000000Z";

fn time(text: &str) -> SystemTime {
    Timestamp::parse(text.as_bytes())
        .expect("a time")
        .system_time()
}

/// A signed form, to be changed before or after it is signed.
struct Form {
    method: &'static str,
    uri: String,
    headers: Vec<(&'static str, String)>,
    expiration: String,
    conditions: Vec<Value>,
    /// Those of the signature are first.
    fields: Vec<(String, String)>,
    session_token: Option<&'static str>,
    policy: Option<String>,
    signature: Option<String>,
    file: Option<(&'static str, &'static str)>,
    body: Box<dyn Fn(String) -> String>,
}

impl Form {
    fn new() -> Self {
        let credential = format!("{ID}/20151229/us-east-1/s3/aws4_request");
        let fields = [
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", &*credential),
            ("x-amz-date", DATE),
            ("key", "user/photo.png"),
            ("acl", "private"),
            ("Content-Type", "image/png"),
        ];
        Self {
            method: "POST",
            uri: "https://s3.example.com/bucket".to_owned(),
            headers: vec![(
                "content-type",
                format!("multipart/form-data; boundary={BOUNDARY}"),
            )],
            expiration: "2015-12-30T12:00:00.000Z".to_owned(),
            conditions: vec![
                json!({"bucket": "bucket"}),
                json!(["starts-with", "$key", "user/"]),
                json!(["eq", "$acl", "private"]),
                json!(["starts-with", "$content-type", "image/"]),
                json!(["content-length-range", 2, 10]),
                json!({"x-amz-algorithm": "AWS4-HMAC-SHA256"}),
                json!({"x-amz-credential": credential}),
                json!({"x-amz-date": DATE}),
            ],
            fields: fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            session_token: None,
            policy: None,
            signature: None,
            file: Some(("photo.png", "content")),
            body: Box::new(|body| body),
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        let field = self.fields.iter_mut().find(|(field, _)| field == name);
        field.expect("present").1 = value.to_owned();
    }

    fn add(&mut self, name: &str, value: &str) {
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    fn remove(&mut self, name: &str) {
        self.fields.retain(|(field, _)| field != name);
    }

    /// Changes the credential in the field and in the policy.
    fn scope(&mut self, credential: &str) {
        self.set("x-amz-credential", credential);
        self.conditions[6] = json!({"x-amz-credential": credential});
    }

    fn date(&mut self, date: &str) {
        self.set("x-amz-date", date);
        self.conditions[7] = json!({"x-amz-date": date});
    }

    fn text(&self) -> String {
        let policy = self.policy.clone().unwrap_or_else(|| {
            let document = json!({"expiration": self.expiration, "conditions": self.conditions});
            base64::encode(document.to_string())
        });
        let signature = self
            .signature
            .clone()
            .unwrap_or_else(|| signature(&policy, SECRET));
        let signed = [("policy", policy), ("x-amz-signature", signature)];
        let signed = signed.map(|(name, value)| (name.to_owned(), value));
        let mut body = String::new();
        for (name, value) in self.fields.iter().chain(&signed) {
            body += &format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        if let Some((name, content)) = self.file {
            body += &format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                 Content-Type: image/png\r\n\r\n{content}\r\n"
            );
        }
        body += &format!("--{BOUNDARY}--\r\n");
        (self.body)(body)
    }
}

/// The signature of the example's day, region and service.
fn signature(policy: &str, secret: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in ["20151229", "us-east-1", "s3", "aws4_request", policy] {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("any length");
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn settings() -> VerifySettings {
    VerifySettings::new("s3", "us-east-1")
        .expect("valid")
        .with_post_policy(true)
}

/// Returns the form that the inner service reads, or the code of the rejection, or the error of the body.
async fn send_with(settings: VerifySettings, form: &Form, frames: usize) -> Result<String, String> {
    send_and_read(settings, form, frames, |body| body).await
}

async fn send_and_read(
    settings: VerifySettings,
    form: &Form,
    frames: usize,
    choose: fn(VerifiedBody<Frames>) -> VerifiedBody<Frames>,
) -> Result<String, String> {
    let keys = Credentials::new(
        ID,
        SECRET,
        form.session_token.map(str::to_owned),
        None,
        "test",
    );
    let (sender, mut received) = mpsc::unbounded_channel();
    let inner = service_fn(move |request: Request<VerifiedBody<Frames>>| {
        let sender = sender.clone();
        async move {
            let verified = request.extensions().get::<Verified>().cloned();
            let proof = verified.expect("verified");
            assert_eq!(proof.payload(), PayloadKind::Unsigned);
            assert_eq!(proof.signed_headers().count(), 0);
            assert_eq!((proof.access_key_id(), proof.service()), (ID, "s3"));
            let fields = request.extensions().get::<VerifiedForm>();
            assert!(fields.expect("a form").bucket().ends_with("bucket"));
            let read = choose(request.into_body()).collect().await;
            let text = read.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
            let result = text.map_err(|error| {
                let known = Error::find(&*error).expect("of this crate");
                format!("{:?}", known.kind())
            });
            sender.send(result).expect("open");
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let keys = StaticKeys::new([keys]).expect("valid");
    let layer = VerifyLayer::new(keys, settings.with_explain(true))
        .with_clock(Clock::manual(time("20151229T010000Z")));
    let mut request = Request::builder().method(form.method).uri(&form.uri);
    for (name, value) in &form.headers {
        request = request.header(*name, value);
    }
    let text = form.text().into_bytes();
    let chunks = text.chunks(text.len().div_ceil(frames).max(1));
    let body = Frames(chunks.map(Bytes::copy_from_slice).collect());
    let response = layer
        .layer(inner)
        .oneshot(request.body(body).expect("valid"))
        .await;
    let response = response.expect("infallible");
    if response.status() == 200 {
        return received.recv().await.expect("called");
    }
    assert!(received.try_recv().is_err(), "the inner service was called");
    let body = response.into_body().collect().await.expect("a body");
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let code = text.split("<Code>").nth(1).expect("a code");
    Err(code.split('<').next().expect("its end").to_owned())
}

/// A body of these frames, without a known length.
struct Frames(VecDeque<Bytes>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
    }
}

async fn send(form: &Form) -> Result<String, String> {
    send_with(settings(), form, 1).await
}

#[tokio::test]
async fn forms_reach_the_inner_service_unchanged_however_they_are_split() {
    let form = Form::new();
    for frames in [1, 2, 3, 7, 50, 5000] {
        let read = send_with(settings(), &form, frames).await;
        assert_eq!(read, Ok(form.text()), "{frames} frames");
    }
}

#[tokio::test]
async fn the_file_is_read_without_the_fields_however_it_is_split() {
    for content in ["content", "c\r\n--bound", "con\r\n--\r\n", "12345678\r\n"] {
        for end in ["--\r\n", "--"] {
            let mut form = Form::new();
            form.file = Some(("photo.png", content));
            if end == "--" {
                form.body = Box::new(|body| body.trim_end().to_owned());
            }
            for frames in [1, 2, 3, 7, 50, 5000] {
                let read =
                    send_and_read(settings(), &form, frames, VerifiedBody::into_form_file).await;
                assert_eq!(read.as_deref(), Ok(content), "{frames} frames, {end:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_its_policy_does_not_allow_fails_without_the_fields_too() {
    for (content, kind) in [("x", "PayloadMismatch"), ("more than ten", "BodyTooLarge")] {
        let mut form = Form::new();
        form.file = Some(("photo.png", content));
        let read = send_and_read(settings(), &form, 5000, VerifiedBody::into_form_file).await;
        assert_eq!(read, Err(kind.to_owned()), "{content}");
    }
}

#[test]
fn fields_of_a_verified_form_have_the_name_of_the_file_and_no_signature() {
    let fields = [
        ("Key", "user/${filename}"),
        ("x-amz-meta-Name", "${filename}"),
        ("X-Amz-Security-Token", "hunter2"),
        ("policy", "hunter2"),
    ];
    let form = VerifiedForm::new(
        "bucket".to_owned(),
        Fields {
            fields: fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            file_name: Some("folder/photo.png".to_owned()),
        },
    );
    assert_eq!(form.key(), "user/photo.png");
    assert_eq!(form.file_name(), Some("folder/photo.png"));
    let named = [("key", "user/photo.png"), ("x-amz-meta-name", "photo.png")];
    assert!(form.fields().eq(named), "{form:?}");
    assert!(!format!("{form:?}").contains("hunter2"));
}

/// Amazon S3 API Reference, "Example: Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)".
#[tokio::test]
async fn the_published_form_is_accepted() {
    let policy = concat!(
        "{ \"expiration\": \"2015-12-30T12:00:00.000Z\",\r\n",
        "  \"conditions\": [\r\n",
        "    {\"bucket\": \"sigv4examplebucket\"},\r\n",
        "    [\"starts-with\", \"$key\", \"user/user1/\"],\r\n",
        "    {\"acl\": \"public-read\"},\r\n",
        "    {\"success_action_redirect\": ",
        "\"http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html\"},\r\n",
        "    [\"starts-with\", \"$Content-Type\", \"image/\"],\r\n",
        "    {\"x-amz-meta-uuid\": \"14365123651274\"},\r\n",
        "    {\"x-amz-server-side-encryption\": \"AES256\"},\r\n",
        "    [\"starts-with\", \"$x-amz-meta-tag\", \"\"],\r\n",
        "\r\n",
        "    {\"x-amz-credential\": \"AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request\"},\r\n",
        "    {\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"},\r\n",
        "    {\"x-amz-date\": \"20151229T000000Z\" }\r\n",
        "  ]\r\n",
        "}",
    );
    let mut form = Form::new();
    form.uri = "http://sigv4examplebucket.s3.amazonaws.com/".to_owned();
    form.policy = Some(base64::encode(policy));
    form.signature =
        Some("8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e".to_owned());
    let credential = format!("{ID}/20151229/us-east-1/s3/aws4_request");
    form.fields = [
        ("key", "user/user1/${filename}"),
        ("acl", "public-read"),
        (
            "success_action_redirect",
            "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
        ),
        ("Content-Type", "image/jpeg"),
        ("x-amz-meta-uuid", "14365123651274"),
        ("x-amz-server-side-encryption", "AES256"),
        ("X-Amz-Credential", &*credential),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Date", DATE),
        ("x-amz-meta-tag", ""),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    assert_eq!(send(&form).await, Ok(form.text()));
}

#[tokio::test]
async fn forms_of_this_crate_are_accepted() {
    let signing = SigningSettings::new("s3", "us-east-1").expect("valid");
    let keys = Credentials::new(ID, SECRET, Some("a token".to_owned()), None, "test");
    let identity = Identity::new(keys).expect("valid");
    let params = SigningParams::new(&signing, &identity, Payload::Unsigned, time(DATE));
    let policy = PostPolicy::new("bucket", "user/${filename}", Duration::from_secs(7200))
        .and_then(|policy| policy.add_field("acl", "private"))
        .and_then(|policy| policy.with_content_length(1..=100))
        .expect("valid");
    let mut form = Form::new();
    form.session_token = Some("a token");
    form.fields = policy.sign(&params).expect("signed").fields().to_vec();
    form.signature = form.fields.pop().map(|(_, value)| value);
    form.policy = form.fields.pop().map(|(_, value)| value);
    assert_eq!(send(&form).await, Ok(form.text()));
}

#[tokio::test]
async fn variants_are_accepted() {
    type Change = fn(&mut Form);
    let rows: [(&str, Change); 16] = [
        ("a bucket with a slash", |f| f.uri.push('/')),
        ("an empty query", |f| f.uri.push('?')),
        ("a host of AWS", |f| {
            f.uri = "https://bucket.s3.us-east-1.amazonaws.com/".to_owned();
        }),
        ("a dual-stack host", |f| {
            f.uri = "https://bucket.s3.dualstack.us-east-1.amazonaws.com/".to_owned();
        }),
        ("a host of a domain", |f| {
            f.uri = "https://bucket.s3.example.org:8443/".to_owned();
        }),
        ("a quoted boundary", |f| {
            f.headers[0].1 = format!("multipart/form-data; boundary=\"{BOUNDARY}\"");
        }),
        ("a field that is ignored", |f| f.add("x-ignore-me", "any")),
        ("the name of the file", |f| f.set("key", "user/${filename}")),
        ("a file in a folder", |f| {
            f.conditions.push(json!({ "key": "user/photo.png" }));
            f.set("key", "user/${filename}");
            f.file = Some(("images/2026/photo.png", "content"));
        }),
        ("an empty prefix", |f| {
            f.add("x-amz-meta-tag", "any");
            f.conditions
                .push(json!(["starts-with", "$x-amz-meta-tag", ""]));
        }),
        ("an empty prefix without the field", |f| {
            f.conditions
                .push(json!(["starts-with", "$x-amz-meta-tag", ""]));
        }),
        ("several content types", |f| {
            f.set("Content-Type", "image/png,image/gif")
        }),
        ("a range of strings", |f| {
            f.conditions[4] = json!(["content-length-range", "7", "7"]);
        }),
        ("an empty file", |f| {
            f.conditions[4] = json!(["content-length-range", 0, 0]);
            f.file = Some(("empty", ""));
        }),
        ("an expiration in whole seconds", |f| {
            f.expiration = "2016-01-04T00:00:00Z".to_owned();
        }),
        ("a header that a proxy adds", |f| {
            f.headers.push(("x-amz-cf-id", "abc".to_owned()));
        }),
    ];
    for (name, change) in rows {
        let mut form = Form::new();
        change(&mut form);
        let settings = settings()
            .add_post_domain("S3.example.org")
            .and_then(|it| it.add_unsigned_header(http::HeaderName::from_static("x-amz-cf-id")))
            .expect("valid");
        let read = send_with(settings, &form, 3).await;
        assert_eq!(read, Ok(form.text()), "{name}");
    }
}

#[tokio::test]
async fn forms_are_rejected_unless_they_are_accepted() {
    let settings = VerifySettings::new("s3", "us-east-1").expect("valid");
    let read = send_with(settings, &Form::new(), 1).await;
    assert_eq!(read, Err("AccessDenied".to_owned()));
}

#[tokio::test]
async fn headers_that_must_be_signed_are_rejected() {
    let settings = || settings().with_required_headers([HOST, CONTENT_TYPE, RANGE]);
    let mut form = Form::new();
    assert_eq!(send_with(settings(), &form, 1).await, Ok(form.text()));
    form.headers.push(("range", "bytes=0-1".to_owned()));
    let read = send_with(settings(), &form, 1).await;
    assert_eq!(read, Err(DENIED.to_owned()));
}

const DENIED: &str = "AccessDenied";
const MALFORMED: &str = "MalformedPOSTRequest";
const SCOPE: &str = "AuthorizationQueryParametersError";
const MISMATCH: &str = "SignatureDoesNotMatch";
const TARGET: &str = "InvalidURI";
/// The fields are valid, and the body fails at its end.
const FAILED: &str = "PayloadMismatch";

const TOO_LARGE: &str = "BodyTooLarge";

type Attack = (&'static str, &'static str, fn(&mut Form));

/// Replaces a part of the body.
fn replace(form: &mut Form, from: &'static str, to: &'static str) {
    form.body = Box::new(move |body| {
        assert!(body.contains(from), "{from:?} in {body}");
        body.replacen(from, to, 1)
    });
}

const SIGNATURE: &[Attack] = &[
    ("no signature", MALFORMED, |f| {
        replace(f, "x-amz-signature", "x-ignore-it")
    }),
    ("no policy", MALFORMED, |f| {
        replace(f, "\"policy\"", "\"x-ignore-policy\"")
    }),
    ("no credential", MALFORMED, |f| f.remove("x-amz-credential")),
    ("no date", MALFORMED, |f| f.remove("x-amz-date")),
    ("no algorithm", MALFORMED, |f| f.remove("x-amz-algorithm")),
    ("no key", MALFORMED, |f| f.remove("key")),
    ("another algorithm", "InvalidArgument", |f| {
        f.set("x-amz-algorithm", "AWS4-HMAC-SHA1")
    }),
    ("version 2", "InvalidArgument", |f| {
        f.add("AWSAccessKeyId", ID)
    }),
    ("an empty signature", MISMATCH, |f| {
        f.signature = Some(String::new())
    }),
    ("half a signature", MISMATCH, |f| {
        f.signature = Some("8afdbf40".to_owned())
    }),
    ("a signature in upper case", MISMATCH, |f| {
        let policy = json!({"expiration": f.expiration, "conditions": f.conditions});
        let text = base64::encode(policy.to_string());
        f.signature = Some(signature(&text, SECRET).to_uppercase());
        f.policy = Some(text);
    }),
    ("another secret", MISMATCH, |f| {
        let policy = json!({"expiration": f.expiration, "conditions": f.conditions});
        let text = base64::encode(policy.to_string());
        f.signature = Some(signature(&text, "guess"));
        f.policy = Some(text);
    }),
    ("a changed policy", MISMATCH, |f| {
        f.signature = Some(signature("e30=", SECRET));
    }),
    ("an unknown key", "InvalidAccessKeyId", |f| {
        f.scope("AKIDOTHER/20151229/us-east-1/s3/aws4_request");
    }),
    ("another region", SCOPE, |f| {
        f.scope(&format!("{ID}/20151229/eu-west-1/s3/aws4_request"));
    }),
    ("another service", SCOPE, |f| {
        f.scope(&format!("{ID}/20151229/us-east-1/sqs/aws4_request"));
    }),
    ("another terminator", SCOPE, |f| {
        f.scope(&format!("{ID}/20151229/us-east-1/s3/aws5_request"));
    }),
    ("another day in the scope", SCOPE, |f| {
        f.scope(&format!("{ID}/20151228/us-east-1/s3/aws4_request"));
    }),
    ("a short credential", MALFORMED, |f| f.scope(ID)),
    ("no key ID", MALFORMED, |f| {
        f.scope("/20151229/us-east-1/s3/aws4_request")
    }),
    ("a key ID with a line break", MALFORMED, |f| {
        f.scope("AKID\r\nOTHER/20151229/us-east-1/s3/aws4_request");
    }),
    ("a malformed date", SCOPE, |f| f.date("yesterday")),
    ("a date in the future", DENIED, |f| {
        f.date("20151229T020000Z")
    }),
    ("a token that the key does not have", "InvalidToken", |f| {
        f.add("x-amz-security-token", "token");
        f.conditions.push(json!({"x-amz-security-token": "token"}));
    }),
    ("a long token", "InvalidToken", |f| {
        f.add("x-amz-security-token", &"a".repeat(9000))
    }),
    ("no token of a temporary key", "InvalidToken", |f| {
        f.session_token = Some("token")
    }),
    ("a header too", "InvalidArgument", |f| {
        let value = "AWS4-HMAC-SHA256 Credential=a".to_owned();
        f.headers.push(("authorization", value.clone()));
        f.headers.push(("authorization", value));
    }),
];

const POLICY: &[Attack] = &[
    ("an expired policy", DENIED, |f| {
        f.expiration = "2015-12-29T01:00:00Z".to_owned()
    }),
    ("no expiration", MALFORMED, |f| f.expiration = String::new()),
    ("a malformed expiration", MALFORMED, |f| {
        f.expiration = "tomorrow".to_owned()
    }),
    ("no conditions", DENIED, |f| f.conditions.clear()),
    ("no JSON", MALFORMED, |f| {
        f.policy = Some(base64::encode("policy"))
    }),
    ("no base64", MALFORMED, |f| f.policy = Some("{}".to_owned())),
    ("conditions in an object", MALFORMED, |f| {
        let policy = json!({"expiration": f.expiration, "conditions": {"key": "user/photo.png"}});
        f.policy = Some(base64::encode(policy.to_string()));
    }),
    ("an unknown operator", MALFORMED, |f| {
        f.conditions.push(json!(["ends-with", "$key", ".png"]));
    }),
    ("a field without a dollar", MALFORMED, |f| {
        f.conditions.push(json!(["eq", "acl", "private"]));
    }),
    ("two fields in a condition", MALFORMED, |f| {
        f.conditions
            .push(json!({"acl": "private", "key": "user/photo.png"}));
    }),
    ("a number as the value", MALFORMED, |f| {
        f.conditions.push(json!({"acl": 1}))
    }),
    ("a negative size", MALFORMED, |f| {
        f.conditions[4] = json!(["content-length-range", -1, 10]);
    }),
    ("another bucket", DENIED, |f| {
        f.conditions[0] = json!({"bucket": "other"})
    }),
    ("no bucket", DENIED, |f| drop(f.conditions.remove(0))),
    ("another key", DENIED, |f| f.set("key", "admin/photo.png")),
    ("no condition on the key", DENIED, |f| {
        drop(f.conditions.remove(1))
    }),
    ("another value", DENIED, |f| f.set("acl", "public-read")),
    ("a value in another case", DENIED, |f| {
        f.set("acl", "Private")
    }),
    ("a field that is missing", DENIED, |f| f.remove("acl")),
    ("another content type", DENIED, |f| {
        f.set("Content-Type", "text/html")
    }),
    ("another content type in a list", DENIED, |f| {
        f.set("Content-Type", "image/png,text/html");
    }),
    ("a field without a condition", DENIED, |f| {
        f.add("x-amz-meta-a", "b")
    }),
    ("a redirect without a condition", DENIED, |f| {
        f.add("success_action_redirect", "https://example.com");
    }),
    ("a token without a condition", DENIED, |f| {
        f.session_token = Some("token");
        f.add("x-amz-security-token", "token");
    }),
    ("the name of the file leaves the prefix", DENIED, |f| {
        f.set("key", "${filename}");
        f.file = Some(("admin/photo.png", "content"));
    }),
    ("a file that is too large", TOO_LARGE, |f| {
        f.file = Some(("a", "12345678901"))
    }),
    ("a file that is too small", FAILED, |f| {
        f.file = Some(("a", "1"))
    }),
    ("the strictest of two sizes", TOO_LARGE, |f| {
        f.conditions.push(json!(["content-length-range", 0, 3]));
    }),
];

const REQUEST: &[Attack] = &[
    ("another bucket in a field", DENIED, |f| {
        f.add("bucket", "other")
    }),
    ("a bucket that looks like a host", DENIED, |f| {
        f.uri = "https://bucket.s3.us-east-1.b.s3.us-east-1.amazonaws.com/".to_owned();
    }),
    ("a query", TARGET, |f| f.uri.push_str("?delete")),
    ("a key in the path", TARGET, |f| {
        f.uri.push_str("/user/photo.png")
    }),
    ("two slashes", TARGET, |f| f.uri.push_str("//")),
    ("an escaped bucket", TARGET, |f| {
        f.uri = "https://s3.example.com/b%75cket".to_owned()
    }),
    ("a parent", TARGET, |f| {
        f.uri = "https://s3.example.com/..".to_owned()
    }),
    ("no bucket in the request", TARGET, |f| {
        f.uri = "https://s3.example.com/".to_owned()
    }),
    ("the bucket of an unknown domain", TARGET, |f| {
        f.uri = "https://bucket.s3.example.com/".to_owned();
    }),
    ("another bucket's host", DENIED, |f| {
        f.uri = "https://bucket.other.s3.us-east-1.amazonaws.com/".to_owned();
    }),
    ("a bucket in the host and in the path", TARGET, |f| {
        f.uri = "https://bucket.s3.us-east-1.amazonaws.com/bucket".to_owned();
    }),
    ("another host than that of the URI", TARGET, |f| {
        f.headers.push(("host", "other.example.com".to_owned()));
    }),
    ("an x-amz header", DENIED, |f| {
        f.headers.push(("x-amz-acl", "public-read".to_owned()));
    }),
    ("an x-amz header for CGI", DENIED, |f| {
        f.headers
            .push(("x_amz_copy-source", "/other/key".to_owned()));
    }),
    ("a header that is read as content-length", DENIED, |f| {
        f.headers.push(("content_length", "1".to_owned()));
    }),
    ("a content-encoding", MALFORMED, |f| {
        f.headers.push(("content-encoding", "gzip".to_owned()));
    }),
    ("another method", DENIED, |f| f.method = "PUT"),
    ("two content types", MALFORMED, |f| {
        f.headers
            .push(("content-type", "multipart/form-data; boundary=x".to_owned()));
    }),
    ("no boundary", MALFORMED, |f| {
        f.headers[0].1 = "multipart/form-data".to_owned()
    }),
    ("two boundaries", MALFORMED, |f| {
        f.headers[0].1 = format!("multipart/form-data; boundary={BOUNDARY}; boundary=x");
    }),
    ("an empty boundary", MALFORMED, |f| {
        f.headers[0].1 = "multipart/form-data; boundary=\"\"".to_owned();
    }),
    ("another boundary", MALFORMED, |f| {
        f.headers[0].1 = "multipart/form-data; boundary=boundary-2".to_owned();
    }),
    ("another type", DENIED, |f| {
        f.headers[0].1 = "application/x-www-form-urlencoded".to_owned();
    }),
];

const MULTIPART: &[Attack] = &[
    ("a preamble", MALFORMED, |f| {
        f.body = Box::new(|body| format!("preamble\r\n{body}"))
    }),
    ("an empty line first", MALFORMED, |f| {
        f.body = Box::new(|body| format!("\r\n{body}"))
    }),
    ("line feeds", MALFORMED, |f| {
        f.body = Box::new(|body| body.replace("\r\n", "\n"))
    }),
    ("no body", MALFORMED, |f| {
        f.body = Box::new(|_| String::new())
    }),
    ("no file", MALFORMED, |f| f.file = None),
    ("half a form", MALFORMED, |f| {
        f.body = Box::new(|body| body[..200].to_owned())
    }),
    ("a field twice", MALFORMED, |f| {
        f.add("key", "user/photo.png")
    }),
    ("a field twice in another case", MALFORMED, |f| {
        f.add("Key", "admin/x")
    }),
    ("a field with a file name", MALFORMED, |f| {
        replace(f, "name=\"key\"", "name=\"key\"; filename=\"x\"");
    }),
    ("two names", MALFORMED, |f| {
        replace(f, "name=\"key\"", "name=\"key\"; name=\"acl\"");
    }),
    ("an extended file name", MALFORMED, |f| {
        replace(f, "filename=\"photo.png\"", "filename*=utf-8''photo.png");
    }),
    ("a backslash in a name", MALFORMED, |f| {
        replace(
            f,
            "filename=\"photo.png\"",
            "filename=\"a\\\"; name=\"key\"",
        );
    }),
    ("a name without quotes", MALFORMED, |f| {
        replace(f, "name=\"key\"", "name=key")
    }),
    ("an empty name", MALFORMED, |f| {
        replace(f, "name=\"key\"", "name=\"\"")
    }),
    ("no disposition", MALFORMED, |f| {
        replace(f, "Content-Disposition", "Content-Type")
    }),
    ("another disposition", MALFORMED, |f| {
        replace(f, "form-data; name", "attachment; name")
    }),
    ("another header", MALFORMED, |f| {
        replace(
            f,
            "Content-Disposition",
            "Content-Transfer-Encoding: base64\r\nContent-Disposition",
        );
    }),
    ("a folded header", MALFORMED, |f| {
        replace(f, "form-data; name", "form-data;\r\n name")
    }),
    ("a boundary with more in its line", MALFORMED, |f| {
        replace(f, "boundary-1\r\n", "boundary-1 \r\n");
    }),
    ("a boundary in a field", MALFORMED, |f| {
        replace(f, "user/photo.png", "user/photo.png\n--boundary-1");
    }),
    ("a boundary at the start of a field", MALFORMED, |f| {
        replace(f, "user/photo.png", "--boundary-1");
    }),
    ("more than 20 KiB of fields", MALFORMED, |f| {
        f.add("x-ignore-a", &"a".repeat(20 * 1024));
    }),
    ("a field after the file", FAILED, |f| {
        f.body = Box::new(|body| {
            let end = "--boundary-1--\r\n";
            let field =
                "--boundary-1\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nadmin/x\r\n";
            body.replace(end, &format!("{field}{end}"))
        });
    }),
    ("a second file", FAILED, |f| {
        f.body = Box::new(|body| {
            let end = "--boundary-1--\r\n";
            let file = "--boundary-1\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n";
            body.replace(end, &format!("{file}{end}"))
        });
    }),
    ("an epilogue", FAILED, |f| {
        f.body = Box::new(|body| body + "epilogue")
    }),
    ("a boundary in the file", FAILED, |f| {
        f.file = Some(("a", "a\n--boundary-1\r\n"))
    }),
];

#[tokio::test]
async fn forms_that_differ_from_their_policy_are_rejected() {
    for attacks in [SIGNATURE, POLICY, REQUEST, MULTIPART] {
        for (name, code, change) in attacks {
            let mut form = Form::new();
            change(&mut form);
            // The end of the form arrives with its fields, or the inner service reads it.
            let whole = match *code {
                FAILED => MALFORMED,
                TOO_LARGE => "EntityTooLarge",
                other => other,
            };
            for (frames, expected) in [(1, whole), (5000, *code)] {
                let read = send_with(settings(), &form, frames).await;
                assert_eq!(read, Err(expected.to_owned()), "{name}, {frames} frames");
            }
        }
    }
    let count: usize = [SIGNATURE, POLICY, REQUEST, MULTIPART]
        .map(<[_]>::len)
        .iter()
        .sum();
    assert!(count >= 90, "{count}");
}

#[tokio::test]
async fn form_without_a_signature_is_not_anonymous() {
    let keys = StaticKeys::new([]).expect("valid");
    let layer = VerifyLayer::new(keys, settings()).with_anonymous(true);
    let inner = service_fn(|_: Request<VerifiedBody<Full<Bytes>>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--b--\r\n";
    let request = Request::post("https://s3.example.com/bucket")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(Full::from(form));
    let response = layer.layer(inner).oneshot(request.expect("valid")).await;
    assert_eq!(response.expect("infallible").status(), 400);
}

#[tokio::test]
async fn form_that_ends_early_fails_for_the_inner_service() {
    let mut form = Form::new();
    form.body = Box::new(|body| body.replace("\r\n--boundary-1--\r\n", ""));
    for frames in [1, 5000] {
        let read = send_with(settings(), &form, frames).await;
        assert_eq!(read, Err(FAILED.to_owned()), "{frames} frames");
    }
}
