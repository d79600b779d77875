//! Index of rules by host and path, so that the time to find a rule does not grow with their number.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

use super::{OriginRule, host_pattern::HostPattern};

/// Position of a host in the order in which rules name it.
type HostId = u32;

/// Host of the rules that have none.
const ANY_HOST: HostId = 0;

/// Hosts that match that of a request: any host, the host itself, and the domains above it.
type HostIds = SmallVec<[HostId; 4]>;

#[derive(Clone)]
pub(super) struct RuleIndex {
    /// Keys of the host patterns.
    hosts: HashMap<Box<str>, HostId>,
    /// Domains below which hosts start with a bucket.
    bucket_domains: HashSet<Box<str>>,
    /// Positions of the rules of each host.
    by_host: Vec<Vec<u32>>,
    /// Maximum number of dots in a key.
    max_dots: usize,
    /// A tree of decoded segments. The root is the first.
    nodes: Vec<Node>,
}

/// A path of whole segments.
#[derive(Clone, Default)]
struct Node {
    children: HashMap<Box<[u8]>, u32>,
    /// Positions of the rules with this path, in order.
    rules: HashMap<HostId, Vec<u32>>,
}

impl RuleIndex {
    /// Adds the rule after those that are added already.
    pub(super) fn add(&mut self, rule: &OriginRule) {
        let host = match &rule.host {
            None => ANY_HOST,
            Some(pattern) => self.host_id(pattern.key()),
        };
        if let Some(domain) = rule.bucket_domain() {
            self.bucket_domains.insert(domain.into());
        }
        let position = self.len();
        self.by_host[host as usize].push(position);
        let mut node = 0;
        for segment in &rule.path {
            let next = self.nodes.len() as u32;
            let child = *self.nodes[node]
                .children
                .entry(segment.as_slice().into())
                .or_insert(next);
            if child == next {
                self.nodes.push(Node::default());
            }
            node = child as usize;
        }
        let same_path = self.nodes[node].rules.entry(host).or_default();
        same_path.push(position);
    }

    fn len(&self) -> u32 {
        self.by_host.iter().map(|rules| rules.len() as u32).sum()
    }

    fn host_id(&mut self, key: &str) -> HostId {
        if let Some(known) = self.hosts.get(key) {
            return *known;
        }
        let id = self.by_host.len() as HostId;
        self.by_host.push(Vec::new());
        let dots = key.bytes().filter(|&byte| byte == b'.').count();
        self.max_dots = self.max_dots.max(dots);
        self.hosts.insert(key.into(), id);
        id
    }

    /// Returns the first rule for a host and a path that `matches` accepts by its other conditions.
    pub(super) fn first_match(
        &self,
        host: Option<&str>,
        path: &str,
        matches: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let segments = path.strip_prefix('/').unwrap_or(path).split('/');
        let decoded = segments.map(|segment| percent_decode_str(segment).into());
        self.first_below(&self.host_ids(host), decoded, matches)
    }

    /// Returns the first rule that `covers` accepts, of those whose host and path match whenever those of `rule` do.
    pub(super) fn first_covering(
        &self,
        rule: &OriginRule,
        covers: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        // The domains above a pattern are those above each host that it matches.
        let hosts = self.host_ids(rule.host.as_ref().map(HostPattern::key));
        let segments = rule.path.iter().map(|segment| segment.as_slice().into());
        self.first_below(&hosts, segments, covers)
    }

    /// Returns the first rule that `matches` accepts, of those for these hosts and for the beginnings of a path.
    fn first_below<'a>(
        &self,
        hosts: &[HostId],
        mut segments: impl Iterator<Item = Cow<'a, [u8]>>,
        matches: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut first: Option<u32> = None;
        let mut node = &self.nodes[0];
        loop {
            for rules in hosts.iter().filter_map(|id| node.rules.get(id)) {
                let earlier = rules
                    .iter()
                    .take_while(|&&position| first.is_none_or(|found| position < found));
                if let Some(found) = earlier.copied().find(|&rule| matches(rule as usize)) {
                    first = Some(found);
                }
            }
            let child = segments
                .next()
                .and_then(|segment| node.children.get(&*segment));
            match child {
                Some(&next) => node = &self.nodes[next as usize],
                None => return first.map(|position| position as usize),
            }
        }
    }

    /// Returns the positions of the rules for a host, for any path.
    pub(super) fn for_host(&self, host: Option<&str>) -> impl Iterator<Item = usize> {
        let hosts = self.host_ids(host);
        hosts
            .into_iter()
            .flat_map(|id| &self.by_host[id as usize])
            .map(|&position| position as usize)
    }

    fn host_ids(&self, host: Option<&str>) -> HostIds {
        let mut ids = HostIds::from_slice(&[ANY_HOST]);
        if let Some(name) = host.filter(|_| !self.hosts.is_empty()) {
            let lower = in_lower_case(name);
            let domains = domains_above(&lower, self.max_dots);
            ids.extend(
                [&*lower]
                    .into_iter()
                    .chain(domains)
                    .filter_map(|key| self.hosts.get(key).copied()),
            );
        }
        ids
    }

    /// Returns the length of the longest domain of buckets that is a host or above it, or 0 without one.
    pub(super) fn bucket_domain_len(&self, host: &str) -> usize {
        if self.bucket_domains.is_empty() {
            return 0;
        }
        let lower = in_lower_case(host);
        let above = domains_above(&lower, self.max_dots).map(|domain| &domain[1..]);
        let known = above
            .chain([&*lower])
            .filter(|domain| self.bucket_domains.contains(*domain));
        known.map(str::len).max().unwrap_or_default()
    }

    /// Returns `true` if a rule reads buckets below a longer domain that ends with this one.
    pub(super) fn has_longer_bucket_domain(&self, domain: &str) -> bool {
        let is_below = |other: &str| {
            other
                .strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        self.bucket_domains.iter().any(|other| is_below(other))
    }

    /// Returns `true` if a rule names a host itself, or its buckets.
    pub(super) fn names(&self, host: &str) -> bool {
        let lower = in_lower_case(host);
        self.hosts.contains_key(&*lower) || self.bucket_domains.contains(&*lower)
    }

    /// Returns the rules that name a domain above a host: `example.com` or `{bucket}.example.com`.
    pub(super) fn for_domains_above(&self, host: &str) -> impl Iterator<Item = usize> {
        let lower = in_lower_case(host);
        let found: HostIds = domains_above(&lower, self.max_dots + 1)
            .flat_map(|domain| [domain, &domain[1..]])
            .filter_map(|key| self.hosts.get(key).copied())
            .collect();
        found
            .into_iter()
            .flat_map(|id| &self.by_host[id as usize])
            .map(|&position| position as usize)
    }
}

/// Returns the domains above a host with their dot, the shortest first: at most `count`, since a client chooses the
/// number of labels.
fn domains_above(host: &str, count: usize) -> impl Iterator<Item = &str> {
    host.rmatch_indices('.')
        .take(count)
        .map(|(at, _)| &host[at..])
}

fn in_lower_case(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into()
    } else {
        host.into()
    }
}

impl Default for RuleIndex {
    fn default() -> Self {
        Self {
            hosts: HashMap::new(),
            bucket_domains: HashSet::new(),
            by_host: vec![Vec::new()],
            max_dots: 0,
            nodes: vec![Node::default()],
        }
    }
}
