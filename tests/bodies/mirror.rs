//! Each form of a client's body before each kind of service.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tower_sigv4::{Origin, origin::PayloadMode, sigv4::PayloadHash};

use crate::{
    common::{self, header, layer},
    mirror_client::{CLIENT_KEY, ClientRequest, all, bytes, hashed, presigned},
    mirror_judge::{Form, OTHERS, S3, Service, aws_authorization, send, verify},
};
#[cfg(feature = "sigv4a")]
use crate::{
    mirror_client::{Lines, chunked},
    mirror_judge::MULTI_REGION,
};

/// Sends a client's request to a service, and checks all that does not depend on its form.
pub(crate) async fn check(client: &ClientRequest, service: &Service, data: &[u8]) -> Form {
    let context = format!("{} to {}", client.name, service.name);
    let (head, encoded) = send(service.origin(), client.build(5000)).await;
    let form = Form::of(&head);
    assert_eq!(
        header(&head.headers, "authorization"),
        aws_authorization(&head, service),
        "{context}"
    );
    let shown = format!("{} {:?}", head.uri, head.headers);
    assert!(!shown.contains(CLIENT_KEY), "{context}: {shown}");
    assert_eq!(head.uri.query(), Some("a=1"), "{context}");
    let is_framed = matches!(
        form,
        Form::Chunks | Form::ChunksTrailer | Form::UnsignedTrailer
    );
    let length = head.headers.get("x-amz-decoded-content-length");
    assert_eq!(length.is_some(), is_framed, "{context}");
    assert_eq!(
        head.headers.contains_key("content-encoding"),
        is_framed,
        "{context}"
    );
    let has_trailer = matches!(form, Form::ChunksTrailer | Form::UnsignedTrailer);
    assert_eq!(
        head.headers.contains_key("x-amz-trailer"),
        has_trailer,
        "{context}"
    );
    let algorithm = head.headers.contains_key("x-amz-sdk-checksum-algorithm");
    assert_eq!(algorithm, client.checksum.is_some(), "{context}");
    let received = verify(
        service,
        Request::from_parts(head, Full::<Bytes>::from(encoded)),
    )
    .await
    .expect(&context);
    assert_eq!(received.data, data, "{context}");
    let expected = client
        .checksum
        .map(|checksum| (checksum.header_name().to_owned(), checksum.of(data)));
    assert_eq!(received.checksum, expected, "{context}");
    form
}

/// The forms in the order of [`all`].
const TO_S3: [Form; 10] = [
    Form::Hash,
    Form::Unsigned,
    Form::UnsignedTrailer,
    Form::Chunks,
    Form::ChunksTrailer,
    Form::Chunks,
    Form::ChunksTrailer,
    Form::Unsigned,
    Form::Unsigned,
    Form::Hash,
];

#[tokio::test]
async fn s3_receives_the_form_that_the_client_chose() {
    for len in [1, 8 * 1024, 200_000] {
        let data = bytes(len);
        for (client, form) in all(&data).iter().zip(TO_S3) {
            assert_eq!(check(client, &S3, &data).await, form, "{}", client.name);
        }
    }
}

#[tokio::test]
async fn other_services_receive_the_hash_of_the_body() {
    let data = bytes(20_000);
    for service in &OTHERS {
        for client in all(&data) {
            assert_eq!(check(&client, service, &data).await, Form::Hash);
        }
    }
}

/// Chunks cannot be signed for several regions.
#[cfg(feature = "sigv4a")]
#[tokio::test]
async fn origins_of_several_regions_receive_no_signed_chunks() {
    let data = bytes(200_000);
    let forms = TO_S3.map(|form| match form {
        Form::Chunks => Form::Unsigned,
        Form::ChunksTrailer => Form::UnsignedTrailer,
        other => other,
    });
    for (client, form) in all(&data).iter().zip(forms) {
        let sent = check(client, &MULTI_REGION, &data).await;
        assert_eq!(sent, form, "{}", client.name);
    }
}

/// Without TLS an attacker could change such a body.
#[cfg(feature = "sigv4a")]
#[tokio::test]
async fn signed_chunks_for_several_regions_are_hashed_without_tls() {
    let data = bytes(20_000);
    let url = MULTI_REGION.url.replace("https", "http");
    let client = chunked("signed chunks", &data, Lines::Hmac, None);
    let origin = Origin::infer(&url).expect("an origin");
    let (head, _) = send(origin, client.build(5000)).await;
    assert_eq!(Form::of(&head), Form::Hash);
}

#[tokio::test]
async fn vpc_lattice_receives_unsigned_bodies_whose_hash_is_compared() {
    let url = "https://svc-0a1b.7d67968.vpc-lattice-svcs.us-east-1.on.aws";
    let origin = Origin::infer(url)
        .expect("an origin")
        .with_payload(PayloadMode::Mirror);
    let data = bytes(20_000);
    for client in all(&data) {
        let (head, body) = send(origin.clone(), client.build(5000)).await;
        assert_eq!(Form::of(&head), Form::Unsigned, "{}", client.name);
        assert_eq!(body, data, "{}", client.name);
    }
    let wrong = hashed(&data).with_header(
        "x-amz-content-sha256",
        PayloadHash::of(b"another").to_string(),
    );
    let sent = common::send_any(&layer(origin), wrong.build(5000))
        .await
        .expect("sent");
    assert!(sent.into_body().collect().await.is_err());
}

/// The settings of the origin select the algorithm.
#[tokio::test]
async fn signatures_of_sigv4a_become_those_of_the_origin() {
    let data = bytes(20_000);
    let scope = format!("Credential={CLIENT_KEY}/20150830/s3/aws4_request");
    let mut in_header = hashed(&data)
        .with_header("x-amz-region-set", "*")
        .with_header(
            "authorization",
            format!("AWS4-ECDSA-P256-SHA256 {scope}, SignedHeaders=host, Signature=3045"),
        );
    in_header.name = "SigV4a header";
    let mut in_query = presigned(&data);
    in_query.name = "SigV4a query";
    in_query.query = in_query
        .query
        .replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")
        .replace("us-east-1%2F", "")
        + "&X-Amz-Region-Set=%2A";
    let services = [
        (&S3, "AWS4-HMAC-SHA256 "),
        #[cfg(feature = "sigv4a")]
        (&MULTI_REGION, "AWS4-ECDSA-P256-SHA256 "),
    ];
    for (service, algorithm) in services {
        for (client, form) in [(&in_header, Form::Hash), (&in_query, Form::Unsigned)] {
            assert_eq!(check(client, service, &data).await, form, "{}", client.name);
            let (head, _) = send(service.origin(), client.build(5000)).await;
            assert!(header(&head.headers, "authorization").starts_with(algorithm));
            let regions = head.headers.get("x-amz-region-set");
            assert_eq!(regions.is_some(), service.is_multi_region);
        }
    }
}
