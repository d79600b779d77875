//! Names that the library's settings have in `gateway.toml`.

/// Returns the key, and perhaps the value, for a setting that a message of the library quotes.
pub(crate) fn setting_name<'a>(setting: &str) -> Option<&'a str> {
    Some(match setting {
        "PayloadMode::Mirror" => "payload = \"mirror\"",
        "SigningBehavior::NoOverride" => "signing = \"no-override\"",
        "AddressingStyle::Path" => "addressing_style = \"path\"",
        "OriginRule::any" => "path = \"/\"",
        "OriginRule::with_host" => "host",
        "AsSigned::with_services" => "services",
        "AsSigned::with_regions" => "regions",
        "VerifyServices::new" => "[[verify.service]]",
        "VerifySettings::add_region" => "region",
        "VerifySettings::with_sigv4a" => "sigv4a = true",
        "VerifySettings::with_presigned_uploads" => "presigned_uploads = true",
        "VerifySettings::with_unsigned_payload" => "unsigned_payload = true",
        "with_spool" => "spool_directory",
        _ => return None,
    })
}
