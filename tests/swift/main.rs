//! Signatures of this crate, verified by OpenStack Swift, which implements S3 and verifies chunk signatures too.
//! `scripts/interop` starts it and runs these tests.

use std::{convert::Infallible, env, fmt::Debug, sync::Mutex, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use percent_encoding::percent_decode_str;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    BoxError, SigningLayer, SigningSettings, VerifyLayer,
    body::{SignedBody, VerifiedBody},
    credentials::Credentials,
    origin::{PayloadMode, Spool, UriOrigin},
    sigv4::{Checksum, ChunkSize, Identity, Payload, PayloadHash, Signer, SigningParams},
    verify::{RejectionKind as Kind, StaticKeys, VerifySettings},
};

/// Object keys and their forms in a URI.
const KEYS: [(&str, &str); 5] = [
    ("a b+c/é~//x", "a%20b+c/%C3%A9~//x"),
    ("p/50%.bin", "p/50%25.bin"),
    ("..", ".."),
    ("()!*'", "()!*'"),
    ("a&b=c?d#e", "a&b=c%3Fd%23e"),
];
const CHECKSUMS: [Checksum; 5] = [
    Checksum::Crc32,
    Checksum::Crc32C,
    Checksum::Crc64Nvme,
    Checksum::Sha1,
    Checksum::Sha256,
];
const CHUNK: usize = 8 * 1024;
const SECRET: &str = "testing";

fn chunk() -> ChunkSize {
    ChunkSize::new(CHUNK).expect("allowed")
}

/// Payload modes, each with a bucket name.
fn modes() -> Vec<(String, PayloadMode)> {
    let mut modes = vec![
        ("buffer".to_owned(), PayloadMode::Buffer),
        ("unsigned".to_owned(), PayloadMode::Unsigned),
        ("trust".to_owned(), PayloadMode::Trust),
        ("chunked".to_owned(), PayloadMode::Chunked(chunk())),
        ("spool".to_owned(), PayloadMode::Spool),
    ];
    for checksum in CHECKSUMS {
        let name = checksum.header_name().rsplit('-').next().expect("a name");
        modes.push((
            format!("chunked-trailer-{name}"),
            PayloadMode::ChunkedTrailer(chunk(), checksum),
        ));
        modes.push((
            format!("unsigned-trailer-{name}"),
            PayloadMode::UnsignedTrailer(checksum),
        ));
    }
    modes
}

fn credentials(secret: &str) -> Credentials {
    Credentials::new("test:tester", secret, None, None, "test")
}

fn settings() -> SigningSettings {
    SigningSettings::new("s3", "us-east-1").expect("a scope")
}

fn direct() -> UriOrigin {
    let url = env::var("SWIFT_URL").expect("SWIFT_URL is not set: run scripts/interop");
    let host = url
        .parse::<Uri>()
        .expect("a URL")
        .host()
        .expect("a host")
        .to_owned();
    UriOrigin::new(settings())
        .with_hosts([host])
        .expect("a host")
}

fn target(mode: PayloadMode) -> UriOrigin {
    let target = direct().with_payload(mode);
    match mode {
        PayloadMode::Spool => target
            .with_spool(Spool::new(env::temp_dir()).expect("a directory"))
            .with_body_limit(CHUNK as u64),
        _ => target,
    }
}

fn bytes(len: usize) -> Bytes {
    (0..len).map(|at| (at % 251) as u8).collect()
}

type HttpClient = Client<HttpConnector, BoxBody<Bytes, BoxError>>;

/// A client of one bucket.
#[derive(Clone)]
struct Bucket {
    http: HttpClient,
    url: String,
    layer: SigningLayer,
}

impl Bucket {
    /// Creates a bucket.
    async fn create(name: &str) -> Self {
        let swift = env::var("SWIFT_URL").expect("SWIFT_URL is not set: run scripts/interop");
        let bucket = Self {
            http: Client::builder(TokioExecutor::new()).build_http(),
            url: format!("{swift}/{name}"),
            layer: SigningLayer::new(credentials(SECRET), direct()),
        };
        let created = bucket.send(Method::PUT, "", "").await;
        assert_eq!(created.0, StatusCode::OK, "{name}: {created:?}");
        bucket
    }

    fn with(&self, secret: &str, target: UriOrigin) -> Self {
        Self {
            layer: SigningLayer::new(credentials(secret), target),
            ..self.clone()
        }
    }

    fn in_mode(&self, mode: PayloadMode) -> Self {
        self.with(SECRET, target(mode))
    }

    fn request(
        &self,
        method: Method,
        target: &str,
        body: impl Into<Bytes>,
    ) -> Request<Full<Bytes>> {
        let body = body.into();
        Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.url))
            .header("x-amz-content-sha256", PayloadHash::of(&body).to_string()) // to be trusted
            .body(Full::new(body))
            .expect("a request")
    }

    /// Signs and sends a request; `target` follows the name of the bucket.
    async fn send(
        &self,
        method: Method,
        target: &str,
        body: impl Into<Bytes>,
    ) -> (StatusCode, Bytes) {
        let send = service_fn(|request: Request<SignedBody<Full<Bytes>>>| {
            self.http
                .request(request.map(|body| body.map_err(Into::into).boxed()))
        });
        let request = self.request(method, target, body);
        read_response(
            self.layer
                .layer(send)
                .oneshot(request)
                .await
                .expect("a response"),
        )
        .await
    }

    /// Returns the signed request without sending it.
    async fn signed(&self, method: Method, target: &str, body: Bytes) -> (Parts, Vec<u8>) {
        let request = self.request(method, target, body);
        let kept = Mutex::new(None);
        let keep = service_fn(|request: Request<SignedBody<Full<Bytes>>>| {
            *kept.lock().expect("not poisoned") = Some(request);
            std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
        });
        self.layer
            .layer(keep)
            .oneshot(request)
            .await
            .expect("signed");
        let kept = kept.into_inner().expect("not poisoned");
        let (head, body) = kept.expect("sent").into_parts();
        (
            head,
            body.collect().await.expect("a body").to_bytes().into(),
        )
    }

    /// Sends a request as it is.
    async fn send_unchanged(&self, head: Parts, body: impl Into<Bytes>) -> (StatusCode, Bytes) {
        let body = Full::new(body.into())
            .map_err(|never| match never {})
            .boxed();
        read_response(
            self.http
                .request(Request::from_parts(head, body))
                .await
                .expect("a response"),
        )
        .await
    }

    /// Returns the contents of an element of a listing.
    async fn list(&self, target: &str, element: &str) -> Vec<String> {
        let (status, list) = self.send(Method::GET, target, "").await;
        assert_eq!(status, StatusCode::OK, "{list:?}");
        element_contents(&list, element)
    }

    async fn keys(&self) -> Vec<String> {
        self.list("?list-type=2&encoding-type=url", "Key").await
    }
}

async fn read_response<B: Body<Error: Debug>>(response: Response<B>) -> (StatusCode, Bytes) {
    let (head, body) = response.into_parts();
    (
        head.status,
        body.collect().await.expect("a body").to_bytes(),
    )
}

/// Returns the decoded contents of all elements with this name.
fn element_contents(xml: &[u8], name: &str) -> Vec<String> {
    let xml = str::from_utf8(xml).expect("UTF-8");
    let element = format!("<{name}>");
    let element_contents = xml.split(&element).skip(1).map(|rest| {
        let text = rest.split('<').next().expect("one at least");
        percent_decode_str(text)
            .decode_utf8()
            .expect("UTF-8")
            .into_owned()
    });
    element_contents.collect()
}

#[tokio::test]
#[ignore = "needs Swift: run scripts/interop"]
async fn objects_are_stored_unchanged_in_every_mode_under_every_key() {
    for (name, mode) in modes() {
        let bucket = Bucket::create(&name).await.in_mode(mode);
        for (key, target) in KEYS {
            let target = format!("/{target}");
            for len in [0, CHUNK, 200_000] {
                let put = bucket.send(Method::PUT, &target, bytes(len)).await;
                assert_eq!(put.0, StatusCode::OK, "{name} {key} {len}: {put:?}");
                let got = bucket.send(Method::GET, &target, "").await;
                assert!(got == (StatusCode::OK, bytes(len)), "{name} {key} {len}");
            }
        }
        let mut expected = KEYS.map(|(key, _)| key);
        expected.sort_unstable();
        assert_eq!(bucket.keys().await, expected, "{name}");
        for (key, target) in KEYS {
            let deleted = bucket
                .send(Method::DELETE, &format!("/{target}"), "")
                .await
                .0;
            assert_eq!(deleted, StatusCode::NO_CONTENT, "{name} {key}");
        }
        assert!(bucket.keys().await.is_empty(), "{name}");
    }
}

#[tokio::test]
#[ignore = "needs Swift: run scripts/interop"]
async fn multipart_uploads_become_one_object_or_none() {
    let bucket = Bucket::create("parts").await;
    let object = "/a%20b%2Bc";
    for (name, mode) in modes() {
        let parts = bucket.in_mode(mode);
        let create = async || {
            let (status, created) = bucket
                .send(Method::POST, &format!("{object}?uploads"), "")
                .await;
            assert_eq!(status, StatusCode::OK, "{name}: {created:?}");
            format!(
                "{object}?uploadId={}",
                element_contents(&created, "UploadId").remove(0)
            )
        };
        let upload = create().await;
        let bodies = [bytes(2 * CHUNK + 5), bytes(1)];
        for (number, body) in (1..).zip(&bodies) {
            let target = format!("{upload}&partNumber={number}");
            let (status, said) = parts.send(Method::PUT, &target, body.clone()).await;
            assert_eq!(status, StatusCode::OK, "{name}: {said:?}");
        }
        let mut xml = String::new();
        for (number, tag) in (1..).zip(bucket.list(&upload, "ETag").await) {
            xml += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
        }
        let xml = format!("<CompleteMultipartUpload>{xml}</CompleteMultipartUpload>");
        let (status, said) = bucket.send(Method::POST, &upload, xml).await;
        assert_eq!(status, StatusCode::OK, "{name}: {said:?}");
        let got = bucket.send(Method::GET, object, "").await;
        assert!(got == (StatusCode::OK, bodies.concat().into()), "{name}");
        assert_eq!(bucket.keys().await, ["a b+c"], "{name}");
        assert_eq!(
            bucket.send(Method::DELETE, object, "").await.0,
            StatusCode::NO_CONTENT
        );

        let upload = create().await;
        let part = parts
            .send(Method::PUT, &format!("{upload}&partNumber=1"), bytes(10))
            .await;
        assert_eq!(part.0, StatusCode::OK, "{name}: {part:?}");
        assert_eq!(bucket.list("?uploads", "Key").await, ["a b+c"], "{name}");
        assert_eq!(
            bucket.send(Method::DELETE, &upload, "").await.0,
            StatusCode::NO_CONTENT
        );
        assert!(bucket.list("?uploads", "Key").await.is_empty(), "{name}");
        assert!(bucket.keys().await.is_empty(), "{name}");
    }
}

#[tokio::test]
#[ignore = "needs Swift: run scripts/interop"]
async fn presigned_urls_are_accepted_until_changed() {
    let bucket = Bucket::create("presigned").await;
    let (signer, settings) = (Signer::new(), settings());
    let identity = Identity::new(credentials(SECRET)).expect("valid");
    let hour = Duration::from_secs(3600);
    let presigned = |method: Method, target: &str| {
        // A browser has the URL only.
        let head = Request::builder()
            .method(method)
            .uri(format!("{}/{target}", bucket.url));
        let (mut head, ()) = head.body(()).expect("a request").into_parts();
        let now = std::time::SystemTime::now();
        let params = SigningParams::new(&settings, &identity, Payload::Unsigned, now);
        signer.presign(&mut head, &params, hour).expect("presigned");
        head.headers.clear();
        head
    };
    let modes = [PayloadMode::Unsigned, PayloadMode::Buffer].map(|mode| {
        let target = direct().with_payload(mode);
        bucket.with(SECRET, target.with_query_signature(hour).expect("a time"))
    });
    for (layer, (key, target)) in modes.iter().flat_map(|layer| KEYS.map(|key| (layer, key))) {
        let put = bucket
            .send_unchanged(presigned(Method::PUT, target), key)
            .await;
        assert_eq!(put.0, StatusCode::OK, "{key}: {put:?}");
        let got = layer.send(Method::GET, &format!("/{target}"), "").await;
        assert_eq!(got, (StatusCode::OK, key.into()), "{key}");

        let put = layer
            .send(Method::PUT, &format!("/{target}?x=a%2Bb"), bytes(100_000))
            .await;
        assert_eq!(put.0, StatusCode::OK, "{key}: {put:?}");
        let got = bucket
            .send_unchanged(presigned(Method::GET, target), "")
            .await;
        assert!(got == (StatusCode::OK, bytes(100_000)), "{key}");

        let head = presigned(Method::DELETE, target);
        let uri = head.uri.to_string();
        let (other, _) = uri.split_at(uri.len() - 1);
        let other = format!("{other}{}", if uri.ends_with('0') { '1' } else { '0' });
        for uri in [uri.replace("Expires=3600", "Expires=3601"), other] {
            let mut head = head.clone();
            head.uri = Uri::try_from(uri).expect("a URI");
            assert_refused(
                bucket.send_unchanged(head, "").await,
                "SignatureDoesNotMatch",
                key,
            );
        }
        let deleted = bucket.send_unchanged(head, "").await;
        assert_eq!(deleted.0, StatusCode::NO_CONTENT, "{key}: {deleted:?}");
    }
    assert!(bucket.keys().await.is_empty());
}

fn assert_refused((status, said): (StatusCode, Bytes), code: &str, name: &str) {
    assert!(status.is_client_error(), "{name}: {status}");
    assert_eq!(element_contents(&said, "Code"), [code], "{name}: {said:?}");
}

#[tokio::test]
#[ignore = "needs Swift: run scripts/interop"]
async fn requests_signed_with_another_secret_are_rejected() {
    let bucket = Bucket::create("secret").await;
    for (name, mode) in modes() {
        let other = bucket.with("other", target(mode));
        for method in [Method::PUT, Method::GET, Method::DELETE] {
            let body = bytes(if method == Method::PUT { 3 * CHUNK } else { 0 });
            assert_refused(
                other.send(method, "/key", body).await,
                "SignatureDoesNotMatch",
                &name,
            );
        }
    }
    assert!(bucket.keys().await.is_empty());
}

/// Verifies a request with `VerifyLayer`.
async fn verified(head: Parts, body: Vec<u8>) -> Result<(), Kind> {
    let keys = StaticKeys::new([credentials(SECRET)]).expect("valid");
    let settings = VerifySettings::new("s3", "us-east-1").expect("a scope");
    let settings = settings.with_unsigned_payload(true);
    let taken = service_fn(async |_: Request<VerifiedBody<Full<Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let request = Request::from_parts(head, Full::from(body));
    let Ok(response) = VerifyLayer::new(keys, settings)
        .layer(taken)
        .oneshot(request)
        .await;
    response.extensions().get().copied().map_or(Ok(()), Err)
}

#[tokio::test]
#[ignore = "needs Swift: run scripts/interop"]
async fn bodies_changed_in_transit_are_rejected_by_swift_and_the_verifier() {
    const FINAL: &str = "\r\n0;chunk-signature=";
    const SUM: &str = "x-amz-checksum-crc32c:";
    const SIGNATURE: &str = "x-amz-trailer-signature:";
    /// Changes a byte of a body, which may be a hex digit.
    type Change = fn(&mut Vec<u8>, usize);
    let flip: Change = |body, at| body[at] ^= 1;
    let digit: Change = |body, at| body[at] = if body[at] == b'0' { b'1' } else { b'0' };
    let cut: Change = |body, at| body.truncate(at);
    let end: Change = |body, at| drop(body.splice(at.., *b"\r\n"));

    let buffer = PayloadMode::Buffer;
    let chunked = PayloadMode::Chunked(chunk());
    let trailer = PayloadMode::ChunkedTrailer(chunk(), Checksum::Crc32C);
    let unsigned = PayloadMode::UnsignedTrailer(Checksum::Crc32C);
    let hash = ("XAmzContentSHA256Mismatch", Kind::PayloadMismatch);
    let signature = ("SignatureDoesNotMatch", Kind::PayloadMismatch);
    let checksum = ("BadDigest", Kind::PayloadMismatch);
    let incomplete = ("IncompleteBody", Kind::BodyRead);
    let no_trailer = ("MalformedTrailerError", Kind::BodyRead);
    // Name, change, and its offset after the end of a string.
    let rows = [
        ("a buffered body", buffer, flip, "", 100, hash),
        ("the first chunk", chunked, flip, "\r\n", 100, signature),
        (
            "the last chunk of data",
            chunked,
            flip,
            "\r\n5;chunk-signature=",
            64 + 2,
            signature,
        ),
        (
            "the signature of a chunk",
            chunked,
            digit,
            "2000;chunk-signature=",
            0,
            signature,
        ),
        (
            "the signature of the final chunk",
            chunked,
            digit,
            FINAL,
            0,
            signature,
        ),
        (
            "a final chunk that is cut off",
            chunked,
            cut,
            FINAL,
            0,
            incomplete,
        ),
        (
            "the chunk before a trailer",
            trailer,
            flip,
            "\r\n",
            100,
            signature,
        ),
        (
            "the final chunk before a trailer",
            trailer,
            digit,
            FINAL,
            0,
            signature,
        ),
        ("a checksum", trailer, digit, SUM, 0, signature),
        (
            "the signature of a trailer",
            trailer,
            digit,
            SIGNATURE,
            0,
            signature,
        ),
        (
            "a trailer that is cut off",
            trailer,
            end,
            "\r\n0;",
            16 + 64,
            incomplete,
        ),
        (
            "the chunk before an unsigned trailer",
            unsigned,
            flip,
            "\r\n",
            100,
            checksum,
        ),
        (
            "a checksum that is not signed",
            unsigned,
            digit,
            SUM,
            0,
            checksum,
        ),
        (
            "an unsigned trailer that is cut off",
            unsigned,
            end,
            "\r\n0\r\n",
            0,
            no_trailer,
        ),
    ];
    let bucket = Bucket::create("changed").await;
    for (name, mode, change, text, behind, (code, kind)) in rows {
        let body = bytes(2 * CHUNK + 5);
        let (mut head, mut body) = bucket.in_mode(mode).signed(Method::PUT, "/k", body).await;
        let sent = bucket.send_unchanged(head.clone(), body.clone()).await;
        assert_eq!(sent.0, StatusCode::OK, "{name}: {sent:?}");
        assert_eq!(verified(head.clone(), body.clone()).await, Ok(()), "{name}");
        assert_eq!(
            bucket.send(Method::DELETE, "/k", "").await.0,
            StatusCode::NO_CONTENT
        );

        let found = (0..body.len()).find(|&at| body[at..].starts_with(text.as_bytes()));
        change(&mut body, found.expect(name) + text.len() + behind);
        head.headers.insert("content-length", body.len().into()); // unsigned
        assert_eq!(
            verified(head.clone(), body.clone()).await,
            Err(kind),
            "{name}"
        );
        assert_refused(bucket.send_unchanged(head, body).await, code, name);
        assert!(bucket.keys().await.is_empty(), "{name}");
    }
}
