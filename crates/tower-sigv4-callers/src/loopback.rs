use std::net::IpAddr;

/// Returns `true` for a host that is this machine by its name or address. Case, the brackets of an IPv6 address and a
/// dot at the end do not matter.
///
/// ```
/// use tower_sigv4_callers::is_loopback;
///
/// for host in ["localhost", "LOCALHOST.", "127.0.0.2", "[::1]"] {
///     assert!(is_loopback(host), "{host}");
/// }
/// for host in ["localhost.example.com", "10.0.0.1", "[::2]", ""] {
///     assert!(!is_loopback(host), "{host}");
/// }
/// ```
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}
