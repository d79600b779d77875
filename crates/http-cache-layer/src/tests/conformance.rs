//! Runs the cases in `conformance.txt` against a scripted origin.

use std::{
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use http::{HeaderMap, HeaderName, request::Parts};

use super::*;

const CASES: &str = include_str!("conformance.txt");

/// Response of the origin, and the last request that it has received.
#[derive(Clone)]
struct Script(Arc<Mutex<State>>);

struct State {
    status: u16,
    lines: String,
    body: String,
    received: Option<Parts>,
}

impl Script {
    fn with<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            status: 200,
            lines: String::new(),
            body: String::from("0123456789"),
            received: None,
        })))
    }

    fn respond(&self, request: Request<Body>) -> Response {
        self.with(|state| {
            let is_head = request.method() == http::Method::HEAD;
            state.received = Some(request.into_parts().0);
            let has_body = !is_head && !matches!(state.status, 204 | 304);
            let body = if has_body {
                Body::from(state.body.clone())
            } else {
                Body::empty()
            };
            response(state.status, &state.lines, body)
        })
    }
}

/// Replaces `{seconds}` by a date, relative to the time of the case.
fn with_dates(text: &str, now: SystemTime) -> String {
    let mut parts = text.split('{');
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (offset, rest) = part.split_once('}').expect("a closing brace");
        let seconds: i64 = offset.parse().expect("a number of seconds");
        let distance = Duration::from_secs(seconds.unsigned_abs());
        let date = if seconds < 0 {
            now - distance
        } else {
            now + distance
        };
        result += &httpdate::fmt_http_date(date);
        result += rest;
    }
    result
}

fn values(headers: &HeaderMap, name: &str) -> String {
    let parsed: HeaderName = name.parse().expect("a name");
    let all = headers.get_all(parsed).iter();
    let texts: Vec<_> = all.map(|value| value.to_str().expect("ASCII")).collect();
    texts.join(", ")
}

struct Case {
    name: &'static str,
    script: Script,
    stack: Stack,
    start: (SystemTime, time::Instant),
    last: Option<(ResponseHead, String)>,
}

type ResponseHead = http::response::Parts;

impl Case {
    fn new(name: &'static str) -> Self {
        let script = Script::new();
        let origin = script.clone();
        let service = service_fn(move |request: Request<Body>| {
            std::future::ready(Ok(origin.respond(request)))
        });
        Self {
            name,
            script,
            stack: stack(&layer(1 << 20, 100), service),
            start: (SystemTime::now(), time::Instant::now()),
            last: None,
        }
    }

    fn now(&self) -> SystemTime {
        self.start.0 + self.start.1.elapsed()
    }

    fn received(&self) -> Parts {
        let parts = self.script.with(|state| state.received.clone());
        parts.unwrap_or_else(|| panic!("{}: the origin received nothing", self.name))
    }

    async fn run(&mut self, line: &'static str) {
        let name = self.name;
        let (step, rest) = line.split_once(' ').unwrap_or((line, ""));
        let text = with_dates(rest, self.now());
        let (word, more) = text.split_once(' ').unwrap_or((&text, ""));
        match step {
            "origin" => self.script.with(|state| {
                state.status = word.parse().expect("a status");
                state.lines = more.to_owned();
            }),
            "origin-body" => self.script.with(|state| state.body.clone_from(&text)),
            "send" => {
                self.script.with(|state| state.received = None);
                let (target, lines) = more.split_once(' ').unwrap_or((more, ""));
                self.last = Some(send(&self.stack, request(word, target, lines)).await);
            }
            "wait" => time::advance(Duration::from_secs(word.parse().expect("seconds"))).await,
            "seen" => assert_eq!(
                values(&self.received().headers, word),
                more,
                "{name}: {line}"
            ),
            _ => self.check(step, &text, line),
        }
    }

    fn check(&self, step: &str, text: &str, line: &str) {
        let name = self.name;
        let (head, body) = self.last.as_ref().expect("a response");
        let (word, more) = text.split_once(' ').unwrap_or((text, ""));
        match step {
            "status" => assert_eq!(
                (head.status.as_str(), status(head)),
                (word, more),
                "{name}: {line}"
            ),
            "header" => assert_eq!(values(&head.headers, word), more, "{name}: {line}"),
            "body" => assert_eq!(body, text, "{name}: {line}"),
            _ => panic!("{name}: unknown step {line:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn responses_are_stored_and_used_as_the_rfcs_require() {
    let mut count = 0;
    for block in CASES.split("\n\n") {
        let mut lines = block.lines().filter(|line| !line.starts_with('#'));
        let Some(name) = lines.next() else {
            continue;
        };
        let mut case = Case::new(name);
        for line in lines {
            case.run(line.trim()).await;
        }
        count += 1;
    }
    assert!(count > 150, "{count} cases");
}
