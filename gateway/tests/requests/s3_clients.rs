//! One configuration of the gateway before S3 serves every client: what each sends, and what the origin receives.

use std::time::{Duration, SystemTime};

use tower_sigv4::sigv4::PayloadHash;

use crate::support::{
    Gateway, exchange,
    s3::{Key, Received, S3Origin, SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED, UNSIGNED_TRAILER},
};

const HOST: &str = "gw.example.com";
const DATA: &str = "hello world";
const CRC32: &str = "DUoRhQ==";
const OTHER_CRC32: &str = "AAAAAA==";

fn client_key() -> Key {
    Key::new("AKIDCLIENT", "placeholder", "s3", "us-east-1")
}

fn origin_key() -> Key {
    Key::new("AKIDGATEWAY", "the real secret", "s3", "eu-west-1")
}

/// Returns a configuration that names only the server, its scope and the keys.
fn config(origin: &S3Origin, verify: bool) -> String {
    let address = origin.address;
    let mut config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [credentials]\nsource = \"static\"\naccess_key_id = \"AKIDGATEWAY\"\n\
         secret_access_key = \"the real secret\"\n\
         [[origin]]\nname = \"s3\"\nurl = \"http://{address}\"\nservice = \"s3\"\n\
         region = \"eu-west-1\"\n\
         [[route]]\npath = \"/\"\norigin = \"s3\"\n"
    );
    if verify {
        config += "[verify]\nservice = \"s3\"\nregion = \"us-east-1\"\n\
            [[verify.key]]\naccess_key_id = \"AKIDCLIENT\"\nsecret_access_key = \"placeholder\"\n";
    }
    config
}

/// A request of a client, as text.
fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = if method == "PUT" {
        format!("content-length: {}\r\n", body.len())
    } else {
        String::new()
    };
    format!(
        "{method} {target} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n{lines}{length}\r\n{body}"
    )
}

/// Signs an upload in its headers. `body` gets the signature of the head.
fn upload(
    payload: &str,
    headers: &[(&str, &str)],
    time: SystemTime,
    body: impl FnOnce(&str) -> String,
) -> String {
    let url = format!("http://{HOST}/bucket/key");
    let signed = client_key().sign("PUT", &url, headers, payload, time);
    let signed = signed.expect("signed");
    let pairs = signed.iter().map(|(name, value)| (&**name, &**value));
    let all: Vec<_> = headers.iter().copied().chain(pairs).collect();
    let authorization = all.iter().find(|(name, _)| *name == "authorization");
    let (_, seed) = authorization
        .and_then(|(_, value)| value.rsplit_once("Signature="))
        .expect("a signature");
    request("PUT", "/bucket/key", &all, &body(seed))
}

fn hashed(data: &str, hashed: &str, more: &[(&str, &str)]) -> String {
    let hash = PayloadHash::of(hashed.as_bytes()).to_string();
    upload(&hash, more, SystemTime::now(), |_| data.to_owned())
}

const FRAMED: [(&str, &str); 2] = [
    ("content-encoding", "aws-chunked"),
    ("x-amz-decoded-content-length", "11"),
];
const UNSIGNED_TYPE: &str =
    "PUT /bucket/key HTTP/1.1\r\ncontent-type: application/octet-stream\r\n";
const TRAILER: (&str, &str) = ("x-amz-trailer", "x-amz-checksum-crc32");

fn unsigned_trailer(data: &str, checksum: &str) -> String {
    let headers = [FRAMED[0], FRAMED[1], TRAILER];
    let size = data.len();
    upload(UNSIGNED_TRAILER, &headers, SystemTime::now(), |_| {
        format!("{size:x}\r\n{data}\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n")
    })
}

/// Signs two chunks of the data, and sends `sent` in their place.
fn signed_chunks(sent: &str, checksum: Option<&str>) -> String {
    let (key, time) = (client_key(), SystemTime::now());
    let mut headers = FRAMED.to_vec();
    headers.extend(checksum.map(|_| TRAILER));
    let payload = checksum.map_or(SIGNED_CHUNKS, |_| SIGNED_TRAILER);
    upload(payload, &headers, time, |seed| {
        let mut previous = seed.to_owned();
        let mut body = String::new();
        for part in [0..6, 6..11, 11..11] {
            let signed = &DATA[part.clone()];
            previous = key.chunk_signature("PAYLOAD", &previous, signed.as_bytes(), time);
            let data = &sent[part];
            body += &format!("{:x};chunk-signature={previous}\r\n{data}", data.len());
            body += if data.is_empty() { "" } else { "\r\n" };
        }
        if let Some(value) = checksum {
            let line = format!("x-amz-checksum-crc32:{value}");
            let canonical = format!("{line}\n");
            let signature = key.chunk_signature("TRAILER", &previous, canonical.as_bytes(), time);
            body += &format!("{line}\r\nx-amz-trailer-signature:{signature}\r\n");
        }
        body + "\r\n"
    })
}

fn presigned(method: &str, age: Duration, body: &str) -> String {
    let url = format!("http://{HOST}/bucket/key");
    let time = SystemTime::now() - age;
    let parameters = client_key().presign(method, &url, &[], time, Duration::from_secs(300));
    let query: Vec<_> = parameters
        .expect("presigned")
        .iter()
        .map(|(name, value)| {
            let encoded = value.replace('/', "%2F").replace(';', "%3B");
            format!("{name}={encoded}")
        })
        .collect();
    let target = format!("/bucket/key?{}", query.join("&"));
    request(method, &target, &[], body)
}

/// Returns the one request that the origin has received, which is valid and has no signature of the client.
fn only(origin: &S3Origin, shape: &str) -> Received {
    let mut seen = origin.take();
    assert_eq!(seen.len(), 1, "{shape}: {seen:?}");
    let received = seen.remove(0);
    assert_eq!(received.data.as_ref().err(), None, "{shape}: {received:?}");
    assert!(
        !format!("{received:?}").contains("AKIDCLIENT"),
        "{shape}: {received:?}"
    );
    received
}

/// The declared payload, header checksum and trailer of what the origin receives.
type Outgoing<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);

#[tokio::test]
async fn one_default_configuration_serves_every_upload() {
    let hash = PayloadHash::of(DATA.as_bytes()).to_string();
    let checksum = [("x-amz-checksum-crc32", CRC32)];
    let origin = S3Origin::start(origin_key()).await;
    for verify in [false, true] {
        let gateway = Gateway::with_config(&config(&origin, verify));
        let trailer = Some(CRC32);
        let uploads: [(&str, String, Outgoing<'_>); 8] = [
            (
                "restic, whose content-type is not signed",
                signed_chunks(DATA, None).replace("PUT /bucket/key HTTP/1.1\r\n", UNSIGNED_TYPE),
                (Some(SIGNED_CHUNKS), None, None),
            ),
            ("hash", hashed(DATA, DATA, &[]), (Some(&*hash), None, None)),
            (
                "hash with a checksum",
                hashed(DATA, DATA, &checksum),
                (Some(&*hash), Some(CRC32), None),
            ),
            (
                "unsigned",
                upload(UNSIGNED, &[], SystemTime::now(), |_| DATA.to_owned()),
                (Some(UNSIGNED), None, None),
            ),
            (
                "boto3 over TLS",
                unsigned_trailer(DATA, CRC32),
                (Some(UNSIGNED_TRAILER), None, trailer),
            ),
            (
                "minio-go over HTTP",
                signed_chunks(DATA, None),
                (Some(SIGNED_CHUNKS), None, None),
            ),
            (
                "boto3 over HTTP",
                signed_chunks(DATA, trailer),
                (Some(SIGNED_TRAILER), None, trailer),
            ),
            (
                "presigned",
                presigned("PUT", Duration::ZERO, DATA),
                (Some(UNSIGNED), None, None),
            ),
        ];
        for (shape, request, (payload, header, in_trailer)) in uploads {
            let response = exchange(gateway.address, &request).await;
            assert_eq!(response.status, 200, "{verify} {shape}: {}", response.body);
            let received = only(&origin, shape);
            assert_eq!(received.data.as_deref(), Ok(DATA.as_bytes()), "{shape}");
            assert_eq!(received.payload(), payload, "{verify} {shape}");
            assert_eq!(received.header("x-amz-checksum-crc32"), header, "{shape}");
            let trailers = received.trailers.first().map(|(_, value)| &**value);
            assert_eq!(trailers, in_trailer, "{verify} {shape}");
        }
    }
}

#[tokio::test]
async fn one_default_configuration_serves_every_download() {
    let origin = S3Origin::start(origin_key()).await;
    let target = format!("http://{HOST}/bucket/key");
    let empty = PayloadHash::EMPTY.to_string();
    let time = SystemTime::now();
    let signed = client_key()
        .sign("GET", &target, &[], &empty, time)
        .expect("signed");
    let signed: Vec<_> = signed
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let version_2 = "/bucket/key?AWSAccessKeyId=AKIDCLIENT&Signature=x%3D&Expires=99999999999";
    for (shape, verify, request, status) in [
        (
            "signed",
            true,
            request("GET", "/bucket/key", &signed, ""),
            200,
        ),
        (
            "signed",
            false,
            request("GET", "/bucket/key", &signed, ""),
            200,
        ),
        ("presigned", true, presigned("GET", Duration::ZERO, ""), 200),
        (
            "presigned",
            false,
            presigned("GET", Duration::ZERO, ""),
            200,
        ),
        (
            "expired",
            true,
            presigned("GET", Duration::from_secs(301), ""),
            403,
        ),
        (
            "expired",
            false,
            presigned("GET", Duration::from_secs(301), ""),
            403,
        ),
        ("version 2", false, request("GET", version_2, &[], ""), 200),
        ("plain", false, request("GET", "/bucket/key", &[], ""), 200),
        ("plain", true, request("GET", "/bucket/key", &[], ""), 403),
    ] {
        let gateway = Gateway::with_config(&config(&origin, verify));
        let response = exchange(gateway.address, &request).await;
        assert_eq!(
            response.status, status,
            "{verify} {shape}: {}",
            response.body
        );
        if status == 200 {
            let received = only(&origin, shape);
            assert!(
                !received.head.uri.to_string().contains("AWSAccessKeyId"),
                "{received:?}"
            );
        } else {
            assert!(
                response.body.contains("<Code>AccessDenied</Code>"),
                "{}",
                response.body
            );
            assert_eq!(origin.take().len(), 0, "{verify} {shape}");
        }
    }
}

#[tokio::test]
async fn plain_uploads_are_signed_without_verification() {
    let origin = S3Origin::start(origin_key()).await;
    let gateway = Gateway::with_config(&config(&origin, false));
    let response = exchange(gateway.address, &request("PUT", "/bucket/key", &[], DATA)).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let received = only(&origin, "plain");
    assert_eq!(received.data.as_deref(), Ok(DATA.as_bytes()));
}

/// The origin never has a complete request, and the client learns why.
#[tokio::test]
async fn bodies_that_differ_from_their_declaration_do_not_reach_the_origin() {
    let origin = S3Origin::start(origin_key()).await;
    let malformed = signed_chunks(DATA, Some(CRC32)).replace("\r\n0;", "\r\nz;");
    for verify in [false, true] {
        let gateway = Gateway::with_config(&config(&origin, verify));
        for (shape, request) in [
            ("another hash", hashed("hello xorld", DATA, &[])),
            (
                "a checksum of other data",
                unsigned_trailer("hello xorld", CRC32),
            ),
            ("another checksum", unsigned_trailer(DATA, OTHER_CRC32)),
            (
                "another checksum, signed",
                signed_chunks(DATA, Some(OTHER_CRC32)),
            ),
            (
                "another decoded length",
                unsigned_trailer("hello worl", CRC32),
            ),
            ("a malformed chunk", malformed.clone()),
        ] {
            let response = exchange(gateway.address, &request).await;
            assert!(
                (400..500).contains(&response.status),
                "{verify} {shape}: {} {}",
                response.status,
                response.body
            );
            assert_eq!(origin.take().len(), 0, "{verify} {shape}");
        }
    }
    // Only a gateway with the client's key can check this one.
    let gateway = Gateway::with_config(&config(&origin, true));
    let response = exchange(gateway.address, &signed_chunks("hello xorld", None)).await;
    assert!((400..500).contains(&response.status), "{}", response.body);
    assert_eq!(origin.take().len(), 0);
}
