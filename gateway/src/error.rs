//! Errors and their causes.

use std::{error::Error, iter};

use crate::setting_names::setting_name;

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

/// Joins the messages of an error and its causes on one line, with the names of the configuration for settings.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let message = |cause: &(dyn Error + 'static)| match cause.downcast_ref::<tower_sigv4::Error>() {
        Some(own) => own.message_with(setting_name).into_owned(),
        None => cause.to_string(),
    };
    causes(error).map(message).collect::<Vec<_>>().join(": ")
}
