//! Authentication tokens: presigned requests that a service other than HTTP accepts as a password.
//!
//! Databases, caches, Kafka and Kubernetes verify a SigV4 signature too, but receive it in a field of their own
//! protocol. Each function returns a [`Token`] for one of them, and needs neither a runtime nor the network.
//!
//! | function | service | used as | valid for |
//! |---|---|---|---|
//! | [`rds()`] | Amazon RDS, Aurora, RDS Proxy | password of MySQL, MariaDB and PostgreSQL | 15 minutes |
//! | [`dsql()`], [`dsql_admin()`] | Amazon Aurora DSQL | password of PostgreSQL | 15 minutes |
//! | [`elasticache()`], [`elasticache_serverless()`] | Amazon ElastiCache | password of `AUTH` | 15 minutes |
//! | [`memorydb()`] | Amazon MemoryDB | password of `AUTH` | 15 minutes |
//! | [`eks()`] | Amazon EKS | bearer token of the Kubernetes API | 14 minutes |
//! | [`msk()`] | Amazon MSK | token of `SASL/OAUTHBEARER` | 15 minutes |
//! | [`bedrock()`] | Amazon Bedrock | bearer token of its HTTP API | up to 12 hours |
//!
//! A server checks a token when a connection opens. An open connection outlives its token, except in ElastiCache and
//! MemoryDB, which close it after 12 hours unless the client authenticates again.
//!
//! Amazon Redshift has no token of this kind. Its temporary password is the result of a signed API request,
//! `GetClusterCredentialsWithIAM` of `redshift` or `GetCredentials` of `redshift-serverless`, which a client behind
//! [`SigningLayer`](crate::SigningLayer) sends. Amazon DocumentDB and Amazon Keyspaces sign a challenge of their
//! server, so that their drivers make the signature.

mod bedrock;
mod caches;
mod clusters;
mod databases;
mod params;
mod value;

pub use self::{
    bedrock::bedrock,
    caches::{elasticache, elasticache_serverless, memorydb},
    clusters::{eks, msk},
    databases::{dsql, dsql_admin, rds},
    params::TokenParams,
    value::Token,
};
