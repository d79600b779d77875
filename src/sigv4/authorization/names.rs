//! The names of `SignedHeaders`.

use std::ops::Deref;

use smallvec::SmallVec;

use super::parse::{ParseError, elements};

/// Limits the names in `SignedHeaders`. S3 takes 2 KB of metadata and API Gateway 10,240 bytes of headers, so
/// that no request to AWS needs as many.
pub(super) const MAX_SIGNED_HEADERS: usize = 1024;

/// Names in a usual request; more of them go to the heap, and are searched by halves.
const INLINE: usize = 16;

/// The names of the headers that a signature covers: without upper case, sorted, each once.
pub(crate) struct SignedHeaderNames<'a> {
    names: SmallVec<[&'a str; INLINE]>,
    /// True if a name has a [mark](reads_as_hyphen).
    has_marks: bool,
}

/// What a byte means in a name.
const PLAIN: u8 = 0;
const MARK: u8 = 1;
const UPPER: u8 = 2;

/// The meaning of each byte; names are judged byte by byte for each request.
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
    /// Reads the list; in a query its separators may be escaped.
    ///
    /// A name that no header can have is found later: that header is missing.
    pub(super) fn parse(list: &'a str, escaped: bool) -> Result<Self, ParseError> {
        let mut names = SmallVec::new();
        let mut found = PLAIN;
        let mut last = "";
        for name in elements(list, b';', escaped) {
            found |= classes(name);
            if name <= last || found & UPPER != 0 {
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
            last = name;
        }
        Ok(Self {
            names,
            has_marks: found & MARK != 0,
        })
    }

    /// True if the signature covers the headers of this name.
    #[inline]
    pub(crate) fn covers(&self, name: &str) -> bool {
        if self.names.spilled() {
            return self.finds(name);
        }
        self.names.contains(&name)
    }

    #[inline(never)]
    fn finds(&self, name: &str) -> bool {
        self.names.binary_search(&name).is_ok()
    }

    /// As [`covers`](Self::covers) for a name in any case.
    pub(crate) fn covers_ignoring_case(&self, name: &[u8]) -> bool {
        let lower = |byte: &u8| byte.to_ascii_lowercase();
        self.names
            .binary_search_by(|known| known.bytes().cmp(name.iter().map(lower)))
            .is_ok()
    }

    /// Finds headers that are not covered and that a server may take for one that is.
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

/// Compares header names as CGI and WSGI do, where names become the names of variables.
///
/// RFC 3875, section 4.1.18, writes `-` as `_`. Apache httpd before 2.4 did so with all that is no letter or
/// digit, and PHP does so with dots.
pub(crate) struct Lookalikes<'n, 'a> {
    names: &'n SignedHeaderNames<'a>,
    /// The names as variables, sorted; made for the first header that needs them.
    folded: Option<Vec<Box<[u8]>>>,
}

impl Lookalikes<'_, '_> {
    /// True if a header that is not covered is read as one that is.
    #[inline]
    pub(crate) fn has(&mut self, name: &str) -> bool {
        // Other letters, digits or hyphens make another variable.
        (self.names.has_marks || has_marks(name)) && self.finds(name)
    }

    #[inline(never)]
    fn finds(&mut self, name: &str) -> bool {
        let folded = self.folded.get_or_insert_with(|| {
            let mut folded: Vec<_> = self.names.iter().map(|name| fold(name).collect()).collect();
            folded.sort_unstable();
            folded
        });
        folded
            .binary_search_by(|known| known.iter().copied().cmp(fold(name)))
            .is_ok()
    }
}

/// True for a byte of a lower-case name that a server may read as `-`.
pub(crate) fn reads_as_hyphen(byte: u8) -> bool {
    CLASSES[usize::from(byte)] == MARK
}

/// True if a lower-case name has a byte that a server may read as `-`.
fn has_marks(name: &str) -> bool {
    classes(name) & MARK != 0
}

/// True if a server may read both lower-case names as one.
#[inline]
pub(crate) fn is_same_cgi_variable(a: &str, b: &str) -> bool {
    a.len() == b.len() && (a == b || fold(a).eq(fold(b)))
}

/// The name with each mark as `-`.
fn fold(name: &str) -> impl Iterator<Item = u8> {
    name.bytes()
        .map(|byte| if reads_as_hyphen(byte) { b'-' } else { byte })
}
