//! Signatures of this crate, verified by OpenStack Swift, which implements S3 and verifies chunk signatures too.
//! `scripts/interop` starts it and runs these tests.

mod bucket;
mod changed_bodies;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use tower_sigv4::{
    origin::PayloadMode,
    sigv4::{Checksum, ChunkSize, Identity, Payload, Signer, SigningParams},
};

use bucket::{Bucket, CHUNK, SECRET, credentials, direct, element_contents, settings, target};

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

fn bytes(len: usize) -> Bytes {
    (0..len).map(|at| (at % 251) as u8).collect()
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
