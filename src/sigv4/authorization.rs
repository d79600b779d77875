//! What a request says of its own signature: in `authorization`, or in the query of a presigned URL.
//!
//! The forms are those of the AWS IAM User Guide, "Elements of an AWS API request signature". They are
//! read strictly: what two readers could take for two things is no authorization.

use std::borrow::Cow;

use http::{header, request::Parts};
use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

use super::{encode, identity::is_access_key_id, signature::ALGORITHM};

/// What a request claims to be signed with, taken apart and not yet held to anything.
pub(crate) struct Authorization<'a> {
    pub(crate) access_key_id: Cow<'a, str>,
    pub(crate) date: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) terminator: &'a str,
    /// In lower case, sorted, each once.
    pub(crate) signed_headers: Names<'a>,
    /// In lower-case hex.
    pub(crate) signature: &'a [u8; 64],
    /// What the query says where the signature stands there.
    pub(crate) presigned: Option<Presigned<'a>>,
}

/// The rest of a presigned URL's parameters, as they are written.
pub(crate) struct Presigned<'a> {
    pub(crate) date: &'a str,
    /// In seconds, 1 to 604,800.
    pub(crate) expires: u64,
    pub(crate) session_token: Option<&'a str>,
    pub(crate) content_sha256: Option<&'a str>,
}

pub(crate) type Names<'a> = SmallVec<[&'a str; 16]>;

/// Why there is no authorization to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request carries none.
    Missing,
    /// It carries more than one.
    Several,
    /// It is of another scheme or algorithm.
    Algorithm,
    /// A part of it is missing, repeated or badly written.
    Malformed(&'static str),
}

/// The longest that a presigned URL may be valid: a week, in seconds.
const LONGEST: u64 = 7 * 24 * 60 * 60;

impl<'a> Authorization<'a> {
    /// Reads the one authorization that a request carries.
    pub(crate) fn read(head: &'a Parts) -> Result<Self, Fault> {
        let mut headers = head.headers.get_all(header::AUTHORIZATION).iter();
        let parameters = Parameters::read(head.uri.query().unwrap_or_default());
        match (headers.next(), headers.next(), parameters) {
            (None, None, None) => Err(Fault::Missing),
            (None, None, Some(parameters)) => Self::from_query(&parameters?),
            (Some(value), None, None) => {
                let text = value.to_str();
                Self::from_header(text.map_err(|_| Fault::Malformed("bytes beyond ASCII"))?)
            }
            _ => Err(Fault::Several),
        }
    }

    fn from_header(text: &'a str) -> Result<Self, Fault> {
        let (algorithm, fields) = text.split_once(' ').unwrap_or((text, ""));
        if algorithm != ALGORITHM {
            return Err(Fault::Algorithm);
        }
        let [mut credential, mut signed_headers, mut signature] = [None; 3];
        for field in fields.split(',') {
            let (name, value) = field
                .trim_matches([' ', '\t'])
                .split_once('=')
                .ok_or(Fault::Malformed("a field without a value"))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(Fault::Malformed("an unknown field")),
            };
            if slot.replace(value).is_some() {
                return Err(Fault::Malformed("a field that is repeated"));
            }
        }
        let missing = Fault::Malformed("Credential, SignedHeaders or Signature is missing");
        let credential = elements(credential.ok_or(missing)?, b'/', false);
        let signed_headers = elements(signed_headers.ok_or(missing)?, b';', false);
        Self::new(&credential, signed_headers, signature.ok_or(missing)?, None)
    }

    fn from_query(parameters: &Parameters<'a>) -> Result<Self, Fault> {
        let required = |name: &str| {
            parameters.get(name).ok_or(Fault::Malformed("a parameter of the signature is missing"))
        };
        if required("X-Amz-Algorithm")? != ALGORITHM {
            return Err(Fault::Algorithm);
        }
        let expires = required("X-Amz-Expires")?;
        let seconds = match expires.bytes().all(|byte| byte.is_ascii_digit()) {
            true => expires.parse().ok().filter(|seconds| (1..=LONGEST).contains(seconds)),
            false => None,
        };
        let presigned = Presigned {
            date: required("X-Amz-Date")?,
            expires: seconds
                .ok_or(Fault::Malformed("X-Amz-Expires has to be 1 to 604800 seconds"))?,
            session_token: parameters.get("X-Amz-Security-Token"),
            content_sha256: parameters.get("X-Amz-Content-Sha256"),
        };
        Self::new(
            &elements(required("X-Amz-Credential")?, b'/', true),
            elements(required("X-Amz-SignedHeaders")?, b';', true),
            required("X-Amz-Signature")?,
            Some(presigned),
        )
    }

    fn new(
        credential: &Names<'a>,
        signed_headers: Names<'a>,
        signature: &'a str,
        presigned: Option<Presigned<'a>>,
    ) -> Result<Self, Fault> {
        let &[id, date, region, service, terminator] = &credential[..] else {
            return Err(Fault::Malformed(
                "Credential has to be ID/DATE/REGION/SERVICE/aws4_request",
            ));
        };
        let access_key_id = match presigned.is_some() {
            true => percent_decode_str(id).decode_utf8(),
            false => Ok(Cow::Borrowed(id)),
        };
        let access_key_id = access_key_id
            .ok()
            .filter(|id| is_access_key_id(id))
            .ok_or(Fault::Malformed("Credential does not begin with an access key id"))?;
        let is_name = |name: &&str| !name.is_empty() && name.bytes().all(is_lower_token);
        if !signed_headers.iter().all(is_name) || !signed_headers.is_sorted_by(|a, b| a < b) {
            return Err(Fault::Malformed(
                "SignedHeaders has to hold names in lower case, sorted, each once",
            ));
        }
        let signature = <&[u8; 64]>::try_from(signature.as_bytes()).ok();
        let signature = signature
            .filter(|signature| signature.iter().all(|digit| encode::is_lower_hex(*digit)))
            .ok_or(Fault::Malformed("Signature has to be 64 digits of lower-case hex"))?;
        Ok(Self {
            access_key_id,
            date,
            region,
            service,
            terminator,
            signed_headers,
            signature,
            presigned,
        })
    }
}

/// A header's name (RFC 9110, section 5.6.2) as a signature spells it.
fn is_lower_token(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The elements of a list; in a query its separator may be escaped.
fn elements(list: &str, separator: u8, escaped: bool) -> Names<'_> {
    let mut elements = Names::new();
    let (mut start, mut at) = (0, 0);
    let bytes = list.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        let end = at;
        at += match byte {
            b'%' if escaped && is_escape_of(&bytes[at..], separator) => 3,
            byte if byte == separator => 1,
            _ => {
                at += 1;
                continue;
            }
        };
        elements.push(&list[start..end]);
        start = at;
    }
    elements.push(&list[start..]);
    elements
}

fn is_escape_of(bytes: &[u8], separator: u8) -> bool {
    let digits = match separator {
        b'/' => b"2f",
        _ => b"3b",
    };
    bytes.get(1..3).is_some_and(|escape| escape.eq_ignore_ascii_case(digits))
}

/// The parameters of a presigned URL, in the order in which they are looked for.
const PARAMETERS: [&str; 10] = [
    "X-Amz-Algorithm",
    "X-Amz-Content-Sha256",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Region-Set",
    "X-Amz-S3session-Token",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// The parameter that a pair of a query is, in whatever case and however escaped it is written.
pub(crate) fn credential_name(pair: &str) -> Option<&'static str> {
    let key = pair.split('=').next()?;
    if !matches!(key.as_bytes().first(), Some(b'x' | b'X' | b'%')) {
        return None;
    }
    let same = |name: &&str| {
        let lower = |byte: u8| byte.to_ascii_lowercase();
        percent_decode_str(key).map(lower).eq(name.bytes().map(lower))
    };
    PARAMETERS.into_iter().find(same)
}

/// The values of `PARAMETERS`, as they are written.
struct Parameters<'a>([Option<&'a str>; PARAMETERS.len()]);

impl<'a> Parameters<'a> {
    /// `None` without any of them.
    fn read(query: &'a str) -> Option<Result<Self, Fault>> {
        let mut found = [None; PARAMETERS.len()];
        for pair in query.split('&') {
            let Some(name) = credential_name(pair) else { continue };
            let value = pair.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
            let slot = PARAMETERS.iter().zip(&mut found).find(|(known, _)| **known == name);
            let (Some(value), Some((_, slot @ None))) = (value, slot) else {
                return Some(Err(Fault::Malformed(
                    "a parameter of the signature is repeated, escaped or in another case",
                )));
            };
            *slot = Some(value);
        }
        found.iter().any(Option::is_some).then_some(Ok(Self(found)))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        PARAMETERS.iter().zip(self.0).find(|(known, _)| **known == name)?.1
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const SIGNATURE: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

    fn header(value: &str) -> Result<(), Fault> {
        let request = Request::get("/?a=1").header(header::AUTHORIZATION, value);
        Authorization::read(&request.body(()).expect("a request").into_parts().0).map(drop)
    }

    fn query(query: &str) -> Result<(), Fault> {
        let request = Request::get(format!("/?{query}")).body(()).expect("a request");
        Authorization::read(&request.into_parts().0).map(drop)
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
    fn a_header_is_taken_apart() {
        let request = Request::get("/").header(header::AUTHORIZATION, valid());
        let (head, ()) = request.body(()).expect("a request").into_parts();
        let read = Authorization::read(&head).expect("valid");
        assert_eq!(read.access_key_id, "AKID");
        assert_eq!(
            (read.date, read.region, read.service, read.terminator),
            ("20150830", "us-east-1", "service", "aws4_request"),
        );
        assert_eq!(&read.signed_headers[..], ["host", "x-amz-date"]);
        assert_eq!(read.signature, SIGNATURE.as_bytes());
        assert!(read.presigned.is_none());
    }

    #[test]
    fn a_query_is_taken_apart() {
        let target = format!("/?{}", valid_query().replace("=AKID", "=a%3Ab"));
        let (head, ()) = Request::get(target).body(()).expect("a request").into_parts();
        let read = Authorization::read(&head).expect("valid");
        assert_eq!(read.access_key_id, "a:b");
        assert_eq!((read.region, read.service), ("us-east-1", "service"));
        assert_eq!(&read.signed_headers[..], ["host", "x-a", "x-b"]);
        let presigned = read.presigned.expect("presigned");
        assert_eq!((presigned.date, presigned.expires), ("20150830T123600Z", 60));
        assert_eq!((presigned.session_token, presigned.content_sha256), (None, None));
    }

    #[test]
    fn white_space_and_order_of_fields_are_free() {
        let (credential, rest) = valid().split_at(16).1.split_once(", ").map(own).expect("fields");
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
    fn headers_that_are_not_one_authorization_are_refused() {
        for other in ["", "Bearer abc", "AWS4-HMAC-SHA256,", "aws4-hmac-sha256 Credential=a"] {
            assert_eq!(header(other), Err(Fault::Algorithm), "{other}");
        }
        let ecdsa = valid().replace("HMAC", "ECDSA-P256");
        assert_eq!(header(&ecdsa), Err(Fault::Algorithm));
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
            ("host;x-amz-date", "host x-amz-date"),
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
            assert!(matches!(header(&value), Err(Fault::Malformed(_))), "{value}");
        }
        assert!(matches!(header(&format!("{},", valid())), Err(Fault::Malformed(_))));
    }

    #[test]
    fn queries_that_are_not_one_authorization_are_refused() {
        assert_eq!(query(&valid_query()), Ok(()));
        assert_eq!(query("a=1&X-Amz-Acl=private"), Err(Fault::Missing));
        let other = valid_query().replace("HMAC", "ECDSA-P256");
        assert_eq!(query(&other), Err(Fault::Algorithm));
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
            let query_text = valid_query().replacen(from, to, 1);
            assert!(matches!(query(&query_text), Err(Fault::Malformed(_))), "{query_text}");
        }
    }

    #[test]
    fn two_authorizations_are_refused_wherever_they_stand() {
        let several = |target: String, headers: &[String]| {
            let mut request = Request::get(target);
            for value in headers {
                request = request.header(header::AUTHORIZATION, value);
            }
            let (head, ()) = request.body(()).expect("a request").into_parts();
            Authorization::read(&head).map(drop)
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
            assert_eq!(several(target.clone(), headers), Err(Fault::Several), "{target}");
        }
    }
}
