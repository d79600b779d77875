//! What is wrong where a signature is refused, or would be.
//!
//! [`lint`] looks at a configuration before the first request is sent.

mod lint;

pub use self::lint::{Finding, HttpClient, LintRule, lint};
