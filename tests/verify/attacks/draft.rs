//! Requests to be signed, and a simple signer for them.

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use bytes::Bytes;
use http::Request;
use sha2::{Digest, Sha256};
use tower_sigv4::verify::VerifySettings;

#[cfg(feature = "sigv4a")]
use super::sigv4a;
use crate::common::now;

pub(super) const ID: &str = "AKIDEXAMPLE";

pub(super) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

pub(super) const TEMPORARY: &str = "ASIAEXAMPLE";

/// Longer than 64 bytes, the block size of the comparison.
pub(super) const TOKEN: &str =
    "IQoJb3Jp+Z2lu/X2VjEJr//////////wEaCXVzLWVhc3QtMSJHMEUCIQDQyv5kHg3r0Dq8cXo1n7wJb2Vj=";

pub(super) const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A request before signing, with every input of the signature.
///
/// Its own simple signer expects path and query in canonical form.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) signed: Vec<&'static str>,
    pub(super) body: &'static str,
    /// Last line of the canonical request.
    pub(super) payload: String,
    pub(super) id: &'static str,
    pub(super) secret: &'static str,
    pub(super) date: String,
    pub(super) scope: String,
    pub(super) algorithm: &'static str,
    pub(super) presigned: bool,
    pub(super) version: Version,
}

/// In version 4a the region of the draft is its region set, and is not in the scope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Version {
    V4,
    #[cfg(feature = "sigv4a")]
    V4a,
}

pub(super) const VERSIONS: &[Version] = &[
    Version::V4,
    #[cfg(feature = "sigv4a")]
    Version::V4a,
];

impl Version {
    /// Converts a draft to this version.
    pub(super) fn of(self, draft: Draft) -> Draft {
        match self {
            Self::V4 => draft,
            #[cfg(feature = "sigv4a")]
            Self::V4a => sigv4a::draft(draft),
        }
    }

    pub(super) fn accepted(self, settings: VerifySettings) -> VerifySettings {
        match self {
            Self::V4 => settings,
            #[cfg(feature = "sigv4a")]
            Self::V4a => settings.with_sigv4a(true),
        }
    }
}

/// A request signed in the header.
pub(super) fn header() -> Draft {
    let body = r#"{"id":7}"#;
    let hash = hash(body);
    Draft {
        method: "POST",
        target: "/prod/orders".to_owned(),
        query: vec![pair("a", "1"), pair("b", "x")],
        headers: vec![
            ("host", "api.example.com".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("x-amz-content-sha256", hash.clone()),
            ("x-amz-date", "20150830T123600Z".to_owned()),
            ("x-amz-target", "Orders.Put".to_owned()),
            ("user-agent", "test".to_owned()),
        ],
        signed: vec![
            "content-type",
            "host",
            "x-amz-content-sha256",
            "x-amz-date",
            "x-amz-target",
        ],
        body,
        payload: hash,
        id: ID,
        secret: SECRET,
        date: "20150830T123600Z".to_owned(),
        scope: "20150830/us-east-1/execute-api/aws4_request".to_owned(),
        algorithm: "AWS4-HMAC-SHA256",
        presigned: false,
        version: Version::V4,
    }
}

/// As [`header`], without a hash of the body in the headers.
pub(super) fn unhashed() -> Draft {
    let mut draft = header();
    draft.drop_header("x-amz-content-sha256");
    draft
}

/// As [`header`], with temporary credentials.
pub(super) fn temporary() -> Draft {
    let mut draft = header();
    draft.id = TEMPORARY;
    draft
        .headers
        .push(("x-amz-security-token", TOKEN.to_owned()));
    draft.signed.insert(4, "x-amz-security-token");
    draft
}

/// A request signed in the query.
pub(super) fn presigned() -> Draft {
    let mut draft = header();
    draft.method = "GET";
    draft.headers = vec![("host", "api.example.com".to_owned())];
    draft.signed = vec!["host"];
    draft.body = "";
    draft.payload = EMPTY.to_owned();
    draft.query.push(pair("X-Amz-Expires", "3600"));
    draft.presigned = true;
    draft
}

pub(super) fn presigned_temporary() -> Draft {
    let mut draft = presigned();
    draft.id = TEMPORARY;
    draft
        .query
        .push(pair("X-Amz-Security-Token", &percent_encoded(TOKEN)));
    draft
}

pub(super) fn percent_encoded(token: &str) -> String {
    token
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

pub(super) fn s3() -> Draft {
    let mut draft = header();
    draft.scope = "20150830/us-east-1/s3/aws4_request".to_owned();
    draft
}

/// A request signed in the query without a hash, as by clients of S3.
pub(super) fn presigned_s3() -> Draft {
    let mut draft = presigned();
    draft.scope = "20150830/us-east-1/s3/aws4_request".to_owned();
    draft.payload = "UNSIGNED-PAYLOAD".to_owned();
    draft
}

/// A request with `date` only.
pub(super) fn dated() -> Draft {
    let mut draft = header();
    draft.drop_header("x-amz-date");
    draft.sign_header("date", "Sun, 30 Aug 2015 12:36:00 GMT");
    draft
}

/// A request with a signed header whose name has an underscore.
pub(super) fn underscored() -> Draft {
    let mut draft = header();
    draft.sign_header("x_tenant", "1");
    draft
}

/// A request with an additional signed header.
pub(super) fn tenant() -> Draft {
    let mut draft = header();
    draft.sign_header("x-tenant", "1");
    draft
}

impl Draft {
    pub(super) fn header(&mut self, name: &str) -> &mut String {
        let found = self.headers.iter_mut().find(|(found, _)| *found == name);
        &mut found.expect(name).1
    }

    pub(super) fn drop_header(&mut self, name: &str) {
        self.headers.retain(|(found, _)| *found != name);
        self.signed.retain(|found| *found != name);
    }

    pub(super) fn sign_header(&mut self, name: &'static str, value: &str) {
        self.headers.push((name, value.to_owned()));
        self.signed.push(name);
        self.signed.sort_unstable();
    }

    /// Signs headers until `count` are signed.
    pub(super) fn sign_headers(&mut self, count: usize) {
        for number in self.signed.len()..count {
            self.sign_header(Box::leak(format!("x-{number:04}").into_boxed_str()), "1");
        }
    }

    /// Adds query parameters until there are `count`, including those of a presigned URL.
    pub(super) fn add_parameters(&mut self, count: usize) {
        let ours = if self.presigned { 5 } else { 0 };
        for number in self.query.len() + ours..count {
            self.query.push(pair(&format!("p{number:04}"), ""));
        }
    }

    pub(super) fn leave_unsigned(&mut self, name: &str) {
        self.signed.retain(|found| *found != name);
    }

    pub(super) fn date(&mut self, date: &str) {
        self.date = date.to_owned();
        if !self.presigned {
            *self.header("x-amz-date") = date.to_owned();
        }
    }

    pub(super) fn sign(mut self) -> Request<Bytes> {
        #[cfg(feature = "sigv4a")]
        if self.version == Version::V4a {
            sigv4a::state_regions(&mut self);
        }
        let signed = self.signed.join(";");
        if self.presigned {
            let credential = format!("{}/{}", self.id, self.scope).replace('/', "%2F");
            self.query.push(pair("X-Amz-Algorithm", self.algorithm));
            self.query.push(pair("X-Amz-Credential", &credential));
            self.query.push(pair("X-Amz-Date", &self.date));
            self.query
                .push(pair("X-Amz-SignedHeaders", &signed.replace(';', "%3B")));
        }
        let joined = |pairs: &[(String, String)]| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            pairs.join("&")
        };
        let query = joined(&self.query);
        self.query.sort();
        let mut canonical = format!(
            "{}\n{}\n{}\n",
            self.method,
            self.target,
            joined(&self.query)
        );
        for name in &self.signed {
            let values: Vec<_> = self
                .headers
                .iter()
                .filter(|(found, _)| found == name)
                .collect();
            let values: Vec<_> = values.iter().map(|(_, value)| value.as_str()).collect();
            canonical += &format!("{name}:{}\n", values.join(","));
        }
        canonical += &format!("\n{signed}\n{}", self.payload);
        let to_sign = format!(
            "{}\n{}\n{}\n{}",
            self.algorithm,
            self.date,
            self.scope,
            hash(&canonical)
        );
        let signature = match self.version {
            Version::V4 => {
                let parts: Vec<_> = self.scope.split('/').collect();
                let key = generate_signing_key(self.secret, now(), parts[1], parts[2]);
                calculate_signature(key, to_sign.as_bytes())
            }
            #[cfg(feature = "sigv4a")]
            Version::V4a => sigv4a::signature(&self, &to_sign),
        };

        let mut request = Request::builder().method(self.method);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if self.presigned {
            request = request.uri(format!(
                "{}?{query}&X-Amz-Signature={signature}",
                self.target
            ));
        } else {
            let value = format!(
                "{} Credential={}/{}, SignedHeaders={signed}, Signature={signature}",
                self.algorithm, self.id, self.scope,
            );
            request = request
                .uri(format!("{}?{query}", self.target))
                .header("authorization", value);
        }
        request
            .body(Bytes::from_static(self.body.as_bytes()))
            .expect("a request")
    }
}

pub(super) fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

pub(super) fn hash(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Signs a payload that differs from the body.
pub(super) fn payload(draft: &mut Draft, text: &str) {
    *draft.header("x-amz-content-sha256") = text.to_owned();
    draft.payload = text.to_owned();
}
