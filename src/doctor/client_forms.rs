//! Canonical requests of clients that differ from that of AWS.

mod describe;
mod edits;
mod signers;

use std::fmt;

use http::{header, request::Parts};

use self::{
    describe::{describe_query, describe_value},
    edits::{HostEdit, PathEdit, QueryEdit, ValueEdit},
    signers::{SIGNERS, Signer},
};
use super::{
    canonical_parser::CanonicalParts,
    compare::{quoted, quoted_path},
};

/// Longest target whose forms are computed, in bytes. Longer ones have none.
const MAX_TARGET_LEN: usize = 8 * 1024;

/// Part of a request that known clients sign in another form than AWS derives.
///
/// `Display` writes both forms and the clients.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientForm {
    /// Name of the part: `host`, `path`, `query`, `header content-type`.
    pub part: String,
    /// Form of the client, for people to read. Values of parameters and of headers are not shown.
    pub client: String,
    /// Form that AWS derives.
    pub aws: String,
    /// Names of the clients; empty if no known client has this form.
    pub signers: Vec<&'static str>,
}

impl fmt::Display for ClientForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            part,
            client,
            aws,
            signers,
        } = self;
        let subject = match signers.as_slice() {
            [] => "the client signs".to_owned(),
            [one] => format!("{one} signs"),
            names => format!("{} sign", names.join(", ")),
        };
        write!(f, "{part}: {subject} {client}, and AWS derives {aws}")
    }
}

/// The parts of a head, as sent, that clients sign in different forms.
#[derive(Clone)]
pub(super) struct SentHead {
    path: String,
    /// Without the signature.
    query: String,
    /// Signed headers with their values, in the order of the canonical request.
    headers: Vec<(String, Vec<String>)>,
    user_agent: String,
    encodes_twice: bool,
}

impl SentHead {
    pub(super) fn new(head: &Parts, canonical_request: &str, encodes_twice: bool) -> Self {
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let query = head.uri.query().unwrap_or_default();
        let unsigned: Vec<_> = query
            .split('&')
            .filter(|parameter| !parameter.starts_with("X-Amz-Signature="))
            .collect();
        let canonical = CanonicalParts::parse(canonical_request);
        let names = canonical.map_or_else(Vec::new, |parts| parts.headers);
        let values = |(name, _): (&str, &str)| {
            let sent = head.headers.get_all(name).iter().map(text).collect();
            (name.to_owned(), sent)
        };
        Self {
            path: head.uri.path().to_owned(),
            query: unsigned.join("&"),
            headers: names.into_iter().map(values).collect(),
            user_agent: head
                .headers
                .get(header::USER_AGENT)
                .map(text)
                .unwrap_or_default(),
            encodes_twice,
        }
    }

    /// Returns the parts that known clients sign in another form, each form once.
    pub(super) fn known_forms(&self, aws: &CanonicalParts<'_>) -> Vec<ClientForm> {
        let mut forms: Vec<ClientForm> = Vec::new();
        for signer in self.signers() {
            let edits = signer.edits(self.encodes_twice);
            for mut form in self.differences(aws, &edits) {
                let same = forms
                    .iter_mut()
                    .find(|known| known.part == form.part && known.client == form.client);
                match same {
                    Some(known) => known.signers.push(signer.name),
                    None => {
                        form.signers.push(signer.name);
                        forms.push(form);
                    }
                }
            }
        }
        forms
    }

    /// Returns `true` if the forms of clients are not computed.
    pub(super) fn is_too_long(&self) -> bool {
        self.path.len() + self.query.len() > MAX_TARGET_LEN
    }

    /// Returns the signers that send the `user-agent` of this request, or all if there is none.
    fn signers(&self) -> Vec<&'static Signer> {
        if self.is_too_long() {
            return Vec::new();
        }
        let sends = |signer: &&Signer| signer.sends(&self.user_agent);
        let by_agent: Vec<_> = SIGNERS.iter().filter(sends).collect();
        if by_agent.is_empty() {
            SIGNERS.iter().collect()
        } else {
            by_agent
        }
    }

    /// Returns the parts that these edits change.
    pub(super) fn differences(&self, aws: &CanonicalParts<'_>, edits: &Edits) -> Vec<ClientForm> {
        let form = self.edited(aws, edits);
        let new = |part: &str, client: String, derived: String| ClientForm {
            part: part.to_owned(),
            client,
            aws: derived,
            signers: Vec::new(),
        };
        let mut forms = Vec::new();
        if form.path != aws.path {
            forms.push(new("path", quoted_path(&form.path), quoted_path(aws.path)));
        }
        if form.query != aws.query {
            let [client, derived] = describe_query(&form.query, aws.query);
            forms.push(new("query", client, derived));
        }
        for ((name, value), (_, derived)) in form.headers.iter().zip(&aws.headers) {
            if name == "host" && value != derived {
                forms.push(new("host", quoted(value), quoted(derived)));
            } else if value != derived {
                let [client, described] = describe_value(edits.values);
                forms.push(new(
                    &format!("header {name}"),
                    client.to_owned(),
                    described.to_owned(),
                ));
            }
        }
        forms
    }

    pub(super) fn edited(&self, aws: &CanonicalParts<'_>, edits: &Edits) -> EditedRequest {
        let headers = self.headers.iter().zip(&aws.headers);
        let header = |((name, sent), (_, derived)): (&(String, Vec<String>), &(&str, &str))| {
            let value = if name == "host" {
                edits.host.apply(derived)
            } else {
                edits.values.apply(sent, derived)
            };
            (name.clone(), value)
        };
        EditedRequest {
            path: edits.path.apply(&self.path, aws.path),
            query: edits.query.apply(&self.query, aws.query),
            headers: headers.map(header).collect(),
        }
    }

    /// Returns all edits for this kind of path, that of AWS first.
    pub(super) fn all_edits(&self) -> impl Iterator<Item = Edits> {
        let is_too_long = self.is_too_long();
        let other_paths = if is_too_long {
            &[][..]
        } else if self.encodes_twice {
            &PathEdit::TWICE[..]
        } else {
            &PathEdit::ONCE[..]
        };
        let paths = [PathEdit::Aws].iter().chain(other_paths);
        paths.copied().flat_map(move |path| {
            let other_queries = if is_too_long {
                &[][..]
            } else {
                &QueryEdit::ALL[..]
            };
            let queries = [QueryEdit::Aws].iter().chain(other_queries).copied();
            queries.flat_map(move |query| {
                HostEdit::ALL.into_iter().flat_map(move |host| {
                    let values = [ValueEdit::Aws].into_iter().chain(ValueEdit::ALL);
                    values.map(move |value_edit| Edits {
                        path,
                        query,
                        host,
                        values: value_edit,
                    })
                })
            })
        })
    }
}

/// Edits of all parts of a canonical request.
#[derive(Clone, Copy)]
pub(super) struct Edits {
    path: PathEdit,
    query: QueryEdit,
    host: HostEdit,
    values: ValueEdit,
}

/// Parts of a canonical request that clients sign in different forms.
#[derive(PartialEq)]
pub(super) struct EditedRequest {
    path: String,
    query: String,
    headers: Vec<(String, String)>,
}

impl EditedRequest {
    pub(super) fn canonical_request(&self, aws: &CanonicalParts<'_>, payload: &str) -> String {
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{payload}",
            aws.method, self.path, self.query, aws.signed_headers
        )
    }
}

impl Signer {
    fn edits(&self, encodes_twice: bool) -> Edits {
        let [twice_path, once_path] = self.path;
        let [twice_query, once_query] = self.query;
        let (path, query) = if encodes_twice {
            (twice_path, twice_query)
        } else {
            (once_path, once_query)
        };
        Edits {
            path,
            query,
            host: self.host,
            values: self.values,
        }
    }
}
