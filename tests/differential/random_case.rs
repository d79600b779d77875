//! Random requests.

use fastrand::Rng;
use http::Uri;
use tower_sigv4::sigv4::PathForm;

use super::{
    ASYMMETRIC, CLASSES,
    case::{Case, HASH, HASH_IN_HEADER, QUERY_FORMS, UNSIGNED, text},
};
use crate::common::random;

/// Returns a random request, except those that the tests at the end list.
pub(super) fn random_case(rng: &mut Rng) -> Case {
    loop {
        let asymmetric = cfg!(feature = "sigv4a") && rng.u8(..32) == 0;
        let (class, regions) = if asymmetric {
            (
                ASYMMETRIC[rng.usize(..4)],
                ["us-east-1,eu-west-1", "eu-west-1,us-*", "*"],
            )
        } else {
            (
                CLASSES[rng.usize(..8)],
                ["us-east-1", "eu-west-1", "us-gov-west-1"],
            )
        };
        let is_presigned = class.ends_with("QueryAuth");
        let is_s3 = class.contains("S3");
        let form = if is_s3 {
            PathForm::Once
        } else {
            PathForm::TwiceFolded
        };
        let mut uri = random::uri(rng, form).replace("EXAMPLE", "example");
        if uri.contains('?') && !is_presigned && rng.u8(..8) == 0 {
            uri.push_str("&b=2&b=1&b=&b");
        }
        let mut headers = random::headers(rng);
        for (_, value) in &mut headers {
            if rng.u8(..4) == 0 {
                *value = value.replace("  ", " \t");
            }
        }
        let payload = match (is_s3, is_presigned, rng.u8(..4)) {
            (true, true, _) => UNSIGNED,
            (_, false, 0) if is_s3 || uri.starts_with("https:") => UNSIGNED,
            (false, false, 1) => HASH_IN_HEADER,
            _ => HASH,
        };
        let body_len = if payload == HASH && is_presigned {
            0
        } else {
            rng.usize(..200)
        };
        let case = Case {
            class,
            service: if is_s3 { "s3" } else { "execute-api" },
            region: regions[rng.usize(..3)],
            // Few secrets, since the Python program derives keys of SigV4a slowly.
            secret: if asymmetric {
                format!("secret{}", rng.u8(..16))
            } else {
                text(rng, 80)
            },
            token: rng.bool().then(|| text(rng, 600)),
            time: rng.u64(1_000..18_000_000_000),
            expires: is_presigned.then(|| rng.u64(1..=604_800)),
            method: ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "PURGE"][rng.usize(..7)],
            uri,
            query_form: QUERY_FORMS[rng.usize(..3)],
            headers,
            body: (0..body_len).map(|_| rng.u8(..)).collect(),
            payload,
        };
        if case.uri.parse::<Uri>().is_ok() && case.is_signed_alike() {
            return case;
        }
    }
}
