//! Inference of signing name and region from a host of AWS.

mod nearest;
mod unsigned;

use smallvec::SmallVec;

use super::{
    SessionToken,
    endpoints::{FIXED_REGIONS, RENAMED, SAME_NAME, SUFFIXES, UNSIGNED_PAYLOAD},
    service_rules::service_rules,
};
use crate::{SigningSettings, error::Error};
use unsigned::UNSIGNED_DOMAINS;

/// Labels in hosts of customers' resources, which botocore does not list, with their signing names.
const RESOURCES: [(&str, &str); 25] = [
    // Amazon S3 User Guide, "Configuring fast, secure file transfers using Transfer Acceleration", "Managing
    // access to shared datasets with access points", "Amazon S3 on Outposts", "Regional and Zonal endpoints".
    ("s3-accelerate", "s3"),
    ("s3-accesspoint", "s3"),
    ("s3-outposts", "s3-outposts"),
    ("s3express", "s3express"),
    // AWS AppSync Developer Guide, "Configuring authorization", and of its real-time endpoint.
    ("appsync-api", "appsync"),
    ("appsync-realtime-api", "appsync"),
    // Agent Toolkit for AWS User Guide, "AWS MCP Server endpoints"; the name is that of AWS's `mcp-proxy-for-aws`.
    ("aws-mcp", "aws-mcp"),
    // Amazon Bedrock User Guide, "Inference using the bedrock-mantle endpoint"; the name is that of OpenAI's clients.
    ("bedrock-mantle", "bedrock-mantle"),
    // Amazon Managed Service for Prometheus User Guide, "Ingest metrics".
    ("aps-workspaces", "aps"),
    // Amazon DynamoDB Developer Guide, "Account-based endpoints".
    ("ddb", "dynamodb"),
    ("search-ddb", "dynamodb"),
    ("streams-ddb", "dynamodb"),
    // The same for Amazon Kinesis Data Streams.
    ("control-kinesis", "kinesis"),
    ("control-kinesis-queues", "kinesis"),
    ("data-kinesis", "kinesis"),
    ("data-kinesis-queues", "kinesis"),
    // Amazon OpenSearch Service Developer Guide, "Signing HTTP requests"; the region is the label before it.
    ("es", "es"),
    // Amazon API Gateway Developer Guide, "Invoke REST APIs".
    ("execute-api", "execute-api"),
    // AWS Lambda Developer Guide, "Invoking Lambda function URLs".
    ("lambda-url", "lambda"),
    // AWS Lambda Developer Guide, "Lambda Web Function endpoint access control".
    ("lambda-web", "lambda"),
    // Amazon Neptune User Guide, "Connecting to your Amazon Neptune database using AWS Identity and Access Management
    // authentication"; the region is the label before it.
    ("neptune", "neptune-db"),
    // OpenSearch Memory.
    ("osm", "osm"),
    // Amazon Timestream Developer Guide, "How the endpoint discovery pattern works": `query-cell1.timestream`.
    ("timestream", "timestream"),
    // Amazon Transcribe Developer Guide, "Transcribing with HTTP or WebSockets".
    ("transcribestreaming", "transcribe"),
    // Amazon VPC Lattice User Guide, "SigV4 authenticated requests".
    ("vpc-lattice-svcs", "vpc-lattice-svcs"),
];

/// Hosts of several regions, which have no region and require SigV4a, in the order of [`find`].
const MULTI_REGION: [(&str, &str); 5] = [
    // Amazon CloudFront KeyValueStore API Reference.
    ("cloudfront-kvs", "cloudfront-keyvaluestore"),
    // Amazon SES Developer Guide, "Global endpoints".
    ("endpoints.email", "ses"),
    // Amazon EventBridge User Guide, "Making applications Regional-fault tolerant with global endpoints".
    ("endpoint.events", "events"),
    // AWS Lambda Developer Guide, "Lambda Web Function endpoint access control".
    ("lambda-web", "lambda"),
    // Amazon S3 User Guide, "Making requests through a Multi-Region Access Point".
    ("accesspoint.s3-global", "s3"),
];

/// The suffix of resources' hosts that have no suffix of a partition, and its default region.
const ON_AWS: (&str, &str) = ("on.aws", "us-east-1");

/// Signing name and region of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AwsHost<'a> {
    Regional(&'static str, &'a str),
    MultiRegion(&'static str),
}

/// Reason why a host implies no signing name or region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InferError {
    NotAws,
    UnknownService,
    /// The signing name depends on the operation.
    MultipleServices(&'static str),
    UnknownRegion(&'static str),
    /// The host verifies no signature, for this reason.
    NotSigned(&'static str),
    /// The host is not a service of AWS, but a server behind it may verify signatures. The reason names that case.
    OwnServer(&'static str),
}

impl SigningSettings {
    /// Creates settings from a host of AWS, which implies signing name and region.
    ///
    /// The table contains the endpoints of all services in all partitions (standard, FIPS and dual-stack), VPC
    /// endpoints, and the hosts of customers' resources: API Gateway, Lambda function URLs, S3 buckets and access
    /// points, OpenSearch (managed and serverless), AppSync, VPC Lattice, Prometheus. The names are those of
    /// botocore. A host of several regions requires SigV4a, feature `sigv4a`.
    ///
    /// ```
    /// use tower_sigv4::SigningSettings;
    ///
    /// for (host, service, region) in [
    ///     ("abc123.execute-api.eu-west-1.amazonaws.com", "execute-api", "eu-west-1"),
    ///     ("search-logs-x2.us-east-1.es.amazonaws.com", "es", "us-east-1"),
    ///     ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "bedrock", "us-gov-west-1"),
    ///     ("bucket.s3.dualstack.cn-north-1.amazonaws.com.cn", "s3", "cn-north-1"),
    ///     ("iam.amazonaws.com", "iam", "us-east-1"),
    /// ] {
    ///     let settings = SigningSettings::infer(host)?;
    ///     assert_eq!((settings.service(), settings.region()), (service, region));
    /// }
    /// let error = SigningSettings::infer("api.example.com").unwrap_err();
    /// assert!(error.to_string().contains("api.example.com"));
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the host is not an AWS endpoint, such as a custom domain, or
    /// does not imply both; use [`new`](SigningSettings::new) then.
    pub fn infer(host: &str) -> Result<Self, Error> {
        Self::infer_with(host, "set service and region", Error::config)
    }

    /// As [`infer`](Self::infer), with the remedy and the kind of its errors.
    pub(crate) fn infer_with(
        host: &str,
        remedy: &str,
        new_error: fn(String) -> Error,
    ) -> Result<Self, Error> {
        let error = |problem: String| Err(new_error(format!("host {host:?} {problem}")));
        let lower = host.to_ascii_lowercase();
        match AwsHost::parse(without_port(&lower)) {
            Ok(AwsHost::Regional(service, region)) => {
                let settings = Self::new(service, region)?;
                Ok(if service == "s3express" && !is_zonal(host) {
                    settings.with_session_token(SessionToken::Signed)
                } else {
                    settings
                })
            }
            #[cfg(feature = "sigv4a")]
            Ok(AwsHost::MultiRegion(service)) => {
                Self::multi_region(service, crate::sigv4::RegionSet::new("*")?)
            }
            #[cfg(not(feature = "sigv4a"))]
            Ok(AwsHost::MultiRegion(service)) => error(format!(
                "is that of several regions of {service} and requires SigV4a; enable the feature `sigv4a`"
            )),
            Err(InferError::NotAws) => error(format!("is not an AWS endpoint; {remedy}")),
            Err(InferError::UnknownService) => {
                let similar = nearest::nearest(without_port(&lower))
                    .map(|known| format!("; the nearest known host is {known:?}"))
                    .unwrap_or_default();
                error(format!("belongs to an unknown service{similar}; {remedy}"))
            }
            Err(InferError::NotSigned(reason) | InferError::OwnServer(reason)) => {
                error(reason.to_owned())
            }
            Err(InferError::MultipleServices(names)) => error(format!(
                "is signed as {names}, depending on the operation; {remedy}"
            )),
            Err(InferError::UnknownRegion(service)) => {
                error(format!("belongs to {service} and has no region; {remedy}"))
            }
        }
    }
}

impl<'a> AwsHost<'a> {
    /// Parses a host in lower case, without a port. Does not allocate.
    pub(crate) fn parse(host: &'a str) -> Result<Self, InferError> {
        let Some((rest, mut default_region)) = split_suffix(host) else {
            let domain = UNSIGNED_DOMAINS.iter().find(|(name, _)| {
                host.strip_suffix(name)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            });
            return Err(domain.map_or(InferError::NotAws, |(_, reason)| *reason));
        };
        if rest.split('.').any(str::is_empty) {
            return Err(InferError::NotAws);
        }
        // From the last label. Labels before these are names of resources, such as a bucket's name with dots.
        let mut labels: SmallVec<[&str; 12]> = rest.rsplit('.').take(12).collect();
        let mut region = None;
        if let Some(at) = labels.iter().position(|label| is_region(label)) {
            region = Some(labels.remove(at));
        }
        let mut is_vpc_endpoint = false;
        labels.retain(|label| {
            if *label == "us-gov" {
                default_region = "us-gov-west-1";
            }
            is_vpc_endpoint |= *label == "vpce";
            !matches!(*label, "dualstack" | "fips" | "global" | "us-gov" | "vpce")
        });
        for label in &mut labels {
            *label = label.strip_suffix("-fips").unwrap_or(label);
        }
        if let Some(last) = labels.first_mut() {
            // `s3-us-west-2`, the former form of S3, and `s3express-use1-az4`.
            if let Some(name) = last.strip_prefix("s3-").filter(|name| is_region(name)) {
                *last = "s3";
                region = Some(name);
            } else if last.starts_with("s3express-") && *last != "s3express-control" {
                *last = "s3express";
            }
        }
        if !is_vpc_endpoint && let Some(reason) = unsigned::reason(&labels) {
            return Err(reason);
        }
        if region.is_none()
            && let Some((_, service)) = find(&MULTI_REGION, &labels)
        {
            return Ok(Self::MultiRegion(service));
        }
        let last = labels.first().ok_or(InferError::UnknownService)?;
        let (part, name) = RESOURCES
            .into_iter()
            .find(|(part, _)| part == last)
            .or_else(|| find(RENAMED, &labels))
            .or_else(|| {
                let at = SAME_NAME.binary_search(last).ok()?;
                Some((SAME_NAME[at], SAME_NAME[at]))
            })
            .ok_or(InferError::UnknownService)?;
        // An account's host for devices serves HTTP and MQTT over WebSocket, with different signing names.
        let service = if name == "iot" && labels.len() > 1 {
            "iotdata or iotdevicegateway"
        } else {
            name
        };
        if service.contains(' ') {
            return Err(InferError::MultipleServices(service));
        }
        if region.is_none() && part == "s3-accelerate" {
            return Err(InferError::UnknownRegion(service));
        }
        let host_region = region.unwrap_or(default_region);
        let signing_region = FIXED_REGIONS
            .iter()
            .find(|(other, fixed)| *other == part && partition(fixed) == partition(host_region))
            .map_or(host_region, |(_, fixed)| fixed);
        Ok(Self::Regional(service, signing_region))
    }
}

/// Removes the port: `ID.us-east-1.neptune.amazonaws.com:8182`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    }
}

/// Returns `true` for a service that accepts `UNSIGNED-PAYLOAD` for at least one operation.
pub(crate) fn accepts_unsigned_payload(service: &str) -> bool {
    let rules = service_rules(service);
    rules.s3_family
        || rules.requires_unsigned_payload
        || UNSIGNED_PAYLOAD.binary_search(&service).is_ok()
}

/// Returns `true` for a Zonal endpoint of S3 Express, such as `s3express-use1-az4`, which requires session tokens. The
/// Regional endpoint, `s3express-control`, requires IAM credentials (Amazon S3 User Guide, "Regional and Zonal
/// endpoints for directory buckets").
fn is_zonal(host: &str) -> bool {
    host.to_ascii_lowercase()
        .split('.')
        .any(|label| label.starts_with("s3express-") && !label.starts_with("s3express-control"))
}

/// Returns the prefix that all regions of the same partition share.
pub(crate) fn partition(region: &str) -> &str {
    const PREFIXES: [&str; 7] = [
        "cn-", "eu-isoe-", "eusc-", "us-gov-", "us-iso-", "us-isob-", "us-isof-",
    ];
    PREFIXES
        .into_iter()
        .find(|prefix| region.starts_with(prefix))
        .unwrap_or_default()
}

/// Returns the suffix of the hosts of a region.
pub(crate) fn dns_suffix(region: &str) -> &'static str {
    SUFFIXES
        .iter()
        .filter(|(suffix, _)| !suffix.starts_with("api."))
        .find(|(_, other)| partition(other) == partition(region))
        .map_or("amazonaws.com", |(suffix, _)| suffix)
}

/// Domains of AWS whose hosts are customers' machines (Amazon EC2 User Guide, "EC2 instance hostnames and
/// domains"; Elastic Load Balancing User Guide, "How Elastic Load Balancing works").
const MACHINES: [&str; 3] = ["compute", "compute-1", "elb"];

/// Returns `true` for a host in a domain of AWS, of any service, except customers' machines. The host has no port.
pub(crate) fn is_aws_host(host: &str) -> bool {
    split_suffix(host).is_some_and(|(rest, _)| !rest.is_empty() && !is_machine(rest))
}

/// Returns `true` for names such as `NAME.REGION.elb` and `NAME.elb.REGION`. The same label further left is the name of
/// a resource, such as a bucket.
fn is_machine(rest: &str) -> bool {
    let is_domain = |label: &str| MACHINES.iter().any(|name| label.eq_ignore_ascii_case(name));
    let mut labels = rest.rsplit('.');
    let last = labels.next().unwrap_or_default();
    is_domain(last)
        || (labels.next().is_some_and(is_domain) && is_region(&last.to_ascii_lowercase()))
}

/// Splits off the suffix of a partition in any case, and returns the rest and the partition's default region.
pub(crate) fn split_suffix(host: &str) -> Option<(&str, &'static str)> {
    SUFFIXES
        .iter()
        .chain([&ON_AWS])
        .filter_map(|(suffix, region)| {
            let at = host.len().checked_sub(suffix.len() + 1)?;
            let domain = host.get(at..)?.strip_prefix('.')?;
            let is_suffix = domain.eq_ignore_ascii_case(suffix);
            is_suffix.then_some((&host[..at], *region))
        })
        .min_by_key(|(rest, _)| rest.len())
}

/// Returns the entry that matches the most trailing labels of a host. The labels are in reverse order, by which the
/// table is sorted.
fn find(
    table: &[(&'static str, &'static str)],
    labels: &[&str],
) -> Option<(&'static str, &'static str)> {
    (1..=labels.len()).rev().find_map(|len| {
        let suffix = || labels[..len].iter().copied();
        let found = table.binary_search_by(|(part, _)| part.rsplit('.').cmp(suffix()));
        Some(table[found.ok()?])
    })
}

/// Returns `true` for a label in the form of a region: `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`.
pub(crate) fn is_region(label: &str) -> bool {
    const AREAS: [&str; 11] = [
        "af", "ap", "ca", "cn", "eu", "eusc", "il", "me", "mx", "sa", "us",
    ];
    const DIRECTIONS: &str =
        "central east north northeast northwest south southeast southwest west";
    let mut parts = label.rsplit('-');
    let (Some(number), Some(direction)) = (parts.next(), parts.next()) else {
        return false;
    };
    let area = label.split('-').next().unwrap_or_default();
    number.parse::<u8>().is_ok()
        && DIRECTIONS.split(' ').any(|known| known == direction)
        && AREAS.contains(&area)
        && parts.count() <= 2
}

#[cfg(test)]
mod tests;
