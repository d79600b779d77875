//! The log, on standard error: a line for each event, as text or JSON.
//!
//! Who reads it may stop doing so, a terminal by Ctrl-S say. A gateway does not: some lines wait, others are lost.

mod access;

use std::{
    borrow::Cow,
    io::{self, Write},
    panic,
    sync::{Arc, OnceLock},
};

use tracing::dispatcher::{self, Dispatch, SetGlobalDefaultError};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Registry,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    reload,
};

pub(crate) use self::access::{AccessRecord, RequestSummary, record_caller};

/// How many lines wait for who reads them.
const WAITING: usize = 8192;

pub(crate) struct Log {
    filter: reload::Handle<Targets, Registry>,
    dispatch: Dispatch,
    aside: Arc<OnceLock<NonBlocking>>,
}

impl Log {
    pub(crate) fn new(json: bool, targets: Targets) -> Self {
        let (layer, filter) = reload::Layer::new(targets);
        let (registry, lines) = (
            Registry::default().with(layer),
            fmt::layer().with_ansi(false),
        );
        let aside = Arc::<OnceLock<NonBlocking>>::default();
        let writer = aside.clone();
        let lines = lines.with_writer(move || Lines(writer.get().cloned()));
        let dispatch = match json {
            true => {
                let lines = lines.json().flatten_event(true).with_span_list(false);
                Dispatch::new(registry.with(lines))
            }
            false => Dispatch::new(registry.with(lines)),
        };
        Self {
            filter,
            dispatch,
            aside,
        }
    }

    /// Has this process log here from now on, what panics say too.
    pub(crate) fn install(&self) -> Result<(), SetGlobalDefaultError> {
        dispatcher::set_global_default(self.dispatch.clone())?;
        panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
        Ok(())
    }

    /// Has a thread write from now on, so that nothing else waits for who reads; what waits is written once the guard
    /// is dropped, if it is read within a second.
    pub(crate) fn write_in_background(&self) -> WorkerGuard {
        let builder = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(WAITING);
        let (lines, guard) = builder.finish(io::stderr());
        drop(self.aside.set(lines)); // it is called once
        guard
    }

    /// How many lines no one has read in time.
    pub(crate) fn dropped_lines(&self) -> usize {
        self.aside
            .get()
            .map_or(0, |lines| lines.error_counter().dropped_lines())
    }

    /// What is logged, as [`filter`] reads it.
    pub(crate) fn filter(&self) -> String {
        self.filter
            .with_current(ToString::to_string)
            .unwrap_or_default()
    }

    pub(crate) fn set_filter(&self, filter: Targets) {
        drop(self.filter.reload(filter)); // an error would say that there is no log any more
    }
}

/// Reads what is to be logged: a level for all, and others for what begins with a target.
pub(crate) fn filter(text: &str, access: bool) -> Result<Targets, String> {
    let of_access = if access {
        LevelFilter::INFO
    } else {
        LevelFilter::OFF
    };
    let targets = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("access", of_access);
    text.split(',').map(str::trim).try_fold(targets, |targets, part| {
        let (target, level) = match part.split_once('=') {
            Some((target, level)) => (Some(target), level),
            None => (None, part),
        };
        // An empty one would be read as "error", and "3" as "info".
        let is_word = !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_alphabetic());
        let level = level.parse::<LevelFilter>().ok().filter(|_| is_word);
        let in_target = |byte: u8| byte.is_ascii_alphanumeric() || b"_:".contains(&byte);
        match (target, level) {
            (None, Some(level)) => Ok(targets.with_default(level)),
            (Some(target), Some(level)) if !target.is_empty() && target.bytes().all(in_target) => {
                Ok(targets.with_target(target, level))
            }
            _ => Err(format!(
                "{part:?} is not a level; write off, error, warn, info, debug or trace, alone or for what \
                 begins with a target, such as \"info,tower_sigv4=debug\""
            )),
        }
    })
}

/// Standard error, by a thread if there is one, where an event ends its line and nothing in it does.
struct Lines(Option<NonBlocking>);

impl Write for Lines {
    /// Takes a whole event: it is never handed less.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = one_line(event);
        // Who reads it may be gone, which is no reason to stop.
        drop(match &mut self.0 {
            Some(aside) => aside.write_all(&line),
            None => io::stderr().write_all(&line),
        });
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn one_line(event: &[u8]) -> Cow<'_, [u8]> {
    let text = event.strip_suffix(b"\n").unwrap_or(event);
    if !text.iter().any(u8::is_ascii_control) {
        return event.into();
    }
    let escaped = text.iter().flat_map(|byte| match byte.is_ascii_control() {
        true => byte.escape_ascii().collect(),
        false => vec![*byte],
    });
    escaped.chain([b'\n']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
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

    #[test]
    fn a_filter_is_levels_and_nothing_else() {
        for (text, access, read) in [
            ("info", false, "access=off,info"),
            ("WARN", true, "access=info,warn"),
            (
                "tower_sigv4::sign=debug",
                false,
                "tower_sigv4::sign=debug,access=off,info",
            ),
            ("off, h2=trace ,error", false, "access=off,h2=trace,error"),
            ("warn,access=info", false, "access=info,warn"),
        ] {
            assert_eq!(
                filter(text, access).expect(text).to_string(),
                read,
                "{text}"
            );
        }
        for text in [
            "", " ", "wran", "3", "info,", "=info", "a=", "a=b", "a=1", "a b=info", "[x]=info",
        ] {
            let told = filter(text, true).expect_err(text);
            assert!(
                told.contains("is not a level; write off, error,"),
                "{text}: {told}"
            );
        }
    }
}
