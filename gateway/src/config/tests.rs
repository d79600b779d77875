//! Configurations that someone got wrong: whatever is in a file, it is read or refused, and says nothing secret.

use fastrand::Rng;

use super::Config;

const ROUNDS: usize = 1_000;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Values that some setting takes and others do not, at the limits of each.
const VALUES: [&str; 32] = [
    "-1",
    "0",
    "1",
    "65536",
    "9223372036854775807",
    "-9223372036854775808",
    "1e308",
    "nan",
    "true",
    "[]",
    "[[]]",
    "{}",
    "{ a = 1 }",
    "1979-05-27",
    "\"\"",
    "\" \"",
    "\"é\"",
    "\"\\u0000\"",
    "\"\\n\"",
    "\"*\"",
    "\"*.\"",
    "\"/..\"",
    "\"/%\"",
    "\"0s\"",
    "\"18446744073709551615s\"",
    "\"-1s\"",
    "\"0B\"",
    "\"18446744073709551616B\"",
    "\"0/s\"",
    "\"4294967296/h\"",
    "\"https://[::1]:0\"",
    "[\"a\", \"\\t\"]",
];

/// The first configuration in the gateway's reference, and the one that `--init` writes.
fn sound() -> [String; 2] {
    let reference = include_str!("../../../docs/gateway.md");
    let (_, shown) = reference.split_once("```toml\n").expect("settings");
    let (shown, _) = shown.split_once("```").expect("an end");
    let shown = shown.replace(
        "secret_access_key = \"...\"",
        &format!("secret_access_key = {SECRET:?}"),
    );
    [shown, include_str!("../gateway.toml").to_owned()]
}

/// Changes a line that holds no secret: one that does, moved to another setting, would be shown as its value.
fn change(lines: &mut Vec<String>, rng: &mut Rng) {
    let at = rng.usize(..lines.len());
    if lines[at].contains(SECRET) {
        return;
    }
    let key = lines[at].split_once('=').map(|(key, _)| key.to_owned());
    match (rng.u8(..8), key) {
        (0, _) => drop(lines.remove(at)),
        (1, _) => lines.insert(at, lines[at].clone()),
        (2, _) => {
            let other = rng.usize(..lines.len());
            lines.swap(at, other);
        }
        (3, _) => lines[at] = lines[at].trim_start_matches(['#', ' ']).to_owned(),
        (4, _) => {
            let mut line: Vec<char> = lines[at].chars().collect();
            if !line.is_empty() {
                let changed = rng.usize(..line.len());
                line[changed] = ['"', '[', ']', '=', '.', '\\', '\0', 'é'][rng.usize(..8)];
            }
            lines[at] = line.into_iter().collect();
        }
        (_, Some(key)) => lines[at] = format!("{key}= {}", VALUES[rng.usize(..VALUES.len())]),
        (_, None) => {}
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
}

#[test]
fn whatever_is_in_a_file_is_read_or_refused_and_no_secret_is_told() {
    let mut rng = Rng::with_seed(0x5197_0009);
    let (mut read, mut refused) = (0, 0);
    for sound in sound() {
        Config::parse(&sound).unwrap_or_else(|error| panic!("{error}"));
        for _ in 0..ROUNDS {
            let mut lines: Vec<_> = sound.lines().map(str::to_owned).collect();
            (0..rng.usize(1..4)).for_each(|_| change(&mut lines, &mut rng));
            let text = lines.join("\n");
            match Config::parse(&text) {
                Ok(config) => {
                    read += 1;
                    let shown = format!("{:?}", config.warnings());
                    assert!(!shown.contains(SECRET), "{text}");
                }
                Err(error) => {
                    refused += 1;
                    assert!(!format!("{error} {error:?}").contains(SECRET), "{text}");
                    assert!(
                        error.line.is_none_or(|line| line <= lines.len()),
                        "{error}\n{text}"
                    );
                }
            }
        }
    }
    assert!(
        read > ROUNDS / 10 && refused > ROUNDS / 10,
        "{read} read, {refused} refused"
    );
}
