//! The names in `SignedHeaders`.

use std::ops::Deref;

use smallvec::SmallVec;

use super::parse::{ParseError, elements};

/// Maximum number of names in `SignedHeaders`. S3 accepts 2 KB of metadata and API Gateway 10,240 bytes of
/// headers, so that no request to AWS needs as many.
pub(super) const MAX_SIGNED_HEADERS: usize = 1024;

/// Names of a usual request; more spill to the heap, where a binary search finds them.
const INLINE: usize = 16;

/// Names of the headers that a signature covers: in lower case, sorted, without duplicates.
pub(crate) struct SignedHeaderNames<'a> {
    names: SmallVec<[&'a str; INLINE]>,
    /// `true` if a server may read a byte of a name [as a hyphen](reads_as_hyphen).
    has_marks: bool,
}

/// A lower-case letter, a digit or a hyphen.
const PLAIN: u8 = 0;
/// A byte that a server may read as a hyphen.
const MARK: u8 = 1;
const UPPER: u8 = 2;

/// Class of each byte; a table, since each byte of each name is looked up.
const CLASSES: [u8; 256] = {
    let mut classes = [MARK; 256];
    let mut byte = 0;
    while byte < 256 {
        if matches!(byte as u8, b'a'..=b'z' | b'0'..=b'9' | b'-') {
            classes[byte] = PLAIN;
        } else if (byte as u8).is_ascii_uppercase() {
            classes[byte] = UPPER;
        }
        byte += 1;
    }
    classes
};

fn classes(name: &str) -> u8 {
    name.bytes()
        .fold(PLAIN, |found, byte| found | CLASSES[usize::from(byte)])
}

impl<'a> SignedHeaderNames<'a> {
    /// Parses the list. In a query the separators may be `escaped`.
    ///
    /// Names that no header can have pass; they fail later, since that header is missing.
    pub(super) fn parse(list: &'a str, escaped: bool) -> Result<Self, ParseError> {
        let mut names = SmallVec::new();
        let mut found = PLAIN;
        let mut previous = "";
        for name in elements(list, b';', escaped) {
            found |= classes(name);
            if name <= previous || found & UPPER != 0 {
                return Err(ParseError::Malformed(
                    "SignedHeaders has to hold names in lower case, sorted, each once",
                ));
            }
            if names.len() == MAX_SIGNED_HEADERS {
                return Err(ParseError::Malformed(
                    "SignedHeaders holds more than 1024 names",
                ));
            }
            names.push(name);
            previous = name;
        }
        Ok(Self {
            names,
            has_marks: found & MARK != 0,
        })
    }

    /// Returns `true` if the signature covers the headers of this name.
    #[inline]
    pub(crate) fn covers(&self, name: &str) -> bool {
        if self.names.spilled() {
            return self.search(name);
        }
        self.names.contains(&name)
    }

    #[inline(never)]
    fn search(&self, name: &str) -> bool {
        self.names.binary_search(&name).is_ok()
    }

    /// As [`covers`](Self::covers), ignoring case.
    pub(crate) fn covers_ignoring_case(&self, name: &[u8]) -> bool {
        let lower = |byte: &u8| byte.to_ascii_lowercase();
        self.names
            .binary_search_by(|known| known.bytes().cmp(name.iter().map(lower)))
            .is_ok()
    }

    /// Returns a check for unsigned headers that a server may confuse with a signed one.
    pub(crate) fn lookalikes(&self) -> Lookalikes<'_, 'a> {
        Lookalikes {
            names: self,
            folded: None,
        }
    }
}

impl<'a> Deref for SignedHeaderNames<'a> {
    type Target = [&'a str];

    fn deref(&self) -> &[&'a str] {
        &self.names
    }
}

/// Compares header names as CGI and WSGI do, which turn them into names of variables.
///
/// RFC 3875, section 4.1.18, replaces `-` with `_`. Apache httpd before 2.4 replaced every byte except letters and
/// digits, and PHP replaces dots.
pub(crate) struct Lookalikes<'n, 'a> {
    names: &'n SignedHeaderNames<'a>,
    /// Names of variables, sorted; computed for the first header that needs them.
    folded: Option<Vec<Box<[u8]>>>,
}

impl Lookalikes<'_, '_> {
    /// Returns `true` if a server may confuse an unsigned header with a signed one.
    #[inline]
    pub(crate) fn contains(&mut self, name: &str) -> bool {
        // Without marks, different names are different variables.
        (self.names.has_marks || classes(name) & MARK != 0) && self.search(name)
    }

    #[inline(never)]
    fn search(&mut self, name: &str) -> bool {
        let folded = self.folded.get_or_insert_with(|| {
            let mut variables: Vec<_> = self
                .names
                .iter()
                .map(|signed| fold(signed).collect())
                .collect();
            variables.sort_unstable();
            variables
        });
        folded
            .binary_search_by(|known| known.iter().copied().cmp(fold(name)))
            .is_ok()
    }
}

/// Returns `true` for a byte of a lower-case name that a server may read as `-`.
pub(crate) fn reads_as_hyphen(byte: u8) -> bool {
    CLASSES[usize::from(byte)] == MARK
}

/// Returns `true` if a server may read both lower-case names as one variable.
#[inline]
pub(crate) fn is_same_cgi_variable(a: &str, b: &str) -> bool {
    a.len() == b.len() && (a == b || fold(a).eq(fold(b)))
}

/// Replaces each mark with `-`.
fn fold(name: &str) -> impl Iterator<Item = u8> {
    name.bytes()
        .map(|byte| if reads_as_hyphen(byte) { b'-' } else { byte })
}
