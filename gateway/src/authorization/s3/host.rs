//! Buckets in hosts of AWS.

/// Returns the bucket in a host of S3 without its port, or `None` if the host is not judged: that of S3 on Outposts, S3
/// Control or a multi-Region access point. The bucket is empty for a host of path-style requests.
pub(crate) fn bucket_in_host(host: &str) -> Option<&str> {
    let mut end = host.len();
    // From the last label, since a bucket may have dots and be called `s3`.
    for label in host.rsplit('.') {
        let start = end - label.len();
        if label == "s3" || label.starts_with("s3-") || label.starts_with("s3express") {
            let before = host[..start].trim_end_matches('.');
            return is_data_endpoint(label)
                .then(|| without_vpc_endpoint(before))
                .flatten();
        }
        end = start.saturating_sub(1);
    }
    None
}

/// Amazon S3 User Guide, "Amazon S3 endpoints and quotas", "Regional and Zonal endpoints for directory buckets".
fn is_data_endpoint(label: &str) -> bool {
    let is_region = |name: &str| {
        !name.starts_with("website-")
            && name.ends_with(|digit: char| digit.is_ascii_digit())
            && name.matches('-').count() >= 2
    };
    matches!(
        label,
        "s3" | "s3-fips"
            | "s3-accelerate"
            | "s3-accesspoint"
            | "s3-accesspoint-fips"
            | "s3-external-1"
    ) || label.strip_prefix("s3-").is_some_and(is_region)
        || label
            .strip_prefix("s3express-")
            .is_some_and(|zone| zone != "control")
}

/// Removes the labels of an interface endpoint: `bucket.vpce-1a2b` (Amazon S3 User Guide, "AWS PrivateLink").
fn without_vpc_endpoint(before: &str) -> Option<&str> {
    let (rest, last) = before.rsplit_once('.').unwrap_or(("", before));
    if !last.starts_with("vpce-") {
        return Some(before);
    }
    let (bucket, kind) = rest.rsplit_once('.').unwrap_or(("", rest));
    matches!(kind, "bucket" | "accesspoint").then_some(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_found_in_hosts_of_aws() {
        for (host, expected) in [
            ("s3.us-east-1.amazonaws.com", Some("")),
            ("s3.amazonaws.com", Some("")),
            ("s3.dualstack.us-east-1.amazonaws.com", Some("")),
            ("s3-fips.us-gov-west-1.amazonaws.com", Some("")),
            ("s3-us-west-2.amazonaws.com", Some("")),
            ("bucket-a.s3.us-east-1.amazonaws.com", Some("bucket-a")),
            ("a.b.s3.us-east-1.amazonaws.com", Some("a.b")),
            ("s3.s3.us-east-1.amazonaws.com", Some("s3")),
            ("bucket-a.s3-accelerate.amazonaws.com", Some("bucket-a")),
            (
                "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
                Some("b--use1-az4--x-s3"),
            ),
            (
                "ap-123456789012.s3-accesspoint.us-east-1.amazonaws.com",
                Some("ap-123456789012"),
            ),
            (
                "bucket.vpce-1a2b-3c.s3.us-east-1.vpce.amazonaws.com",
                Some(""),
            ),
            (
                "bucket-a.bucket.vpce-1a2b-3c.s3.us-east-1.vpce.amazonaws.com",
                Some("bucket-a"),
            ),
            ("control.vpce-1a2b-3c.s3.us-east-1.vpce.amazonaws.com", None),
            ("123456789012.s3-control.us-east-1.amazonaws.com", None),
            ("s3express-control.us-east-1.amazonaws.com", None),
            ("x.s3-outposts.us-east-1.amazonaws.com", None),
            ("x.s3-object-lambda.us-east-1.amazonaws.com", None),
            ("alias.mrap.accesspoint.s3-global.amazonaws.com", None),
            ("site.s3-website-us-east-1.amazonaws.com", None),
            ("s3-website-us-east-1.amazonaws.com", None),
            ("dynamodb.us-east-1.amazonaws.com", None),
        ] {
            assert_eq!(bucket_in_host(host), expected, "{host}");
        }
    }
}
