//! Errors of the configuration file.

use std::{error::Error, fmt, ops::Range};

use super::toml_message;

/// An error of the configuration file, or a warning, with its line.
#[derive(Clone, Debug)]
pub(crate) struct ConfigError {
    file: String,
    span: Option<Range<usize>>,
    pub(crate) line: Option<usize>,
    message: String,
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            file: "configuration".to_owned(),
            span: None,
            line: None,
            message: message.into(),
        }
    }

    pub(crate) fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span: Some(span),
            ..Self::new(message)
        }
    }

    /// Converts an error of the TOML parser for this text. Its own message would quote the line, and a secret in it.
    pub(super) fn from_toml(error: &toml::de::Error, text: &str) -> Self {
        let span = error.span();
        let position = span.as_ref().map_or(0, |it| it.start);
        Self {
            span,
            ..Self::new(toml_message::message(error.message(), text, position))
        }
    }

    /// Adds the line, which the position has in this text.
    pub(crate) fn with_line(mut self, text: &str) -> Self {
        let before = self.span.take().and_then(|span| text.get(..span.start));
        if let Some(preceding) = before {
            let ends = preceding.bytes().filter(|byte| *byte == b'\n');
            self.line = Some(ends.count() + 1);
        }
        self
    }

    /// Returns the file and the line, such as `gateway.toml:12`.
    pub(super) fn place(&self) -> String {
        let Self { file, line, .. } = self;
        line.map_or_else(|| file.clone(), |number| format!("{file}:{number}"))
    }

    /// Formats a warning, such as `gateway.toml:12: warning: ...`. The log has its level.
    pub(crate) fn as_warning(&self) -> String {
        format!("{}: warning: {}", self.place(), self.message)
    }

    /// Returns the position.
    pub(super) fn start(&self) -> Option<usize> {
        self.span.as_ref().map(|span| span.start)
    }

    /// Returns the error with its position in a text that begins later.
    pub(super) fn moved_back(mut self, count: usize) -> Self {
        self.span = self
            .span
            .map(|span| span.start.saturating_sub(count)..span.end.saturating_sub(count));
        self
    }

    pub(super) fn in_line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    /// Adds the name of the file.
    pub(crate) fn in_file(mut self, file: &str) -> Self {
        file.clone_into(&mut self.file);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)
    }
}

impl Error for ConfigError {}
