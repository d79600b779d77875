//! Names of the arrays of tables, such as `[[route]]`.

pub(super) const ARRAYS: [&str; 4] = ["caller", "identity", "origin", "route"];
/// Arrays of `[verify]`.
pub(super) const VERIFY_ARRAYS: [&str; 3] = ["jwt", "key", "service"];

/// Returns `true` for the name of such an array, such as `route` or `verify.key`.
pub(super) fn is_array(name: &str) -> bool {
    // The file of keys has `[[key]]`.
    let of_verify = name.strip_prefix("verify.").unwrap_or(name);
    ARRAYS.contains(&name) || VERIFY_ARRAYS.contains(&of_verify)
}
