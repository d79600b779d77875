//! Hosts that verify no signature.

use crate::SigningSettings;

#[test]
fn hosts_that_verify_no_signature_are_errors_that_name_the_authentication() {
    for (host, message) in [
        (
            "123456789012.dkr.ecr.us-west-2.amazonaws.com",
            "`GetAuthorizationToken` of ecr",
        ),
        (
            "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com",
            "`GetAuthorizationToken` of ecr",
        ),
        ("ABC.gr7.us-east-1.eks.amazonaws.com", "`token::eks`"),
        ("abc.yl4.cn-north-1.eks.amazonaws.com.cn", "`token::eks`"),
        ("db.abc.us-east-1.rds.amazonaws.com", "`token::rds`"),
        (
            "db.cluster-ro-abc.us-east-1.rds.amazonaws.com",
            "`token::rds`",
        ),
        ("abc.dsql.us-east-1.on.aws", "`token::dsql`"),
        (
            "my-cache-abc.serverless.use1.cache.amazonaws.com",
            "`token::elasticache`",
        ),
        (
            "group.abc.ng.0001.cnn1.cache.amazonaws.com.cn",
            "`token::elasticache`",
        ),
        (
            "clustercfg.my.abc.memorydb.us-east-1.amazonaws.com",
            "`token::memorydb`",
        ),
        (
            "b-1.my.abc.c2.kafka.us-east-1.amazonaws.com",
            "`token::msk`",
        ),
        (
            "boot-a1.c1.kafka-serverless.us-east-1.amazonaws.com",
            "`token::msk`",
        ),
        (
            "docs.cluster-abc.us-east-1.docdb.amazonaws.com",
            "DocumentDB",
        ),
        (
            "my.abc.us-east-1.redshift.amazonaws.com",
            "`GetClusterCredentialsWithIAM`",
        ),
        (
            "group.123456789012.us-east-1.redshift-serverless.amazonaws.com",
            "`GetCredentials`",
        ),
        ("b-a1-1.mq.us-east-1.amazonaws.com", "broker"),
        (
            "domain-123456789012.d.codeartifact.us-east-1.amazonaws.com",
            "`GetAuthorizationToken` of codeartifact",
        ),
        ("bucket.s3-website-us-east-1.amazonaws.com", "website"),
        ("bucket.s3-website.eu-central-1.amazonaws.com", "website"),
        ("lb-1.us-east-1.elb.amazonaws.com", "load balancer"),
        ("lb-1.elb.us-east-1.amazonaws.com", "load balancer"),
        (
            "ec2-203-0-113-25.us-west-2.compute.amazonaws.com",
            "instance",
        ),
        (
            "123456789012.dkr-ecr.us-east-1.on.aws",
            "`GetAuthorizationToken` of ecr",
        ),
        (
            "123456789012.dkr-ecr-fips.us-east-2.on.aws",
            "`GetAuthorizationToken` of ecr",
        ),
        ("public.ecr.aws", "of ecr-public"),
        ("ecr-public.aws.com", "of ecr-public"),
        ("abc.gr7.eks-cluster.us-east-1.api.aws", "`token::eks`"),
        (
            "docs-123456789012.us-east-1.docdb-elastic.amazonaws.com",
            "DocumentDB",
        ),
        ("fs-0123.efs.us-east-1.amazonaws.com", "NFS"),
        ("us-east-1a.fs-0123.efs.us-east-1.amazonaws.com", "NFS"),
        (
            "abc123.credentials.iot.us-east-1.amazonaws.com",
            "certificate of a device",
        ),
        ("portal.sso.us-east-1.amazonaws.com", "access token"),
        ("portal.sso.eu-west-1.api.aws", "access token"),
        ("d111111abcdef8.cloudfront.net", "CloudFront"),
        ("my-app.auth.us-east-1.amazoncognito.com", "OAuth 2.0"),
    ] {
        let error = SigningSettings::infer(host).expect_err(host);
        assert_eq!(error.kind(), crate::ErrorKind::Config);
        assert!(error.to_string().contains(message), "{error}");
    }
    for (host, service) in [
        ("ecr.us-east-1.amazonaws.com", "ecr"),
        ("api.ecr.us-east-1.amazonaws.com", "ecr"),
        ("eks.us-east-1.amazonaws.com", "eks"),
        ("rds.us-east-1.amazonaws.com", "rds"),
        ("vpce-1a2b.rds.us-east-1.vpce.amazonaws.com", "rds"),
        ("vpce-1a2b.eks.us-east-1.vpce.amazonaws.com", "eks"),
        ("kafka.us-east-1.amazonaws.com", "kafka"),
        ("redshift.us-east-1.amazonaws.com", "redshift"),
        ("dsql.us-east-1.api.aws", "dsql"),
        ("docdb-elastic.us-east-1.amazonaws.com", "docdb-elastic"),
        ("efs.eu-west-1.api.aws", "elasticfilesystem"),
        ("ecr-public.us-east-1.api.aws", "ecr-public"),
        ("api.ecr-public.us-east-1.amazonaws.com", "ecr-public"),
        ("oidc.us-east-1.amazonaws.com", "sso-oauth"),
        ("contact-lens.us-east-1.amazonaws.com", "connect"),
        (
            "elasticloadbalancing.us-east-1.amazonaws.com",
            "elasticloadbalancing",
        ),
        ("memory-db.us-east-1.amazonaws.com", "memorydb"),
        ("rds.s3.us-east-1.amazonaws.com", "s3"),
        ("cache.s3.amazonaws.com", "s3"),
        ("elb.us-east-1.s3.amazonaws.com", "s3"),
    ] {
        let settings = SigningSettings::infer(host).expect(host);
        assert_eq!(settings.service(), service, "{host}");
    }
}
