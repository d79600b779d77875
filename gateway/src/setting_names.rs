//! Names that the library's settings have in `gateway.toml`.

/// Returns the key, and perhaps the value, for a setting that a message of the library quotes.
pub(crate) fn setting_name<'a>(setting: &str) -> Option<&'a str> {
    let name = setting.rsplit("::").next().unwrap_or(setting);
    Some(match name {
        "Mirror" => "payload = \"mirror\"",
        "NoOverride" => "signing = \"no-override\"",
        "any" => "path = \"/\"",
        "with_spool" => "spool_directory",
        "with_body_limit" => "body_limit",
        "with_unsigned_payload" => "unsigned_payload",
        "with_presigned_uploads" => "presigned_uploads",
        "with_required_headers" => "required_headers",
        "add_unsigned_header" => "unsigned_headers",
        "with_body_check" => "body",
        "with_services" => "services",
        "with_regions" => "regions",
        "with_amz_headers" => "amz_headers",
        "with_query_parameters" => "query_parameters",
        "with_host" => "host",
        _ => return None,
    })
}
