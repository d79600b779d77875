//! Buckets of S3 that may be in another region than their origin.

use std::sync::Arc;

use super::bucket_host::is_bucket_name;
use crate::{
    Origin, SigningSettings,
    sigv4::{
        infer::{is_region, partition, split_suffix},
        scope::matches_pattern,
    },
};

/// A bucket, and the origin that its requests are sent to unless its region is known to be another.
#[derive(Clone, Debug)]
pub(crate) struct BucketHome {
    origin: Origin,
    /// Signed host, and the bucket if the host does not have it.
    key: Arc<str>,
    in_path: bool,
}

impl BucketHome {
    /// Returns the bucket of a request with this path, if the origin is S3 of AWS and follows its redirects.
    pub(crate) fn new(origin: &Origin, path: &str) -> Option<Self> {
        if !origin.follows_redirects() {
            return None;
        }
        let endpoint = Endpoint::parse(origin.host())?;
        let in_path = endpoint.bucket.is_empty();
        let key = if in_path {
            let bucket = path.strip_prefix('/')?.split('/').next()?;
            let known = is_bucket_name(bucket).then_some(bucket)?;
            [origin.host(), "/", known].concat()
        } else {
            origin.host().to_owned()
        };
        Some(Self {
            origin: origin.clone(),
            key: key.into(),
            in_path,
        })
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Returns `true` if the host serves other buckets, too.
    pub(crate) fn shares_host(&self) -> bool {
        self.in_path
    }

    /// Returns the same origin in another region of the same partition: its host differs in the region alone.
    ///
    /// Returns `None` for a region that an [`AsSigned`](super::AsSigned) does not list.
    pub(crate) fn in_region(&self, region: &str) -> Option<Origin> {
        let own = &self.origin.options().settings;
        if !is_region(region) || partition(region) != partition(own.region()) {
            return None;
        }
        if region == own.region() {
            return Some(self.origin.clone());
        }
        let patterns = self.origin.options().redirect_regions.as_deref();
        let is_listed = |pattern: &String| matches_pattern(pattern, region);
        if patterns.is_some_and(|list| !list.iter().any(is_listed)) {
            return None;
        }
        let host = Endpoint::parse(self.origin.host())?.host_in(region);
        // The table of endpoints has the last word.
        let inferred = SigningSettings::infer(&host).ok()?;
        let is_s3 = (inferred.service(), inferred.region()) == ("s3", region);
        is_s3.then(|| self.origin.at_host(&host, own.for_region(region)))?
    }
}

/// A host of S3, such as `bucket.s3.dualstack.us-east-1.amazonaws.com` (AWS General Reference, "Amazon Simple Storage
/// Service endpoints and quotas"). Access points, accelerated and other endpoints are bound to their region.
#[derive(Debug, PartialEq)]
struct Endpoint<'a> {
    /// Empty for a host without a bucket.
    bucket: &'a str,
    /// `s3` or `s3-fips`
    service: &'a str,
    is_dual_stack: bool,
    /// `.amazonaws.com`
    suffix: &'a str,
}

impl<'a> Endpoint<'a> {
    fn parse(host: &'a str) -> Option<Self> {
        let (name, _) = split_suffix(host)?;
        let suffix = &host[name.len()..];
        let (rest, last) = split_last(name);
        let former_region = last.strip_prefix("s3-").filter(|it| is_region(it));
        if last == "s3" || former_region.is_some() {
            return Some(Self {
                bucket: rest,
                service: "s3",
                is_dual_stack: false,
                suffix,
            });
        }
        if !is_region(last) {
            return None;
        }
        let (before, label) = split_last(rest);
        let is_dual_stack = label == "dualstack";
        let (bucket, service) = if is_dual_stack {
            split_last(before)
        } else {
            (before, label)
        };
        matches!(service, "s3" | "s3-fips").then_some(Self {
            bucket,
            service,
            is_dual_stack,
            suffix,
        })
    }

    fn host_in(&self, region: &str) -> String {
        let dot = if self.bucket.is_empty() { "" } else { "." };
        let variant = if self.is_dual_stack { ".dualstack" } else { "" };
        let (bucket, service) = (self.bucket, self.service);
        [bucket, dot, service, variant, ".", region, self.suffix].concat()
    }
}

/// Splits off the last label; the rest is empty if there is one label.
fn split_last(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::AsSigned;

    fn home(url: &str, path: &str) -> Option<BucketHome> {
        BucketHome::new(&Origin::infer(url).expect(url), path)
    }

    #[test]
    fn only_the_region_of_a_host_changes() {
        for (host, region, expected) in [
            (
                "s3.amazonaws.com",
                "eu-west-1",
                "s3.eu-west-1.amazonaws.com",
            ),
            (
                "s3.us-east-1.amazonaws.com",
                "eu-west-1",
                "s3.eu-west-1.amazonaws.com",
            ),
            (
                "s3-us-west-2.amazonaws.com",
                "eu-west-1",
                "s3.eu-west-1.amazonaws.com",
            ),
            (
                "b.s3.amazonaws.com",
                "eu-west-1",
                "b.s3.eu-west-1.amazonaws.com",
            ),
            (
                "a.b.s3.us-east-1.amazonaws.com",
                "ap-south-1",
                "a.b.s3.ap-south-1.amazonaws.com",
            ),
            (
                "s3.dualstack.us-east-1.amazonaws.com",
                "us-east-2",
                "s3.dualstack.us-east-2.amazonaws.com",
            ),
            (
                "s3-fips.us-east-1.amazonaws.com",
                "us-west-2",
                "s3-fips.us-west-2.amazonaws.com",
            ),
            (
                "s3.cn-north-1.amazonaws.com.cn",
                "cn-northwest-1",
                "s3.cn-northwest-1.amazonaws.com.cn",
            ),
            (
                "s3.us-gov-west-1.amazonaws.com",
                "us-gov-east-1",
                "s3.us-gov-east-1.amazonaws.com",
            ),
        ] {
            let found = home(&format!("https://{host}"), "/bucket/key").expect(host);
            let moved = found.in_region(region).expect(host);
            assert_eq!(moved.host(), expected);
            assert_eq!(moved.authority().as_str(), expected);
            assert_eq!(moved.options().settings.region(), region);
        }
    }

    #[test]
    fn regions_of_other_partitions_and_invalid_ones_are_not_followed() {
        for host in ["s3.us-east-1.amazonaws.com", "b.s3.us-east-1.amazonaws.com"] {
            let found = home(&format!("https://{host}"), "/bucket/key").expect(host);
            for region in [
                "",
                "evil.example.com",
                "us-east-1.evil.com",
                "us-east-1/",
                "cn-north-1",
                "us-gov-west-1",
                "eusc-de-east-1",
                "US-EAST-2",
                "nowhere",
                "xx-east-1",
                "us-east-2.amazonaws.com:80@evil",
            ] {
                assert!(found.in_region(region).is_none(), "{host} {region:?}");
            }
        }
    }

    #[test]
    fn regions_outside_the_lists_of_as_signed_are_not_followed() {
        let origin = Origin::infer("https://s3.us-east-1.amazonaws.com").expect("S3");
        let (head, ()) = http::Request::get("/bucket/key")
            .body(())
            .expect("a request")
            .into_parts();
        let listed = AsSigned::new(origin)
            .with_regions(["us-east-1", "eu-*"])
            .expect("valid");
        let chosen = listed.choose(&head).expect("the origin");
        let found = BucketHome::new(&chosen, "/bucket/key").expect("a bucket");
        for (region, is_followed) in [
            ("us-east-1", true),
            ("eu-west-1", true),
            ("us-west-2", false),
            ("ap-south-1", false),
        ] {
            let moved = found.in_region(region);
            assert_eq!(moved.is_some(), is_followed, "{region}");
        }
    }

    #[test]
    fn other_hosts_and_paths_have_no_bucket() {
        for (url, path) in [
            ("https://s3.us-east-1.amazonaws.com", "/"),
            ("https://s3.us-east-1.amazonaws.com", "/UPPER/key"),
            ("https://s3.us-east-1.amazonaws.com", "/a%62c/key"),
            ("https://s3.us-east-1.amazonaws.com:8443", "/bucket/key"),
            (
                "https://ap-123456789012.s3-accesspoint.us-east-1.amazonaws.com",
                "/key",
            ),
            (
                "https://123456789012.s3-control.us-east-1.amazonaws.com",
                "/bucket/key",
            ),
            (
                "https://b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
                "/key",
            ),
            (
                "https://abc123.execute-api.us-east-1.amazonaws.com",
                "/bucket/key",
            ),
        ] {
            assert!(home(url, path).is_none(), "{url} {path}");
        }
        let infer = || Origin::infer("https://s3.us-east-1.amazonaws.com").expect("S3");
        let tunnel = Origin::new(
            "http://127.0.0.1:1",
            SigningSettings::new("s3", "us-east-1").expect("valid"),
        );
        let tunnel = tunnel
            .expect("valid")
            .with_signed_host("s3.us-east-1.amazonaws.com");
        for origin in [
            infer().with_redirects(false),
            infer().with_recovery(false),
            tunnel.expect("valid"),
        ] {
            assert!(
                BucketHome::new(&origin, "/bucket/key").is_none(),
                "{origin:?}"
            );
        }
        assert!(BucketHome::new(&infer(), "/bucket").is_some());
    }
}
