/// Removes the namespace of an error code, and the address that some services append
/// (Smithy, "AWS JSON 1.1 protocol", operation error serialization).
pub(crate) fn strip_namespace(code: &str) -> &str {
    let name = code.split([':', ';']).next().unwrap_or_default();
    name.rsplit('#').next().unwrap_or_default().trim()
}
