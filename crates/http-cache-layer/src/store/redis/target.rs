//! Kinds of servers, and connections to them.

use std::{fmt::Write, net::IpAddr, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisError, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};
use rustls::crypto::ring;

use super::login::LoginSource;

/// Number of attempts of a query in a cluster: the second follows a slot that has moved.
const CLUSTER_RETRIES: u32 = 3;

/// Servers as they are configured.
#[derive(Clone)]
pub(super) enum Target {
    Single(ConnectionInfo),
    Cluster(Vec<ConnectionInfo>),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        service: String,
        node: SentinelNodeConnectionInfo,
    },
}

impl Target {
    /// Returns `None` if the URL is malformed.
    pub(super) fn single(url: &str) -> Option<Self> {
        Some(Self::Single(parse(url)?))
    }

    /// Returns `None` if a URL is malformed, if none is given, or if they do not agree on user, password and TLS.
    pub(super) fn cluster(urls: impl IntoIterator<Item: AsRef<str>>) -> Option<Self> {
        let nodes = parse_all(urls)?;
        // A cluster has one database.
        let has_database = nodes.iter().any(|node| node.redis_settings().db() != 0);
        ClusterClientBuilder::new(nodes.clone()).build().ok()?;
        (!has_database).then_some(Self::Cluster(nodes))
    }

    /// Returns `None` if a URL is malformed, or if none is given.
    pub(super) fn sentinel(
        urls: impl IntoIterator<Item: AsRef<str>>,
        service: &str,
    ) -> Option<Self> {
        let sentinels = parse_all(urls)?;
        let info = parse(service)?;
        let mut node = SentinelNodeConnectionInfo::default()
            .set_redis_connection_info(info.redis_settings().clone());
        let name = match info.addr() {
            ConnectionAddr::Tcp(name, _) => name,
            ConnectionAddr::TcpTls { host, .. } => {
                node = node.set_tls_mode(redis::TlsMode::Secure);
                host
            }
            _ => return None,
        };
        Some(Self::Sentinel {
            sentinels,
            service: name.clone(),
            node,
        })
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Returns `true` if another server may take over, which then must have the removals.
    pub(super) fn has_failover(&self) -> bool {
        !matches!(self, Self::Single(_))
    }

    /// The configured addresses, without credentials.
    pub(super) fn addresses(&self) -> String {
        let mut text = String::new();
        for node in self.seeds() {
            let separator = if text.is_empty() { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(text, "{separator}{}", node.addr());
        }
        text
    }

    pub(super) fn seeds(&self) -> &[ConnectionInfo] {
        match self {
            Self::Single(node) => std::slice::from_ref(node),
            Self::Cluster(nodes) => nodes,
            Self::Sentinel { sentinels, .. } => sentinels,
        }
    }

    /// Value of `redis_mode` in the response to INFO, of a server that fits.
    pub(super) fn mode(&self) -> &'static str {
        match self {
            Self::Single(_) => "standalone",
            Self::Cluster(_) => "cluster",
            Self::Sentinel { .. } => "sentinel",
        }
    }

    /// Returns `true` if a login that is loaded may be sent: by TLS, or to a server of the same machine. Sentinel's
    /// servers have no such logins.
    pub(super) fn protects_login(&self) -> bool {
        let is_protected = |node: &ConnectionInfo| match node.addr() {
            ConnectionAddr::TcpTls { insecure, .. } => !insecure,
            ConnectionAddr::Tcp(host, _) => {
                let address = host.parse::<IpAddr>();
                host == "localhost" || address.is_ok_and(|it| it.is_loopback())
            }
            _ => false,
        };
        match self {
            Self::Single(node) => is_protected(node),
            Self::Cluster(nodes) => nodes.iter().all(is_protected),
            Self::Sentinel { .. } => false,
        }
    }

    /// Returns `true` if a URL has a user or a password.
    pub(super) fn has_password(&self) -> bool {
        self.seeds().iter().any(|node| {
            let settings = node.redis_settings();
            settings.username().is_some() || settings.password().is_some()
        })
    }

    pub(super) async fn connect(
        &self,
        timeout: Duration,
        login: Option<&LoginSource>,
    ) -> RedisResult<Link> {
        let config = config(timeout, login);
        match self {
            Self::Single(node) => {
                let client = Client::open(node.clone())?;
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                connection.await.map(Link::Single)
            }
            Self::Cluster(nodes) => {
                let mut builder = ClusterClientBuilder::new(nodes.clone())
                    .retries(CLUSTER_RETRIES)
                    .connection_timeout(timeout)
                    .response_timeout(timeout);
                if let Some(source) = login {
                    builder = builder.set_credentials_provider(source.clone());
                }
                let client = builder.build()?;
                client.get_async_connection().await.map(Link::Cluster)
            }
            Self::Sentinel {
                sentinels,
                service,
                node,
            } => {
                let master = SentinelServerType::Master;
                let known = (sentinels.clone(), service, Some(node.clone()));
                let mut client = SentinelClient::build(known.0, known.1, known.2, master)?;
                let connection = client.get_async_connection_with_config(&config);
                connection.await.map(Link::Single)
            }
        }
    }
}

/// Connects to one server, whatever its mode is.
pub(super) async fn probe(
    node: &ConnectionInfo,
    timeout: Duration,
    login: Option<&LoginSource>,
) -> RedisResult<String> {
    let client = Client::open(node.clone())?;
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config(timeout, login))
        .await?;
    redis::cmd("INFO").query_async(&mut connection).await
}

fn config(timeout: Duration, login: Option<&LoginSource>) -> AsyncConnectionConfig {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout));
    match login {
        Some(source) => config.set_credentials_provider(source.clone()),
        None => config,
    }
}

fn parse(url: &str) -> Option<ConnectionInfo> {
    if url.starts_with("rediss:") || url.starts_with("valkeys:") {
        // The client needs the process's default; an error means that there is one.
        drop(ring::default_provider().install_default());
    }
    url.into_connection_info().ok()
}

fn parse_all(urls: impl IntoIterator<Item: AsRef<str>>) -> Option<Vec<ConnectionInfo>> {
    let nodes = urls.into_iter().map(|url| parse(url.as_ref()));
    let all: Vec<_> = nodes.collect::<Option<_>>()?;
    (!all.is_empty()).then_some(all)
}

/// A connection, or those to all nodes of a cluster.
#[derive(Clone)]
pub(super) enum Link {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// Sends a command to the server that has this key.
    pub(super) async fn send(&mut self, key: &str, command: &Cmd) -> RedisResult<Value> {
        let reply = match self {
            Self::Single(connection) => connection.req_packed_command(command).await,
            Self::Cluster(connection) => {
                let route = Route::with_key(key, SlotAddr::Master);
                let node = SingleNodeRoutingInfo::SpecificNode(route);
                connection
                    .route_command(command.clone(), RoutingInfo::SingleNode(node))
                    .await
            }
        };
        reply.and_then(into_result)
    }

    /// Sends a command without a key to any server.
    pub(super) async fn send_anywhere(&mut self, command: Cmd) -> RedisResult<Value> {
        let reply = match self {
            Self::Single(connection) => connection.req_packed_command(&command).await,
            Self::Cluster(connection) => {
                let node = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
                connection.route_command(command, node).await
            }
        };
        reply.and_then(into_result)
    }
}

fn into_result(value: Value) -> RedisResult<Value> {
    match value {
        Value::ServerError(error) => Err(RedisError::from(error)),
        other => Ok(other),
    }
}
