//! Remedies in the words of a user of the gateway: keys of its configuration, and settings of clients.

use tower_sigv4::doctor::{Cause, Diagnosis};

/// Returns the remedies of a rejection, the most likely one first.
pub(crate) fn for_diagnosis(diagnosis: &Diagnosis) -> &'static [&'static str] {
    diagnosis
        .specific_remedies()
        .unwrap_or_else(|| of(diagnosis.cause()))
}

/// Returns the remedies of a cause. One that names a setting of the library becomes one for `gateway.toml`.
pub(crate) fn of(cause: Cause) -> &'static [&'static str] {
    match cause {
        Cause::HostChanged => &[
            "sign for the host that the origin sees: call the origin's own URL, or set signed_host in [[origin]], and \
             let no proxy rewrite the host",
        ],
        Cause::PathEncoding => &[
            "do not decode or encode the path after signing, and send a plus to S3 as %2B",
            "if the origin is a server that encodes paths in another way, set path_form in [[origin]]",
            "in a client, check that it signs for the service that it calls, since S3 encodes paths once and the \
             others twice",
        ],
        Cause::QueryOrder => &[
            "do not sort the query after signing, or send it sorted: wire_form = \"canonical\" in [[origin]]",
        ],
        Cause::QueryEncoding => &[
            "do not decode or encode the query after signing, or send it as it is signed: wire_form = \"canonical\" in \
             [[origin]]",
            "let a client send each parameter as name=value with percent-encoding",
        ],
        Cause::HeaderDropped => &[
            "make every proxy pass the header on, or leave it unsigned: unsigned_headers in [[origin]], or a setting of \
             the client",
        ],
        Cause::HeaderChanged => &[
            "do not change the header after signing, or leave it unsigned: unsigned_headers in [[origin]], or a setting \
             of the client",
        ],
        Cause::HeaderNotSigned => &[
            "sign the header: curl -d adds content-type and does not sign it, so name it with -H 'content-type: ...', \
             which curl signs",
            "do not add the header after signing: S3 accepts no unsigned x-amz-* header, and some other servers no \
             unsigned content-type",
            "if the server is a gateway, required_headers = [] in [verify] accepts an unsigned content-type",
        ],
        Cause::UrlExpired => &[
            "presign for longer, up to 604,800 seconds: expires in [[origin]], or a setting of the client",
            "synchronize the clock of the machine that presigns",
        ],
        Cause::PayloadKind => &[
            "sign and send the payload's hash: payload = \"buffer\" in [[origin]], payload_signing_enabled in a \
             client of boto3",
            "VPC Lattice alone requires UNSIGNED-PAYLOAD",
        ],
        Cause::NotSigned => &[
            "make every proxy pass authorization on, or presign",
            "if no component signs, put the gateway before the origin, with signing = \"always\"",
        ],
        Cause::TokenMissing => &[
            "set session_token in [credentials] or [[identity]], or AWS_SESSION_TOKEN with source = \"env\" and in a \
             client: access key IDs starting with ASIA are temporary",
        ],
        Cause::WrongRegion => &[
            "sign for the region of the endpoint: region in [[origin]], --region or AWS_REGION in a client; a gateway \
             expects service and region of its [verify]",
            "if the day is wrong, use the same time for the scope and x-amz-date",
        ],
        Cause::WrongService => &[
            "sign for the signing name of the service: service in [[origin]], the last part of --aws-sigv4 in curl",
        ],
        Cause::ScopeNotAllowed => &[
            "let the client sign for the host that it calls and for a listed service and region, or add them to \
             services and region in [[origin]]",
        ],
        Cause::BucketHost => &[
            "set the client to path-style addressing, or add a route with host = \"{bucket}.NAME\"",
        ],
        Cause::SecretOrClient => &[
            "check the signature with the secret access key, which stays on the machine: sigv4-gateway --explain FILE \
             --secret-env NAME, with the exchange in FILE and the secret in the environment variable NAME",
        ],
        Cause::TokenExpired => &[
            "use a source of credentials that refreshes them: source = \"aws\" in [credentials], or a profile in a \
             client",
        ],
        Cause::Mismatch => &[
            "look for a proxy that changes host, path, query, signed headers or body, then check the secret: \
             sigv4-gateway --explain FILE --secret-env NAME, with the exchange in FILE and the secret in the environment \
             variable NAME",
            "to see the difference, send the same request to the demonstration: sigv4-gateway without arguments",
            "if the request has x-forwarded-host, set forwarded = \"none\" in [[origin]], since some servers derive the \
             host from it",
        ],
        other => other.remedies(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_name_the_keys_of_the_gateway() {
        for (cause, name) in [
            (Cause::HostChanged, "signed_host in [[origin]]"),
            (Cause::PathEncoding, "path_form in [[origin]]"),
            (Cause::QueryOrder, "wire_form = \"canonical\" in [[origin]]"),
            (
                Cause::QueryEncoding,
                "wire_form = \"canonical\" in [[origin]]",
            ),
            (Cause::HeaderDropped, "unsigned_headers in [[origin]]"),
            (Cause::HeaderChanged, "unsigned_headers in [[origin]]"),
            (Cause::HeaderNotSigned, "required_headers = [] in [verify]"),
            (Cause::WrongRegion, "region of its [verify]"),
            (Cause::PayloadKind, "payload = \"buffer\" in [[origin]]"),
            (Cause::UrlExpired, "expires in [[origin]]"),
            (Cause::TokenMissing, "session_token in [credentials]"),
            (Cause::TokenMissing, "AWS_SESSION_TOKEN"),
            (Cause::Mismatch, "forwarded = \"none\" in [[origin]]"),
        ] {
            let remedies = of(cause).join("\n");
            assert!(remedies.contains(name), "{cause}: {remedies}");
        }
    }

    #[test]
    fn remedies_do_not_name_settings_of_the_library() {
        for &cause in Cause::ALL {
            let remedies = of(cause).join("\n");
            for word in ["::", "with_", "SigningLayer", "Origin"] {
                assert!(!remedies.contains(word), "{cause}: {remedies}");
            }
        }
    }
}
