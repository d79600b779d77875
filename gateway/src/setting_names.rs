//! Names that the library's settings have in `gateway.toml`.

const NAMES: [(&str, &str); 31] = [
    ("AddressingStyle::Path", "addressing_style = \"path\""),
    ("AsSigned::with_regions", "regions"),
    ("AsSigned::with_services", "services"),
    ("OriginRule::any", "path = \"/\""),
    ("OriginRule::with_host", "host"),
    ("PayloadMode::Buffer", "payload = \"buffer\""),
    ("PayloadMode::Mirror", "payload = \"mirror\""),
    ("PayloadMode::Spool", "payload = \"spool\""),
    ("PayloadMode::Unsigned", "payload = \"unsigned\""),
    ("SigningBehavior::NoOverride", "signing = \"no-override\""),
    ("SigningSettings::multi_region", "region_set"),
    ("SigningSettings::with_path_form", "path_form"),
    ("SigningSettings::with_payload_header", "payload_header"),
    ("SigningSettings::with_session_token", "session_token"),
    (
        "SigningSettings::with_signed_headers",
        "signed_headers and unsigned_headers",
    ),
    ("VerifyServices::new", "[[verify.service]]"),
    ("VerifySettings", "[[verify.service]]"),
    (
        "VerifySettings::add_post_domain",
        "host = \"{bucket}.DOMAIN\"",
    ),
    ("VerifySettings::add_region", "region"),
    ("VerifySettings::add_unsigned_header", "unsigned_headers"),
    ("VerifySettings::with_post_policy", "post_policy = true"),
    (
        "VerifySettings::with_presigned_uploads",
        "presigned_uploads = true",
    ),
    ("VerifySettings::with_sigv4a", "sigv4a = true"),
    (
        "VerifySettings::with_unsigned_payload",
        "unsigned_payload = true",
    ),
    ("with_spool", "spool_directory"),
    // Commands that create the token.
    ("token::dsql", "aws dsql generate-db-connect-auth-token"),
    ("token::eks", "aws eks get-token"),
    ("token::elasticache", "redis_auth of [cache]"),
    ("token::memorydb", "redis_auth of [cache]"),
    ("token::msk", "aws-msk-iam-sasl-signer"),
    ("token::rds", "aws rds generate-db-auth-token"),
];

/// Returns the key, and perhaps the value, for a setting that a message of the library quotes.
pub(crate) fn setting_name<'a>(setting: &str) -> Option<&'a str> {
    let found = NAMES.iter().find(|(library, _)| *library == setting);
    found.map(|(_, own)| *own)
}

#[cfg(test)]
mod tests;
