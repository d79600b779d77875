//! Errors and their causes.

use std::{error::Error, iter};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Iterates over an error and its causes.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    iter::from_fn(move || {
        let current = next?;
        next = current.source();
        Some(current)
    })
}

/// Joins the messages of an error and its causes on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
