//! From a host of AWS to the name and the region that requests to it are signed for.

use smallvec::SmallVec;

use super::{
    SessionToken,
    endpoints::{ELSEWHERE, OTHER, SAME, SUFFIXES, UNSIGNED_PAYLOAD},
    service_rules::service_rules,
};
use crate::{SigningSettings, error::Error};

/// Parts of hosts that botocore does not know by themselves, since they are a customer's own.
const TENANTS: [(&str, &str); 19] = [
    // Amazon S3 User Guide, "Configuring fast, secure file transfers using Transfer Acceleration", "Managing
    // access to shared datasets with access points", "Amazon S3 on Outposts", "Regional and Zonal endpoints".
    ("s3-accelerate", "s3"),
    ("s3-accesspoint", "s3"),
    ("s3-outposts", "s3-outposts"),
    ("s3express", "s3express"),
    // AWS AppSync Developer Guide, "Configuring authorization", and of its real-time endpoint.
    ("appsync-api", "appsync"),
    ("appsync-realtime-api", "appsync"),
    // Amazon Managed Service for Prometheus User Guide, "Ingest metrics".
    ("aps-workspaces", "aps"),
    // Amazon DynamoDB Developer Guide, "Account-based endpoints".
    ("ddb", "dynamodb"),
    ("search-ddb", "dynamodb"),
    ("streams-ddb", "dynamodb"),
    // Amazon Kinesis Data Streams, the same.
    ("control-kinesis", "kinesis"),
    ("control-kinesis-queues", "kinesis"),
    ("data-kinesis", "kinesis"),
    ("data-kinesis-queues", "kinesis"),
    // Amazon OpenSearch Service Developer Guide, "Signing HTTP requests"; the region stands before it.
    ("es", "es"),
    // Amazon API Gateway Developer Guide, "Invoke REST APIs".
    ("execute-api", "execute-api"),
    // AWS Lambda Developer Guide, "Invoking Lambda function URLs".
    ("lambda-url", "lambda"),
    // OpenSearch Memory, by its space.
    ("osm", "osm"),
    // Amazon VPC Lattice User Guide, "SigV4 authenticated requests".
    ("vpc-lattice-svcs", "vpc-lattice-svcs"),
];

/// Hosts of several regions, which take SigV4a; in the order of [`find`].
const MULTI_REGION: [(&str, &str); 4] = [
    // Amazon CloudFront KeyValueStore API Reference.
    ("cloudfront-kvs", "cloudfront-keyvaluestore"),
    // Amazon SES Developer Guide, "Global endpoints".
    ("endpoints.email", "ses"),
    // Amazon EventBridge User Guide, "Making applications Regional-fault tolerant with global endpoints".
    ("endpoint.events", "events"),
    // Amazon S3 User Guide, "Making requests through a Multi-Region Access Point".
    ("accesspoint.s3-global", "s3"),
];

/// Where customers' own hosts end that have no suffix of a partition.
const ON_AWS: (&str, &str) = ("on.aws", "us-east-1");

/// What a host tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AwsHost<'a> {
    Regional(&'static str, &'a str),
    MultiRegion(&'static str),
}

/// Why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InferError {
    NotAws,
    UnknownService,
    /// There are several, by what is asked.
    MultipleServices(&'static str),
    UnknownRegion(&'static str),
}

impl SigningSettings {
    /// The rules for a host of AWS, from which signing name and region are told.
    ///
    /// Known are the endpoints of all services in all partitions, plain, FIPS and dual-stack, VPC endpoints,
    /// and the hosts of customers' own resources: API Gateway, Lambda function URLs, S3 buckets and access
    /// points, OpenSearch (managed and serverless), AppSync, VPC Lattice, Prometheus. The names are those of
    /// botocore. A host that stands for several regions takes SigV4a, with the feature `sigv4a`.
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
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a host that is none of AWS, a custom domain above
    /// all, or does not tell both; [`new`](SigningSettings::new) takes them from you.
    pub fn infer(host: &str) -> Result<Self, Error> {
        Self::infer_with(host, "give service and region", Error::config)
    }

    /// The same, with a remedy and a kind of error for who asks.
    pub(crate) fn infer_with(
        host: &str,
        give: &str,
        error: fn(String) -> Error,
    ) -> Result<Self, Error> {
        let error = |what: String| Err(error(format!("host {host:?} {what}")));
        match AwsHost::parse(&host.to_ascii_lowercase()) {
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
                "stands for several regions of {service}, which takes SigV4a; switch the feature `sigv4a` on"
            )),
            Err(InferError::NotAws) => error(format!(
                "is none of AWS, so that it does not tell what to sign for, as no custom domain does; {give} \
                 of what is behind it"
            )),
            Err(InferError::UnknownService) => {
                error(format!("is of no service that is known here; {give}"))
            }
            Err(InferError::MultipleServices(names)) => {
                error(format!("is signed as {names}, by what is asked; {give}"))
            }
            Err(InferError::UnknownRegion(service)) => error(format!(
                "is of {service} and does not tell the region; {give}"
            )),
        }
    }
}

impl<'a> AwsHost<'a> {
    /// Reads a host in lower case, without a port. Nothing is allocated.
    pub(crate) fn parse(host: &'a str) -> Result<Self, InferError> {
        let (rest, home) = split_suffix(host).ok_or(InferError::NotAws)?;
        if rest.split('.').any(str::is_empty) {
            return Err(InferError::NotAws);
        }
        // From the last one on. What stands before these is a tenant's, such as a bucket's name with dots.
        let mut labels: SmallVec<[&str; 12]> = rest.rsplit('.').take(12).collect();
        let mut home = home;
        let mut region = None;
        if let Some(at) = labels.iter().position(|label| is_region(label)) {
            region = Some(labels.remove(at));
        }
        labels.retain(|label| {
            if *label == "us-gov" {
                home = "us-gov-west-1";
            }
            !matches!(*label, "dualstack" | "fips" | "global" | "us-gov" | "vpce")
        });
        for label in &mut labels {
            *label = label.strip_suffix("-fips").unwrap_or(label);
        }
        if let Some(last) = labels.first_mut() {
            // `s3-us-west-2`, as S3 wrote it once, and `s3express-use1-az4`.
            if let Some(old) = last.strip_prefix("s3-").filter(|name| is_region(name)) {
                (*last, region) = ("s3", Some(old));
            } else if last.starts_with("s3express-") && *last != "s3express-control" {
                *last = "s3express";
            }
        }
        if let Some((_, service)) = find(&MULTI_REGION, &labels) {
            return Ok(Self::MultiRegion(service));
        }
        let last = labels.first().ok_or(InferError::UnknownService)?;
        let (part, service) = TENANTS
            .into_iter()
            .find(|(part, _)| part == last)
            .or_else(|| find(OTHER, &labels))
            .or_else(|| SAME.binary_search(last).ok().map(|at| (SAME[at], SAME[at])))
            .ok_or(InferError::UnknownService)?;
        // Of an account's own host for devices: by HTTP and by MQTT over WebSocket.
        let service = match service {
            "iot" if labels.len() > 1 => "iotdata or iotdevicegateway",
            service => service,
        };
        if service.contains(' ') {
            return Err(InferError::MultipleServices(service));
        }
        if region.is_none() && part == "s3-accelerate" {
            return Err(InferError::UnknownRegion(service));
        }
        let named = region.unwrap_or(home);
        let elsewhere = ELSEWHERE
            .iter()
            .find(|(other, region)| *other == part && partition(region) == partition(named));
        Ok(Self::Regional(
            service,
            elsewhere.map_or(named, |(_, region)| region),
        ))
    }
}

/// True for a service that takes `UNSIGNED-PAYLOAD`, for one of its operations at least.
pub(crate) fn accepts_unsigned_payload(service: &str) -> bool {
    let rules = service_rules(service);
    rules.s3_family
        || rules.requires_unsigned_payload
        || UNSIGNED_PAYLOAD.binary_search(&service).is_ok()
}

/// Returns true for a Zonal endpoint of S3 Express, such as `s3express-use1-az4`, which takes tokens of sessions. The
/// Regional endpoint, `s3express-control`, takes IAM credentials alone (Amazon S3 User Guide, "Regional and Zonal
/// endpoints for directory buckets").
fn is_zonal(host: &str) -> bool {
    host.split('.').any(|label| {
        let label = label.to_ascii_lowercase();
        label.starts_with("s3express-") && !label.starts_with("s3express-control")
    })
}

/// What tells regions of different partitions apart.
fn partition(region: &str) -> &str {
    const STARTS: [&str; 7] = [
        "cn-", "eu-isoe-", "eusc-", "us-gov-", "us-iso-", "us-isob-", "us-isof-",
    ];
    STARTS
        .into_iter()
        .find(|start| region.starts_with(start))
        .unwrap_or_default()
}

/// Domains of AWS below which hosts are customers' own machines (Amazon EC2 User Guide, "EC2 instance hostnames and
/// domains"; Elastic Load Balancing User Guide, "How Elastic Load Balancing works").
const MACHINES: [&str; 3] = ["compute", "compute-1", "elb"];

/// Returns true for a host under a domain name of AWS, whichever service it belongs to, unless it is a customer's
/// own machine. It takes no port.
pub(crate) fn is_aws_host(host: &str) -> bool {
    let rest = SUFFIXES.iter().chain([&ON_AWS]).find_map(|(suffix, _)| {
        let at = host.len().checked_sub(suffix.len() + 1)?;
        let end = host.get(at..)?.strip_prefix('.')?;
        end.eq_ignore_ascii_case(suffix).then(|| &host[..at])
    });
    rest.is_some_and(|rest| !rest.is_empty() && !is_machine(rest))
}

/// Returns true for `NAME.REGION.elb`, `NAME.elb.REGION` and the like. The same word further left is a customer's
/// name, such as that of a bucket.
fn is_machine(rest: &str) -> bool {
    let is_domain = |label: &str| MACHINES.iter().any(|name| label.eq_ignore_ascii_case(name));
    let mut labels = rest.rsplit('.');
    let last = labels.next().unwrap_or_default();
    is_domain(last)
        || (labels.next().is_some_and(is_domain) && is_region(&last.to_ascii_lowercase()))
}

/// What stands before the suffix of a partition, and the region that stands for that as a whole.
fn split_suffix(host: &str) -> Option<(&str, &'static str)> {
    SUFFIXES
        .iter()
        .chain([&ON_AWS])
        .filter_map(|(suffix, home)| Some((host.strip_suffix(suffix)?.strip_suffix('.')?, *home)))
        .min_by_key(|(rest, _)| rest.len())
}

/// The entry whose labels are the last ones of a host, and the most of them. The host's come from the last
/// one on, and so the table is sorted.
fn find(
    table: &[(&'static str, &'static str)],
    labels: &[&str],
) -> Option<(&'static str, &'static str)> {
    (1..=labels.len()).rev().find_map(|most| {
        let wanted = || labels[..most].iter().copied();
        let found = table.binary_search_by(|(part, _)| part.rsplit('.').cmp(wanted()));
        Some(table[found.ok()?])
    })
}

/// True for what is written like a region: `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`.
fn is_region(label: &str) -> bool {
    const AREAS: [&str; 11] = [
        "af", "ap", "ca", "cn", "eu", "eusc", "il", "me", "mx", "sa", "us",
    ];
    const DIRECTIONS: [&str; 9] = [
        "central",
        "east",
        "north",
        "northeast",
        "northwest",
        "south",
        "southeast",
        "southwest",
        "west",
    ];
    let mut parts = label.rsplit('-');
    let (Some(number), Some(direction)) = (parts.next(), parts.next()) else {
        return false;
    };
    let area = label.split('-').next().unwrap_or_default();
    number.parse::<u8>().is_ok()
        && DIRECTIONS.contains(&direction)
        && AREAS.contains(&area)
        && parts.count() <= 2
}

#[cfg(test)]
mod tests;
