use std::{fmt, sync::Arc};

use http::{header, request::Parts};

use super::{
    OriginRule, ResolveOrigin, ResolvedOrigin, RuleTarget, rule_index::RuleIndex,
    rule_target::RulePrefix,
};
use crate::{
    error::{Error, truncated},
    sigv4::{
        authorization::{claimed_service, has_version_2},
        encode,
        service_rules::service_rules,
        signed_headers::is_host,
    },
};

/// Ordered rules. The first that matches a request selects its origin.
///
/// A request that matches no rule is an error of kind [`NoMatch`](crate::ErrorKind::NoMatch), and nothing
/// is sent. The error shows the path that the rules see. If only the prefix of a rule is missing from it, the
/// error has a hint: an outer router may have removed it; see [`OriginRule::strip_prefix`].
///
/// ```
/// use http::{Method, Request};
/// use tower_sigv4::{
///     Origin, SigningSettings,
///     origin::{OriginRules, ResolveOrigin, OriginRule},
/// };
///
/// let settings = SigningSettings::new("execute-api", "us-east-1")?;
/// let orders = Origin::new("https://abc123.execute-api.us-east-1.amazonaws.com/prod", settings)?;
/// let rules = OriginRules::new().add_rule(
///     OriginRule::path("/orders")?
///         .with_host("*.example.com")?
///         .with_methods([Method::GET, Method::POST])
///         .strip_prefix(),
///     orders,
/// );
///
/// let matches = |method: &str, uri: &str| {
///     let (head, ()) = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
///     rules.resolve(&head).is_ok()
/// };
/// assert!(matches("GET", "https://api.example.com/orders/1"));
/// assert!(!matches("GET", "https://api.example.com/orders2"));
/// assert!(!matches("GET", "https://api.example.com/orders/../admin"));
/// assert!(!matches("PUT", "https://api.example.com/orders/1"));
/// assert!(!matches("GET", "https://example.com/orders/1"));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct OriginRules {
    inner: Arc<Inner>,
}

#[derive(Clone, Default)]
struct Inner {
    rules: Vec<Rule>,
    index: RuleIndex,
}

#[derive(Clone, Debug)]
struct Rule {
    conditions: OriginRule,
    target: RuleTarget,
    /// Number of segments to remove from the front of the path.
    strip: usize,
    prefix: Option<RulePrefix>,
}

impl OriginRules {
    /// Creates an empty list, which matches no request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a rule. Requests that match it and no earlier rule are sent to `origin`: an
    /// [`Origin`](crate::Origin), or an [`AsSigned`](super::AsSigned).
    pub fn add_rule(mut self, rule: OriginRule, origin: impl Into<RuleTarget>) -> Self {
        let target = origin.into();
        let mut conditions = rule;
        if target
            .key_form()
            .is_some_and(|form| form.escaped_slash() == "/")
        {
            let segments = conditions
                .path
                .iter()
                .flat_map(|segment| segment.split(|&byte| byte == b'/'));
            conditions.path = segments.map(<[u8]>::to_vec).collect();
        }
        let prefix = conditions.prefix.take();
        let inner = Arc::make_mut(&mut self.inner);
        inner.index.add(&conditions);
        inner.rules.push(Rule {
            strip: if conditions.strip {
                conditions.path.len()
            } else {
                0
            },
            prefix: prefix.map(|added| RulePrefix::new(added, target.options())),
            conditions,
            target,
        });
        self
    }

    /// Returns the index of the rule that matches a request, in the order in which they were added.
    ///
    /// A gateway can use it for its own settings per route.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMatch`](crate::ErrorKind::NoMatch) if no rule matches.
    pub fn position(&self, head: &Parts) -> Result<usize, Error> {
        let path = encode::fold_escaped(head.uri.path());
        let host = host(head)?;
        let Inner { rules, index } = &*self.inner;
        let bucket_domain_len = host.map_or(0, |name| index.bucket_domain_len(name));
        let matches = |position: usize| {
            let conditions = &rules[position].conditions;
            conditions.has_bucket_domain(bucket_domain_len)
                && conditions.matches_except_path(head, host)
        };
        let first_match = |reading: &str| index.first_match(host, reading, matches);
        if let Some(position) = first_match(&path) {
            let target = &rules[position].target;
            let Some(form) = target.key_form() else {
                return Ok(position);
            };
            // S3 does not fold paths, and reads `%2F` as a slash. So its reading of the path has to match
            // the same rule, and so has the reading of a server that folds.
            let sent = target.options().wire.path(head.uri.path(), form)?;
            if [&sent, &encode::fold_escaped(&sent)]
                .iter()
                .all(|reading| first_match(reading) == Some(position))
            {
                return Ok(position);
            }
        }
        let lacks_prefix = index
            .for_host(host)
            .any(|other| matches(other) && !rules[other].conditions.matches_path(&path));
        // Clients see this message, so it does not name prefixes.
        let hint = if lacks_prefix {
            "; if a router in front has removed the prefix of a rule, use `OriginRule::any`"
        } else {
            ""
        };
        Err(Error::no_match(format!(
            "no rule matches {} {path:?} for host {:?}{hint}",
            head.method,
            host.unwrap_or_default(),
        )))
    }
}

impl OriginRules {
    /// Returns the rules that no request can reach: the index of each, and that of an earlier rule that matches all of
    /// its requests.
    ///
    /// A program that reads its rules from a file can warn of them. A rule that only several others hide together is not
    /// among them.
    ///
    /// ```
    /// use http::Method;
    /// use tower_sigv4::{
    ///     Origin, SigningSettings,
    ///     origin::{OriginRule, OriginRules},
    /// };
    ///
    /// let origin = Origin::new("http://minio:9000", SigningSettings::new("s3", "us-east-1")?)?;
    /// let rules = OriginRules::new()
    ///     .add_rule(OriginRule::path("/a")?.with_methods([Method::GET]), origin.clone())
    ///     .add_rule(OriginRule::path("/a")?, origin.clone())
    ///     .add_rule(OriginRule::path("/a/b")?, origin);
    /// assert_eq!(rules.hidden_rules().collect::<Vec<_>>(), [(2, 1)]);
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    pub fn hidden_rules(&self) -> impl Iterator<Item = (usize, usize)> {
        let Inner { rules, index } = &*self.inner;
        rules.iter().enumerate().filter_map(|(position, rule)| {
            let domain = rule.conditions.bucket_domain();
            let covers = |other: usize| {
                let conditions = &rules[other].conditions;
                conditions.covers_methods_and_headers(&rule.conditions)
                    && conditions.bucket_domain().is_none_or(|own| {
                        domain == Some(own) || !index.has_longer_bucket_domain(own)
                    })
            };
            // A rule covers itself.
            let first = index.first_covering(&rule.conditions, covers)?;
            (first < position).then_some((position, first))
        })
    }

    /// Rejects a request of an S3 client that has the bucket in its host, if the rule that matches does not look at the
    /// host: the name of the bucket would be lost.
    ///
    /// Only a signed request shows that its client speaks the protocol of S3. A browser's request for `www.example.com`
    /// is no such request, even beside a rule for `example.com`.
    fn check_bucket_in_host(&self, head: &Parts, rule: &Rule) -> Result<(), Error> {
        if rule.conditions.host.is_some() || rule.target.key_form().is_none() {
            return Ok(());
        }
        let Some(name) = host(head)? else {
            return Ok(());
        };
        let Inner { rules, index } = &*self.inner;
        if index.names(name) {
            return Ok(());
        }
        let patterns = index
            .for_domains_above(name)
            .filter_map(|other| rules[other].conditions.host.as_ref());
        let labels = patterns.filter_map(|pattern| pattern.label_below(name));
        let Some(bucket) = labels.min_by_key(|label| label.len()) else {
            return Ok(());
        };
        let is_s3 = match claimed_service(&head.uri, &head.headers) {
            Some(service) => service_rules(service).s3_family,
            None => has_version_2(&head.uri, &head.headers),
        };
        if !is_s3 {
            return Ok(());
        }
        Err(Error::no_match(format!(
            "host {:?} has the bucket {:?} in it, and no rule reads it; use path-style addressing, or add a rule with \
             `OriginRule::with_host` and {{bucket}}",
            truncated(name),
            truncated(bucket),
        )))
    }
}

impl OriginRules {
    /// Resolves a request by the rule at an index that [`position`](Self::position) returned for it.
    ///
    /// A router that has chosen the rule saves the second search, and both decisions agree.
    ///
    /// ```
    /// use http::Request;
    /// use tower_sigv4::{
    ///     Origin, SigningSettings,
    ///     origin::{OriginRule, OriginRules, ResolveOrigin, resolve_fn},
    /// };
    ///
    /// #[derive(Clone, Copy)]
    /// struct Position(usize);
    ///
    /// let settings = SigningSettings::new("execute-api", "us-east-1")?;
    /// let orders = Origin::new("https://abc123.execute-api.us-east-1.amazonaws.com", settings)?;
    /// let rules = OriginRules::new().add_rule(OriginRule::path("/orders")?, orders);
    ///
    /// let (mut head, ()) = Request::get("/orders/1").body(()).unwrap().into_parts();
    /// head.extensions.insert(Position(rules.position(&head)?));
    /// let target = resolve_fn(move |head| match head.extensions.get::<Position>() {
    ///     Some(Position(index)) => rules.resolve_at(*index, head),
    ///     None => rules.resolve(head),
    /// });
    /// assert_eq!(target.resolve(&head)?.settings().service(), "execute-api");
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMatch`](crate::ErrorKind::NoMatch) if there is no such rule, or the error of the rule's origin.
    pub fn resolve_at(&self, position: usize, head: &Parts) -> Result<ResolvedOrigin, Error> {
        let rule =
            self.inner.rules.get(position).ok_or_else(|| {
                Error::no_match(format!("there is no rule at position {position}"))
            })?;
        if let Some(limits) = &rule.conditions.limits {
            limits.check(head, rule.target.key_form().is_some())?;
        }
        self.check_bucket_in_host(head, rule)?;
        let resolved = rule.target.choose(head, rule.strip, rule.prefix.as_ref())?;
        match rule.bucket_in_host(head)? {
            Some(bucket) => rule
                .conditions
                .addressing
                .apply(resolved, bucket, head.uri.path()),
            None => Ok(resolved),
        }
    }

    /// Returns the bucket that the rule at an index reads from the host of a request: for a rule whose host is
    /// `{bucket}.s3.example.com`.
    ///
    /// A proxy that reads the bucket from the host by other means can compare the two.
    ///
    /// ```
    /// use http::Request;
    /// use tower_sigv4::{
    ///     Origin, SigningSettings,
    ///     origin::{OriginRule, OriginRules},
    /// };
    ///
    /// let origin = Origin::new("http://minio:9000", SigningSettings::new("s3", "us-east-1")?)?;
    /// let rule = OriginRule::any().with_host("{bucket}.s3.example.com")?;
    /// let rules = OriginRules::new().add_rule(rule, origin);
    ///
    /// let request = Request::get("/key").header("host", "photos.s3.example.com:8443").body(()).unwrap();
    /// assert_eq!(rules.bucket_in_host(0, &request.into_parts().0), Some("photos"));
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    #[must_use]
    pub fn bucket_in_host<'a>(&self, position: usize, head: &'a Parts) -> Option<&'a str> {
        let rule = self.inner.rules.get(position)?;
        rule.bucket_in_host(head).ok().flatten()
    }
}

impl Rule {
    fn bucket_in_host<'a>(&self, head: &'a Parts) -> Result<Option<&'a str>, Error> {
        let pattern = self.conditions.host.as_ref();
        let found = pattern.zip(host(head)?);
        Ok(found.and_then(|(known, name)| known.bucket(name)))
    }
}

impl ResolveOrigin for OriginRules {
    fn resolve(&self, head: &Parts) -> Result<ResolvedOrigin, Error> {
        self.resolve_at(self.position(head)?, head)
    }
}

impl fmt::Debug for OriginRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginRules")
            .field("rules", &self.inner.rules)
            .finish()
    }
}

/// Returns the host of a request, without its port. An absolute URI overrides the header (RFC 9112,
/// section 3.2.2).
fn host(head: &Parts) -> Result<Option<&str>, Error> {
    let named = match head.uri.host() {
        Some(host) => Some(host),
        None => host_header(head)?,
    };
    match named {
        Some(host) if !is_host(host) => Err(Error::request(format!(
            "invalid host {host:?}; send a name or an address"
        ))),
        Some(host) => Ok(Some(host.strip_suffix('.').unwrap_or(host))),
        None => Ok(None),
    }
}

fn host_header(head: &Parts) -> Result<Option<&str>, Error> {
    let mut values = head.headers.get_all(header::HOST).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::request(
            "the request has more than one host header; send one",
        ));
    }
    let host = value
        .to_str()
        .map(without_port)
        .map_err(|_| Error::request("the host header is not ASCII"))?;
    Ok((!host.is_empty()).then_some(host))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests;
