//! Configurations of several files, secrets by reference, and `--print-config`.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::support::{Gateway, gateway_command};

const MAIN: &str = "include = \"routes.d/*.toml\"\n[server]\nlisten = \"127.0.0.1:0\"\n\
    [credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"hunter2\"\n\
    [[origin]]\nname = \"orders\"\nurl = \"http://127.0.0.1:9\"\nservice = \"execute-api\"\nregion = \"r\"";

/// Files of a configuration, deleted on drop.
struct Files {
    directory: PathBuf,
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.directory));
    }
}

impl Files {
    fn new(main: &str, included: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("includes-{}-{number}", std::process::id());
        let files = Self {
            directory: [env!("CARGO_TARGET_TMPDIR"), &name].iter().collect(),
        };
        fs::create_dir(&files.directory).expect("created");
        fs::create_dir(files.path("routes.d")).expect("created");
        files.write("gateway.toml", main);
        for (name, text) in included {
            files.write(&format!("routes.d/{name}"), text);
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    /// Runs the gateway, and returns what it prints.
    fn run(&self, command: &str, variables: &[(&str, &str)]) -> String {
        let output = gateway_command()
            .arg("--config")
            .arg(self.path("gateway.toml"))
            .arg(command)
            .envs(variables.iter().copied())
            .output()
            .expect("it runs");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        text.replace(&self.path("").display().to_string(), "")
    }
}

fn route(path: &str) -> String {
    format!("[[route]]\npath = {path:?}\norigin = \"orders\"\n")
}

#[test]
fn included_files_add_tables_in_the_order_of_their_names() {
    let key = "[[verify.key]]\naccess_key_id = \"AKIDA\"\nsecret_access_key = \"hunter2\"\n";
    let main = format!("{MAIN}\n[verify]\nservice = \"execute-api\"\nregion = \"r\"\n");
    let (b, a) = (
        route("/b"),
        route("/a")
            + "headers = { x-origin-verify = \"hunter2\" }\n[route.cors]\norigins = [\"*\"]\n",
    );
    let files = Files::new(
        &main,
        &[
            ("b.toml", &b),
            ("a.toml", &a),
            ("c.toml", key),
            (".d.toml", "[x"),
            ("e.txt", "[x"),
        ],
    );
    let checked = files.run("--check", &[]);
    assert_eq!(
        checked,
        "gateway.toml: 1 origin(s), 2 route(s), no errors\n"
    );
    let printed = files.run("--print-config", &[]);
    let (first, second) = (printed.find("\"/a\""), printed.find("\"/b\""));
    assert!(first.is_some() && first < second, "{printed}");
    let listed = "# gateway.toml\n# routes.d/a.toml\n# routes.d/b.toml\n# routes.d/c.toml\n";
    assert!(printed.starts_with(listed), "{printed}");
    assert!(
        !printed.contains("hunter2") && !printed.contains("include"),
        "{printed}"
    );
    assert_eq!(printed.matches("\"[redacted]\"").count(), 3, "{printed}");
    // The printed file is a configuration of its own.
    files.write("gateway.toml", &printed.replace("[redacted]", "secret"));
    assert_eq!(files.run("--check", &[]), checked);
}

#[test]
fn mistakes_name_the_included_file_and_its_line() {
    let valid = route("/a");
    for (text, message) in [
        (route("/b").replace("orders", "others"), "routes.d/b.toml:3: there is no origin \"others\""),
        (format!("{}path = 1\n", route("/b")), "routes.d/b.toml:4: duplicate key"),
        ("[server]\nlisten = \"127.0.0.1:1\"\n".to_owned(), "routes.d/b.toml: an included file may have [[route]]"),
        ("route = []\n".to_owned(), "move the keys before the first table to "),
        (route("b"), "routes.d/b.toml:2: path \"b\" is not a path"),
        ("[[route]]\npath = \"/b\n".to_owned(), "routes.d/b.toml:2: invalid basic string"),
        ("[[origin]]\nname = \"orders\"\nurl = \"http://127.0.0.1:9\"\nservice = \"s3\"\nregion = \"r\"\n".to_owned(),
            "routes.d/b.toml:2: there is another origin \"orders\""),
    ] {
        let files = Files::new(MAIN, &[("a.toml", &valid), ("b.toml", &text)]);
        let printed = files.run("--check", &[]);
        assert!(printed.contains(message), "{message}: {printed}");
    }
    for (include, message) in [
        (
            "\"routes.e/a.toml\"",
            "gateway.toml:1: include \"routes.e/a.toml\": there is no such file",
        ),
        (
            "[\"routes.d/*.toml\", \"***\"]",
            "gateway.toml:1: include \"***\": ",
        ),
        ("1", "gateway.toml:1: "),
    ] {
        let main = MAIN.replacen("\"routes.d/*.toml\"", include, 1);
        let printed = Files::new(&main, &[("a.toml", &valid)]).run("--check", &[]);
        assert!(printed.contains(message), "{message}: {printed}");
    }
    // A folder may be empty for now.
    let main = format!("{MAIN}\n{}", route("/"));
    let files = Files::new(&main, &[]);
    let printed = files.run("--check", &[]);
    let warning =
        "gateway.toml:1: warning: include \"routes.d/*.toml\" matches no file; add one, or correct";
    let summary = "1 route(s), no errors, 1 warning(s)\n";
    assert!(
        printed.contains(warning) && printed.contains(summary),
        "{printed}"
    );
    let mut command = gateway_command();
    command.arg("--config").arg(files.path("gateway.toml"));
    let log = Gateway::spawn(command.stderr(Stdio::piped())).stop_and_read_log();
    assert!(
        log.contains("WARN") && log.contains(":1: include \"routes.d/*.toml\" matches no file"),
        "{log}"
    );
}

#[test]
fn secrets_are_read_from_the_environment_and_from_files() {
    let in_file = "[[verify.key]]\naccess_key_id = \"AKIDA\"\nsecret_access_key = \"file:KEY\"\n";
    let main = format!(
        "{MAIN}\n[verify]\nservice = \"execute-api\"\nregion = \"r\"\n{}",
        route("/")
    )
    .replace("\"hunter2\"", "\"env:SIGV4_SECRET\"");
    let files = Files::new(&main, &[]);
    let key = files.path("key");
    files.write(
        "routes.d/a.toml",
        &in_file.replace("KEY", &key.display().to_string()),
    );
    let variables = [("SIGV4_SECRET", "hunter2")];
    fs::write(&key, "hunter3\n").expect("written");
    let checked = files.run("--check", &variables);
    assert!(checked.ends_with("no errors\n"), "{checked}");
    let printed = files.run("--print-config", &variables);
    assert!(
        printed.contains("\"env:SIGV4_SECRET\"") && printed.contains("\"file:key\""),
        "{printed}"
    );
    for (variable, content, message) in [
        (
            "",
            "hunter3",
            "gateway.toml:7: the environment variable \"SIGV4_SECRET\" is empty",
        ),
        (
            "hunter2",
            "\n",
            "routes.d/a.toml:3: the file \"key\" is empty",
        ),
        (
            "\"hunter2\"",
            "hunter3",
            "the secret access key is in quotes",
        ),
    ] {
        fs::write(&key, content).expect("written");
        let printed = files.run("--check", &[("SIGV4_SECRET", variable)]);
        assert!(
            printed.contains(message) && !printed.contains("hunter"),
            "{message}: {printed}"
        );
    }
    fs::remove_file(&key).expect("removed");
    let printed = files.run("--check", &variables);
    assert!(
        printed.contains("routes.d/a.toml:3: cannot read the file \"key\""),
        "{printed}"
    );
}

/// A pipe without a writer would block `--check` for ever.
#[cfg(unix)]
#[test]
fn files_that_the_configuration_names_are_regular() {
    let origin = format!("{MAIN}\n{}", route("/"));
    let with = |from: &str, to: &str| origin.replacen(from, to, 1);
    let files = Files::new(&origin, &[]);
    let pipe = files.path("routes.d/pipe.toml");
    let at = pipe.display().to_string();
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let verify = "[verify]\nservice = \"execute-api\"\nregion = \"r\"\nkeys_file";
    let tls = format!("[server]\ntls_certificate = \"{at}\"\ntls_key = \"{at}\"");
    for (config, expected) in [
        (origin.clone(), "cannot read routes.d/pipe.toml: "),
        (
            with("include", "# ").replace("\"hunter2\"", &format!("\"file:{at}\"")),
            "gateway.toml:7: cannot read the file \"routes.d/pipe.toml\": ",
        ),
        (
            with("include", "# ").replacen("[server]", &tls, 1),
            "gateway.toml:3: cannot read routes.d/pipe.toml: ",
        ),
        (
            with("include", "# ") + &format!("{verify} = \"{at}\"\n"),
            "cannot read routes.d/pipe.toml: ",
        ),
    ] {
        files.write("gateway.toml", &config);
        let printed = files.run("--check", &[]);
        assert!(
            printed.contains(expected)
                && printed.contains("it is a pipe, a socket or a device; name a regular file"),
            "{expected}: {printed}"
        );
    }
}

#[cfg(unix)]
#[test]
fn main_file_may_be_a_pipe() {
    let main = format!("{MAIN}\n{}", route("/")).replacen("include", "# ", 1);
    let mut command = gateway_command();
    command.args(["--config", "/dev/stdin", "--check"]);
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut stdin = process.stdin.take().expect("piped");
    stdin.write_all(main.as_bytes()).expect("written");
    drop(stdin);
    let output = process.wait_with_output().expect("output");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.ends_with("1 route(s), no errors\n"), "{text}");
}
