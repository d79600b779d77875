use crate::Error;

/// An endpoint of STS whose URLs are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) region: String,
    /// Partition of the ARNs in its responses.
    pub(super) partition: &'static str,
}

/// Prefixes of regions, with partition and DNS suffix (AWS SDKs, `partitions.json`). Longer prefixes come first.
const PARTITIONS: [(&str, &str, &str); 8] = [
    ("cn-", "aws-cn", "amazonaws.com.cn"),
    ("us-gov-", "aws-us-gov", "amazonaws.com"),
    ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
    ("us-isof-", "aws-iso-f", "csp.hci.ic.gov"),
    ("us-iso-", "aws-iso", "c2s.ic.gov"),
    ("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"),
    ("eusc-", "aws-eusc", "amazonaws.eu"),
    ("", "aws", "amazonaws.com"),
];

impl Endpoint {
    /// Returns the endpoints of a region. `us-east-1` has the global one too (AWS STS API Reference, "Endpoints").
    pub(super) fn for_region(region: &str) -> Result<Vec<Self>, Error> {
        if !is_region(region) {
            return Err(Error::new(format!(
                "{region:?} is not a region; use one such as \"eu-west-1\""
            )));
        }
        let known = PARTITIONS
            .into_iter()
            .find(|(prefix, ..)| region.starts_with(prefix));
        let (_, partition, suffix) = known.unwrap_or(("", "aws", "amazonaws.com"));
        let endpoint = |host: String| Self {
            host,
            region: region.to_owned(),
            partition,
        };
        let mut endpoints = vec![endpoint(format!("sts.{region}.{suffix}"))];
        if region == "us-east-1" {
            endpoints.push(endpoint("sts.amazonaws.com".to_owned()));
        }
        Ok(endpoints)
    }
}

fn is_region(name: &str) -> bool {
    let mut parts = name.split('-');
    let number = parts.next_back().unwrap_or_default();
    let is_lower =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    name.len() <= 32
        && name.contains('-')
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && parts.all(is_lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_those_of_the_partition() {
        for (region, partition, hosts) in [
            (
                "us-east-1",
                "aws",
                &["sts.us-east-1.amazonaws.com", "sts.amazonaws.com"][..],
            ),
            ("eu-west-1", "aws", &["sts.eu-west-1.amazonaws.com"]),
            ("cn-north-1", "aws-cn", &["sts.cn-north-1.amazonaws.com.cn"]),
            (
                "us-gov-west-1",
                "aws-us-gov",
                &["sts.us-gov-west-1.amazonaws.com"],
            ),
            (
                "us-iso-east-1",
                "aws-iso",
                &["sts.us-iso-east-1.c2s.ic.gov"],
            ),
            (
                "us-isob-east-1",
                "aws-iso-b",
                &["sts.us-isob-east-1.sc2s.sgov.gov"],
            ),
            (
                "eusc-de-east-1",
                "aws-eusc",
                &["sts.eusc-de-east-1.amazonaws.eu"],
            ),
        ] {
            let endpoints = Endpoint::for_region(region).expect("a region");
            let found: Vec<_> = endpoints.iter().map(|endpoint| &*endpoint.host).collect();
            assert_eq!(
                (found.as_slice(), endpoints[0].partition),
                (hosts, partition)
            );
        }
    }

    #[test]
    fn invalid_regions_are_rejected() {
        for name in [
            "",
            "-",
            "-1",
            "1",
            "us",
            "us-east",
            "us-east-1.evil",
            "US-EAST-1",
            "us--1",
            "a/-1",
            "us-east-1 ",
        ] {
            assert!(Endpoint::for_region(name).is_err(), "{name}");
        }
    }
}
