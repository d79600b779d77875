mod accepted;
mod attacks;
mod rejected;

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
