//! Log on standard error: one line for each event, as text or JSON.
//!
//! The reader of standard error may stall, for example a terminal after Ctrl-S. The gateway does not wait for it: it
//! queues some lines and drops the rest.

mod access;
mod filter;

use std::{
    borrow::Cow,
    io::{self, Write},
    panic,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tracing::dispatcher::{self, Dispatch, SetGlobalDefaultError};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{Registry, filter::Targets, fmt, layer::SubscriberExt, reload};

pub(crate) use self::{
    access::{AccessRecord, CLIENT_CLOSED_REQUEST, RequestSummary, record_caller},
    filter::parse_filter,
};

const MAX_QUEUED_LINES: usize = 8192;

pub(crate) struct Log {
    filter: reload::Handle<Targets, Registry>,
    dispatch: Dispatch,
    background: Arc<OnceLock<NonBlocking>>,
    failed: Arc<AtomicUsize>,
}

impl Log {
    pub(crate) fn new(json: bool, targets: Targets) -> Self {
        let (filter_layer, filter) = reload::Layer::new(targets);
        let registry = Registry::default().with(filter_layer);
        let background = Arc::<OnceLock<NonBlocking>>::default();
        let writer = background.clone();
        let lines = fmt::layer()
            .with_ansi(false)
            .with_writer(move || LineWriter(writer.get().cloned()));
        let dispatch = if json {
            let json_lines = lines.json().flatten_event(true).with_span_list(false);
            Dispatch::new(registry.with(json_lines))
        } else {
            Dispatch::new(registry.with(lines))
        };
        Self {
            filter,
            dispatch,
            background,
            failed: Arc::default(),
        }
    }

    /// Makes this the log of the process, also for panics.
    pub(crate) fn install(&self) -> Result<(), SetGlobalDefaultError> {
        dispatcher::set_global_default(self.dispatch.clone())?;
        panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
        Ok(())
    }

    /// Moves writing to a thread, so that nothing else blocks. Dropping the guard writes the queued lines, for at most
    /// a second.
    pub(crate) fn write_in_background(&self) -> WorkerGuard {
        let builder = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(MAX_QUEUED_LINES);
        let (writer, guard) = builder.finish(Stderr {
            failed: self.failed.clone(),
        });
        drop(self.background.set(writer)); // called once
        guard
    }

    pub(crate) fn dropped_lines(&self) -> usize {
        let queued = self.background.get();
        queued.map_or(0, |writer| writer.error_counter().dropped_lines())
            + self.failed.load(Ordering::Relaxed)
    }

    /// Returns the filter in the format of [`parse_filter`].
    pub(crate) fn filter(&self) -> String {
        self.filter
            .with_current(ToString::to_string)
            .unwrap_or_default()
    }

    pub(crate) fn set_filter(&self, filter: Targets) {
        drop(self.filter.reload(filter)); // fails only without a subscriber
    }
}

/// Counts the lines that cannot be written, for example because the log's reader has ended.
struct Stderr {
    failed: Arc<AtomicUsize>,
}

impl Write for Stderr {
    /// The background thread passes a whole line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if io::stderr().write_all(line).is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Writes each event as one line to the background thread, or directly to standard error.
struct LineWriter(Option<NonBlocking>);

impl Write for LineWriter {
    /// `tracing_subscriber` passes a whole event at once.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = one_line(event);
        // A closed standard error must not stop the gateway.
        drop(match &mut self.0 {
            Some(background) => background.write_all(&line),
            None => io::stderr().write_all(&line),
        });
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Escapes control characters, which could forge lines or terminal commands.
fn one_line(event: &[u8]) -> Cow<'_, [u8]> {
    let text = event.strip_suffix(b"\n").unwrap_or(event);
    if !text.iter().any(u8::is_ascii_control) {
        return event.into();
    }
    let mut line = Vec::with_capacity(event.len() + 16);
    for byte in text {
        if byte.is_ascii_control() {
            line.extend(byte.escape_ascii());
        } else {
            line.push(*byte);
        }
    }
    line.push(b'\n');
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_single_lines() {
        for (event, line) in [
            ("a b\n", "a b\n"),
            (
                "a\nINFO b\r\tc\u{1b}[1m é\n",
                "a\\nINFO b\\r\\tc\\x1b[1m é\n",
            ),
            ("\n\n", "\\n\n"),
            ("a", "a"),
        ] {
            assert_eq!(String::from_utf8_lossy(&one_line(event.as_bytes())), line);
        }
    }
}
