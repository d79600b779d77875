//! Hosts of AWS that verify no signature of a request.

use super::InferError;

/// Hosts of resources: the last label, the label before it if it matters, and the reason.
///
/// The hosts of the services' APIs are the last label alone.
const UNSIGNED: [(&str, &str, &str); 20] = [
    // Amazon ElastiCache User Guide, "Finding connection endpoints". It has no API under this name.
    (
        "cache",
        "",
        "is a cache, which takes the password of a user; create one with `token::elasticache`",
    ),
    // AWS CodeArtifact User Guide, "AWS CodeArtifact authentication and tokens".
    (
        "codeartifact",
        "d",
        "is a repository, which takes a token; call `GetAuthorizationToken` of codeartifact",
    ),
    // Amazon DocumentDB Developer Guide, "Understanding Amazon DocumentDB endpoints".
    (
        "docdb",
        "",
        "is an Amazon DocumentDB cluster, which takes a password or MONGODB-AWS; connect with a driver of MongoDB",
    ),
    (
        "docdb-elastic",
        "",
        "is an Amazon DocumentDB cluster, which takes a user and a password; connect with a driver of MongoDB",
    ),
    // Amazon Aurora DSQL User Guide, "Generating an authentication token".
    (
        "dsql",
        "",
        "is a database, which takes the password of a user; create one with `token::dsql`",
    ),
    // Amazon ECR User Guide, "Private registry authentication".
    (
        "ecr",
        "dkr",
        "is a registry, which takes a user and a password; call `GetAuthorizationToken` of ecr, or use `docker login`",
    ),
    // Amazon ECR User Guide, "Making requests to Amazon ECR registries".
    (
        "dkr-ecr",
        "",
        "is a registry, which takes a user and a password; call `GetAuthorizationToken` of ecr, or use `docker login`",
    ),
    // Amazon EFS User Guide, "Mounting EFS file systems".
    (
        "efs",
        "",
        "is a file system, which speaks NFS rather than HTTP; mount it with the EFS mount helper",
    ),
    // Amazon EKS User Guide, "Cluster API server endpoint".
    (
        "eks",
        "",
        "is the Kubernetes API of a cluster, which takes a bearer token; create one with `token::eks`",
    ),
    (
        "eks-cluster",
        "",
        "is the Kubernetes API of a cluster, which takes a bearer token; create one with `token::eks`",
    ),
    // AWS IoT Core Developer Guide, "Authorizing direct calls to AWS services using AWS IoT Core credential provider".
    (
        "iot",
        "credentials",
        "is the credentials provider of AWS IoT Core, which takes the TLS certificate of a device",
    ),
    // Amazon MSK Developer Guide, "IAM access control".
    (
        "kafka",
        "",
        "is a Kafka broker, which takes a token of SASL/OAUTHBEARER; create one with `token::msk`",
    ),
    (
        "kafka-serverless",
        "",
        "is a Kafka broker, which takes a token of SASL/OAUTHBEARER; create one with `token::msk`",
    ),
    // Amazon MemoryDB Developer Guide, "Finding connection endpoints".
    (
        "memorydb",
        "",
        "is a MemoryDB cluster, which takes the password of a user; create one with `token::memorydb`",
    ),
    // Amazon MQ Developer Guide, "Connecting a Java application to your broker".
    (
        "mq",
        "",
        "is a message broker, which takes a user and a password of the broker",
    ),
    // Amazon RDS User Guide, "Connecting to your DB instance using IAM authentication".
    (
        "rds",
        "",
        "is a database, which takes the password of a user; create one with `token::rds`",
    ),
    // Amazon Redshift Management Guide, "Using IAM authentication to generate database user credentials".
    (
        "redshift",
        "",
        "is a database, which takes a user and a password; call `GetClusterCredentialsWithIAM` of redshift",
    ),
    (
        "redshift-serverless",
        "",
        "is a database, which takes a user and a password; call `GetCredentials` of redshift-serverless",
    ),
    // Amazon S3 User Guide, "Website endpoints"; older regions have the form `s3-website-us-east-1`.
    (
        "s3-website",
        "",
        "is a website endpoint, which serves public objects without a signature; use the bucket's own host",
    ),
    // IAM Identity Center Portal API Reference, "GetRoleCredentials".
    (
        "sso",
        "portal",
        "is the portal of IAM Identity Center, which takes an access token in x-amz-sso_bearer_token",
    ),
];

const PUBLIC_REGISTRY: InferError = InferError::NotSigned(
    "is the public registry, which takes a token; call `GetAuthorizationToken` of ecr-public, or use `docker login`",
);

/// Domains outside those of the partitions.
pub(super) const UNSIGNED_DOMAINS: [(&str, InferError); 4] = [
    // Amazon Cognito Developer Guide, "User pool endpoints and managed login reference".
    (
        "amazoncognito.com",
        InferError::NotSigned(
            "is a login page of Amazon Cognito, which takes OAuth 2.0 requests; APIs of Amazon Cognito are signed for \
             cognito-idp or cognito-identity",
        ),
    ),
    // Amazon CloudFront Developer Guide, "Restrict access to an AWS Lambda function URL origin".
    (
        "cloudfront.net",
        InferError::OwnServer(
            "is a CloudFront distribution, which verifies no signature; sign for the origin behind it, let an origin \
             access control sign, or set service and region if a server behind it verifies signatures for this host",
        ),
    ),
    // Amazon ECR Public User Guide, "Registry authentication" and "Making requests to Amazon ECR Public registries".
    ("ecr-public.aws.com", PUBLIC_REGISTRY),
    ("public.ecr.aws", PUBLIC_REGISTRY),
];

/// Returns the reason why a host verifies no signature. The labels are in reverse order, without region.
pub(super) fn reason(labels: &[&str]) -> Option<InferError> {
    let (last, rest) = labels.split_first()?;
    let before = *rest.first()?;
    let is_website = last
        .strip_prefix("s3-website-")
        .is_some_and(super::is_region);
    let name = if is_website { "s3-website" } else { last };
    if let Some((_, _, reason)) = UNSIGNED
        .iter()
        .find(|(label, second, _)| *label == name && (second.is_empty() || *second == before))
    {
        return Some(InferError::NotSigned(reason));
    }
    // Elastic Load Balancing User Guide, "How Elastic Load Balancing works"; Amazon EC2 User Guide, "EC2 instance
    // hostnames and domains".
    match *last {
        "elb" => Some(InferError::OwnServer(
            "is a load balancer, which verifies no signature; set service and region of the targets if they verify one",
        )),
        "compute" | "compute-1" => Some(InferError::OwnServer(
            "is an instance, which is not a service of AWS; set service and region if its server verifies signatures",
        )),
        _ => None,
    }
}
