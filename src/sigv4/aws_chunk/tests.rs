use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use http::Request;
use sha2::Digest;

use super::*;
use crate::{
    SigningSettings,
    sigv4::{AllExcept, Identity, PayloadHash, Signer, SigningParams},
};

fn kind(is_signed: bool) -> LineSignature {
    if is_signed {
        LineSignature::Hmac
    } else {
        LineSignature::None
    }
}

/// Signs the head of the reference's examples, which end with this signature.
fn sign_example(framing: Framing, seed: &str) -> ChunkSigner {
    let credentials = Credentials::new(
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        None,
        None,
        "example",
    );
    let identity = Identity::new(credentials).expect("valid");
    let settings = SigningSettings::new("s3", "us-east-1")
        .expect("a scope")
        .with_signed_headers(AllExcept::default());
    let mut head = Request::put("https://s3.amazonaws.com/examplebucket/chunkObject.txt")
        .header("x-amz-storage-class", "REDUCED_REDUNDANCY")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", "66560");
    head = match framing.checksum() {
        Some(checksum) => head.header("x-amz-trailer", checksum.header_name()),
        None => head.header("content-length", "66824"),
    };
    let (mut head, ()) = head.body(()).expect("a request").into_parts();
    let time = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, time);
    let signer = Signer::new()
        .sign_chunked(&mut head, &params, framing, None)
        .expect("signed");
    let authorization = head.headers["authorization"].to_str().expect("ASCII");
    assert!(authorization.ends_with(seed), "{authorization}");
    assert_eq!(
        head.headers["x-amz-content-sha256"],
        framing.content_sha256()
    );
    signer.expect("chunks are signed")
}

/// Signs the chunks of the examples, which have these signatures.
fn sign_chunks(signer: &mut ChunkSigner, signatures: [&str; 3]) {
    for (len, signature) in [65536, 1024, 0].into_iter().zip(signatures) {
        let hash = Sha256::digest(vec![b'a'; len]).into();
        let line = ChunkLine {
            len: len as u64,
            signature: Some(*signer.chunk(&hash)),
        };
        assert_eq!(
            line.write(),
            format!("{len:x};chunk-signature={signature}\r\n")
        );
    }
}

/// The example of "Transferring Payload in Multiple Chunks".
#[test]
fn chunks_of_the_reference_have_the_same_signatures() {
    let framing = Framing::Signed(None);
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let mut signer = sign_example(framing, seed);
    sign_chunks(
        &mut signer,
        [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ],
    );
    assert_eq!(
        framing.encoded_len(66_560, ChunkSize::default()),
        Some(66_824)
    );
}

/// The example of "Including Trailing Headers".
#[test]
fn trailer_of_the_reference_has_the_same_signature() {
    let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let mut signer = sign_example(Framing::Signed(Some(Checksum::Crc32C)), seed);
    sign_chunks(
        &mut signer,
        [
            "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
        ],
    );
    let value = &Checksum::Crc32C.of(&[b'a'; 66_560]);
    let signature = Some(*signer.trailer(Checksum::Crc32C, value));
    assert_eq!(
        Trailer {
            checksum: Checksum::Crc32C,
            value,
            signature
        }
        .write(),
        "x-amz-checksum-crc32c:sOO8/Q==\r\n\
         x-amz-trailer-signature:\
         d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n",
    );
}

const SIGNATURE: &str = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648";

#[test]
fn chunk_lines_are_parsed_strictly() {
    let signed = |len: &str| format!("{len};chunk-signature={SIGNATURE}\r\n");
    let unsigned = |len: &str| format!("{len}\r\n");
    for (len, bytes) in [
        ("0", 0),
        ("10000", 65536),
        ("4aF", 0x4af),
        ("ffffffff", 0xffff_ffff),
    ] {
        let line = ChunkLine::parse(signed(len).as_bytes(), LineSignature::Hmac).expect("valid");
        let signature = line.signature.expect("there");
        assert_eq!((line.len, &signature[..]), (bytes, SIGNATURE.as_bytes()));
        let line = ChunkLine::parse(unsigned(len).as_bytes(), LineSignature::None).expect("valid");
        assert_eq!((line.len, line.signature), (bytes, None));
    }
    let most = ChunkLine::parse(unsigned("ffffffffffffffff").as_bytes(), LineSignature::None);
    assert_eq!(most.map(|line| line.len), Some(u64::MAX));
    for line in [&signed as &dyn Fn(&str) -> String, &unsigned] {
        let is_signed = line("1").contains(';');
        for bad in [
            line(""),
            line("-1"),
            line("+1"),
            line(" 1"),
            line("1 "),
            line("0x1"),
            line("g"),
            line("10000000000000000"),
            line("1").replace("\r\n", "\n"),
            line("1").replace("\r\n", ""),
            line("1").replace("\r\n", ";a=b\r\n"),
            line("1").replace("\r\n", "\r\n\r\n"),
            "\r\n".to_owned(),
        ] {
            assert!(
                ChunkLine::parse(bad.as_bytes(), kind(is_signed)).is_none(),
                "{bad:?}"
            );
        }
        assert!(ChunkLine::parse(line("1").as_bytes(), kind(!is_signed)).is_none());
    }
    for bad in [
        signed("100000000"),
        signed("1").replace(";chunk", ",chunk"),
        signed("1").replace("chunk-", "Chunk-"),
        signed("1").replace("ad80", "AD80"),
        signed("1").replace("ad80", "ad8"),
        signed("1").replace("ad80", "ad800"),
    ] {
        assert!(
            ChunkLine::parse(bad.as_bytes(), LineSignature::Hmac).is_none(),
            "{bad:?}"
        );
    }
}

#[test]
fn trailers_are_parsed_strictly() {
    let unsigned = "x-amz-checksum-crc32:y/Q5Jg==\r\n".to_owned();
    let signed = format!("{unsigned}x-amz-trailer-signature:{SIGNATURE}\r\n");
    for (text, is_signed) in [(&signed, true), (&unsigned, false)] {
        let parse = |text: &str| {
            Trailer::parse(text.as_bytes(), Checksum::Crc32, kind(is_signed))
                .map(|trailer| (trailer.value.to_owned(), trailer.signature.is_some()))
        };
        assert_eq!(parse(text), Some(("y/Q5Jg==".to_owned(), is_signed)));
        for bad in [
            text.replace("crc32", "crc32c"),
            text.replace("x-amz-checksum", "X-Amz-Checksum"),
            text.replace(':', "="),
            text.trim_end().to_owned(),
            text.replace("\r\n", "\n"),
            format!("a:b\r\n{text}"),
            String::new(),
        ] {
            assert_eq!(parse(&bad), None, "{bad:?}");
        }
    }
    for bad in [
        signed.replace("-signature", "-signatures"),
        signed.replace("ad80", "AD80"),
        signed.replace("ad80", "ad8"),
        signed.replace("\r\nx-amz-t", "\r\nX-amz-t"),
        format!("{signed}a:b\r\n"),
        unsigned.clone(),
    ] {
        assert!(
            Trailer::parse(bad.as_bytes(), Checksum::Crc32, LineSignature::Hmac).is_none(),
            "{bad:?}"
        );
    }
}

#[test]
fn framing_matches_its_headers() {
    for checksum in [None, Some(Checksum::Crc64Nvme)] {
        let name = checksum.map(|checksum| checksum.header_name().as_bytes());
        let framings = [
            Some(Framing::Signed(checksum)),
            checksum.map(Framing::Unsigned),
        ];
        for framing in framings.into_iter().flatten() {
            let payload = framing.content_sha256().as_bytes();
            assert_eq!(Framing::parse(payload, name), Some(framing));
            let other = checksum.is_none().then_some(&b"x-amz-checksum-sha1"[..]);
            assert_eq!(
                Framing::parse(payload, other),
                None,
                "{framing:?} with {other:?}"
            );
            assert_eq!(Framing::parse(payload, Some(b"x-amz-checksum-md5")), None);
            assert_eq!(Framing::parse(&payload.to_ascii_lowercase(), name), None);
        }
    }
    for other in [
        "",
        "UNSIGNED-PAYLOAD",
        "STREAMING-",
        "STREAMING-UNSIGNED-PAYLOAD",
    ] {
        assert_eq!(Framing::parse(other.as_bytes(), None), None, "{other}");
    }
}

#[test]
fn encoded_length_includes_all_lines() {
    let size = ChunkSize::new(8192).expect("allowed");
    let checksum = Checksum::Sha1;
    for framing in [
        Framing::Signed(None),
        Framing::Signed(Some(checksum)),
        Framing::Unsigned(checksum),
    ] {
        let signature = framing.is_signed().then_some([b'0'; 64]);
        let line = |len: u64| ChunkLine { len, signature }.write().len() as u64;
        let trailer = framing.checksum().map_or(0, |checksum| {
            let value = &checksum.of(b"");
            Trailer {
                checksum,
                value,
                signature,
            }
            .write()
            .len() as u64
        });
        for decoded in [0, 1, 15, 16, 8191, 8192, 8193, 3 * 8192, 16385] {
            let (whole, rest) = (decoded / 8192, decoded % 8192);
            let last = if rest > 0 { line(rest) + rest + 2 } else { 0 };
            let expected = whole * (line(8192) + 8192 + 2) + last + line(0) + trailer + 2;
            assert_eq!(
                framing.encoded_len(decoded, size),
                Some(expected),
                "{framing:?} {decoded}"
            );
        }
        assert_eq!(framing.encoded_len(u64::MAX, size), None);
    }
}

#[test]
fn chunks_have_8_kib_to_1_gib() {
    for (bytes, is_one) in [
        (8_191, false),
        (8_192, true),
        (1 << 30, true),
        ((1 << 30) + 1, false),
    ] {
        let size = ChunkSize::new(bytes).map(ChunkSize::bytes);
        assert_eq!(size.ok(), is_one.then_some(bytes), "{bytes}");
    }
}

#[test]
fn signatures_of_sigv4a_are_dropped() {
    let padded = format!("{:*<144}", "3045".repeat(30));
    for signature in ["3045", &*"ab".repeat(72), &*padded] {
        let line = format!("a;chunk-signature={signature}\r\n");
        let parsed = ChunkLine::parse(line.as_bytes(), LineSignature::Ecdsa);
        let expected = ChunkLine {
            len: 10,
            signature: None,
        };
        assert_eq!(parsed, Some(expected), "{signature}");
    }
    for signature in ["", "*", "30*5", "xy", &*"ab".repeat(73)] {
        let line = format!("a;chunk-signature={signature}\r\n");
        assert!(ChunkLine::parse(line.as_bytes(), LineSignature::Ecdsa).is_none());
    }
}
