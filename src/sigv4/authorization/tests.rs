use http::Request;

use super::*;

const SIGNATURE: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

fn header(value: &str) -> Result<(), ParseError> {
    let request = Request::get("/?a=1").header(header::AUTHORIZATION, value);
    Authorization::parse(&request.body(()).expect("a request").into_parts().0, false).map(drop)
}

fn query(query: &str) -> Result<(), ParseError> {
    let request = Request::get(format!("/?{query}"))
        .body(())
        .expect("a request");
    Authorization::parse(&request.into_parts().0, false).map(drop)
}

fn valid() -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/service/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={SIGNATURE}"
    )
}

fn valid_query() -> String {
    format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&\
         X-Amz-Credential=AKID%2F20150830%2Fus-east-1%2fservice/aws4_request&\
         X-Amz-SignedHeaders=host%3bx-a%3Bx-b&X-Amz-Signature={SIGNATURE}&a=1"
    )
}

#[test]
fn header_is_parsed() {
    let request = Request::get("/").header(header::AUTHORIZATION, valid());
    let (head, ()) = request.body(()).expect("a request").into_parts();
    let parsed = Authorization::parse(&head, false).expect("valid");
    assert_eq!(parsed.access_key_id, "AKID");
    assert_eq!(
        (
            parsed.date,
            parsed.region,
            parsed.service,
            parsed.terminator
        ),
        ("20150830", "us-east-1", "service", "aws4_request"),
    );
    assert_eq!(&parsed.signed_headers[..], ["host", "x-amz-date"]);
    assert_eq!(&parsed.hmac().expect("of HMAC")[..], SIGNATURE.as_bytes());
    assert!(parsed.presigned.is_none());
}

#[test]
fn query_is_parsed() {
    let target = format!("/?{}", valid_query().replace("=AKID", "=a%3Ab"));
    let (head, ()) = Request::get(target)
        .body(())
        .expect("a request")
        .into_parts();
    let parsed = Authorization::parse(&head, false).expect("valid");
    assert_eq!(parsed.access_key_id, "a:b");
    assert_eq!((parsed.region, parsed.service), ("us-east-1", "service"));
    assert_eq!(&parsed.signed_headers[..], ["host", "x-a", "x-b"]);
    let presigned = parsed.presigned.expect("presigned");
    assert_eq!(
        (presigned.date, presigned.expires),
        ("20150830T123600Z", 60)
    );
    assert_eq!(
        (presigned.session_token, presigned.content_sha256),
        (None, None)
    );
}

#[test]
fn fields_allow_any_order_and_white_space() {
    let (credential, rest) = valid()
        .split_at(16)
        .1
        .split_once(", ")
        .map(own)
        .expect("fields");
    for value in [
        format!("AWS4-HMAC-SHA256{credential},{}", rest.replace(", ", ",")),
        format!("AWS4-HMAC-SHA256 {rest},\t{}", credential.trim()),
    ] {
        assert_eq!(header(&value), Ok(()), "{value}");
    }
}

fn own((a, b): (&str, &str)) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn invalid_authorization_headers_are_rejected() {
    for other in [
        "",
        "Bearer abc",
        "AWS4-HMAC-SHA256,",
        "aws4-hmac-sha256 Credential=a",
    ] {
        assert_eq!(
            header(other),
            Err(ParseError::UnsupportedAlgorithm),
            "{other}"
        );
    }
    let ecdsa = valid().replace("HMAC", "ECDSA-P256");
    assert_eq!(header(&ecdsa), Err(ParseError::UnsupportedAlgorithm));
    for (from, to) in [
        ("Credential=", "credential="),
        ("Credential=AKID", "Credential="),
        ("AKID/", ""),
        ("AKID/", "AK/ID/"),
        ("AKID/", "AK ID/"),
        ("/aws4_request", ""),
        ("/aws4_request", "/aws4_request/"),
        ("host;x-amz-date", ""),
        ("host;x-amz-date", "x-amz-date;host"),
        ("host;x-amz-date", "host;host"),
        ("host;x-amz-date", "host;X-Amz-Date"),
        ("host;x-amz-date", "host;;x-amz-date"),
        ("host;x-amz-date", "host;x-amz-date;"),
        ("host;x-amz-date", "host%3Bx-amz-date;"),
        ("Signature=5", "Signature="),
        ("Signature=5", "Signature=55"),
        ("fa00", "FA00"),
        ("fa00", "ga00"),
        (", Signature", ", Signature=, Signature"),
        (", Signature", " Signature"),
        (", Signature", ", Other=1, Signature"),
        ("Signature=", "Signature"),
    ] {
        let value = valid().replacen(from, to, 1);
        assert!(
            matches!(header(&value), Err(ParseError::Malformed(_))),
            "{value}"
        );
    }
    assert!(matches!(
        header(&format!("{},", valid())),
        Err(ParseError::Malformed(_))
    ));
}

#[test]
fn invalid_presigned_queries_are_rejected() {
    assert_eq!(query(&valid_query()), Ok(()));
    assert_eq!(query("a=1&X-Amz-Acl=private"), Err(ParseError::Missing));
    let ecdsa = valid_query().replace("HMAC", "ECDSA-P256");
    for other in [
        &*ecdsa,
        "AWSAccessKeyId=AKID&Signature=x&Expires=1",
        "a&AWS%41ccessKeyId=AKID",
    ] {
        assert_eq!(
            query(other),
            Err(ParseError::UnsupportedAlgorithm),
            "{other}"
        );
    }
    for (from, to) in [
        ("X-Amz-Expires=60", "X-Amz-Expires="),
        ("X-Amz-Expires=60", "X-Amz-Expires=0"),
        ("X-Amz-Expires=60", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=60", "X-Amz-Expires=%2B1"),
        ("X-Amz-Expires=60", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=60", "X-Amz-Expires=99999999999999999999"),
        ("X-Amz-Expires=60", "X-Amz-Expires"),
        ("X-Amz-Expires=60", "x=60"),
        ("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Expires=60"),
        ("X-Amz-Expires=60", "X-Amz-Expires=60&x-amz-expires=61"),
        ("X-Amz-Expires", "X-Amz-expires"),
        ("X-Amz-Expires", "X-Amz-%45xpires"),
        ("X-Amz-Signature", "X-Amz-signature"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "b=1"),
        ("X-Amz-Date=20150830T123600Z", "b=1"),
        ("X-Amz-SignedHeaders=", "X-Amz-SignedHeaders=x-z%3B"),
        ("X-Amz-Credential=AKID", "X-Amz-Credential=AK%20ID"),
        ("X-Amz-Credential=AKID", "X-Amz-Credential=%FF"),
        ("X-Amz-Credential=AKID%2F", "X-Amz-Credential=AKID"),
    ] {
        let value = valid_query().replacen(from, to, 1);
        assert!(
            matches!(query(&value), Err(ParseError::Malformed(_))),
            "{value}"
        );
    }
}

#[test]
fn several_authorizations_are_rejected() {
    let parse_all = |target: String, headers: &[String]| {
        let mut request = Request::get(target);
        for value in headers {
            request = request.header(header::AUTHORIZATION, value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        Authorization::parse(&head, false).map(drop)
    };
    let bearer = "Bearer x".to_owned();
    for (target, headers) in [
        ("/".to_owned(), &[valid(), valid()][..]),
        ("/".to_owned(), &[valid(), bearer.clone()]),
        ("/".to_owned(), &[bearer.clone(), valid()]),
        (format!("/?{}", valid_query()), &[valid()]),
        (format!("/?{}", valid_query()), &[bearer]),
        ("/?x-amz-credential=a".to_owned(), &[valid()]),
        ("/?%58-Amz-Signature".to_owned(), &[valid()]),
    ] {
        assert_eq!(
            parse_all(target.clone(), headers),
            Err(ParseError::Multiple),
            "{target}"
        );
    }
}

/// Without the feature it cannot be verified; with it, the verifier has to enable it.
#[test]
fn sigv4a_is_rejected_unless_accepted() {
    let ecdsa = "AWS4-ECDSA-P256-SHA256";
    let value = valid()
        .replace("AWS4-HMAC-SHA256", ecdsa)
        .replace("/us-east-1", "");
    assert_eq!(header(&value), Err(ParseError::UnsupportedAlgorithm));
    let parameters = valid_query()
        .replace("AWS4-HMAC-SHA256", ecdsa)
        .replace("%2Fus-east-1", "");
    assert_eq!(query(&parameters), Err(ParseError::UnsupportedAlgorithm));
    assert_eq!(header(ecdsa), Err(ParseError::UnsupportedAlgorithm));
}

#[cfg(feature = "sigv4a")]
mod sigv4a {
    use super::*;

    const SIGNATURE: &str = "3046022100fddaaf816a31e30d04973875b13bc27b98da10907a3a1872fd5819a221334ab\
        c022100de2ee81d83b54f31efc82834de07e6cd4d5c6f25bfa08e0f29a15bb0977c343e";

    fn valid() -> String {
        super::valid()
            .replace("HMAC", "ECDSA-P256")
            .replace("/us-east-1", "")
            .replace(super::SIGNATURE, SIGNATURE)
    }

    fn valid_query() -> String {
        super::valid_query()
            .replace("HMAC", "ECDSA-P256")
            .replace("%2Fus-east-1", "")
            .replace(super::SIGNATURE, SIGNATURE)
    }

    fn parse(target: &str, value: Option<&str>) -> Result<(String, String, String), ParseError> {
        let mut request = Request::get(target);
        if let Some(value) = value {
            request = request.header(header::AUTHORIZATION, value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        let parsed = Authorization::parse(&head, true)?;
        assert_eq!(parsed.algorithm(), "AWS4-ECDSA-P256-SHA256");
        assert!(parsed.hmac().is_none());
        let Authorization {
            date,
            region,
            service,
            terminator,
            ..
        } = parsed;
        assert_eq!((region, terminator), ("", "aws4_request"));
        Ok((
            parsed.access_key_id.into_owned(),
            date.to_owned(),
            service.to_owned(),
        ))
    }

    #[test]
    fn scope_has_no_region() {
        let expected = || {
            Ok((
                "AKID".to_owned(),
                "20150830".to_owned(),
                "service".to_owned(),
            ))
        };
        assert_eq!(parse("/", Some(&valid())), expected());
        assert_eq!(parse(&format!("/?{}", valid_query()), None), expected());

        let with_region = |text: &str| text.replace("20150830", "20150830/us-east-1");
        for value in [
            with_region(&valid()),
            valid().replace("/service", ""),
            valid().replace("/aws4_request", ""),
            super::valid().replace("HMAC", "ECDSA-P256"),
            super::valid().replace("/us-east-1", ""),
        ] {
            assert!(
                matches!(parse("/", Some(&value)), Err(ParseError::Malformed(_))),
                "{value}"
            );
        }
        let target = format!("/?{}", with_region(&valid_query()));
        assert!(
            matches!(parse(&target, None), Err(ParseError::Malformed(_))),
            "{target}"
        );
    }

    #[test]
    fn signature_format_depends_on_the_algorithm() {
        for value in [
            valid()
                .replace("ECDSA-P256", "HMAC")
                .replace("20150830", "20150830/us-east-1"),
            valid().replace(SIGNATURE, super::SIGNATURE),
        ] {
            assert!(
                matches!(parse("/", Some(&value)), Err(ParseError::Malformed(_))),
                "{value}"
            );
        }
        for other in [
            "AWS4-ECDSA-P256-SHA25",
            "AWS4-ECDSA-P256-SHA256-PAYLOAD",
            "aws4-ecdsa-p256-sha256",
        ] {
            let value = valid().replace("AWS4-ECDSA-P256-SHA256", other);
            assert_eq!(
                parse("/", Some(&value)),
                Err(ParseError::UnsupportedAlgorithm),
                "{value}"
            );
        }
    }
}
