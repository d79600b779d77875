"""Servers of the tests with S3's clients: s3s-fs, and gateways before an origin."""

import collections
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import time

# Placeholders: the gateway knows them if it has [verify], the origin never.
CLIENT_KEYS = ("AKIDPLACEHOLDER", "placeholder-secret")

Tls = collections.namedtuple("Tls", "authority certificate key")


def fail(message):
    sys.exit(f"scripts/interop: {message}")


def certificate(folder):
    """Makes a certificate for 127.0.0.1. Returns the paths of its authority, of itself and of its key."""
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split()
    authority, key = folder / "ca.pem", folder / "ca.key"
    ca = ["-subj", "/CN=tests", "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", key, "-out", authority]
    subprocess.run([*make, *ca], check=True, capture_output=True)
    tls = Tls(authority, folder / "tls.pem", folder / "tls.key")
    # rustls takes no authority for a server's certificate.
    server = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    server += ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", authority, "-CAkey", key]
    subprocess.run([*make, *server, "-keyout", tls.key, "-out", tls.certificate], check=True, capture_output=True)
    return tls


def wait_for_line(path, pattern, process):
    """Returns the match of a line that a server writes when it is ready."""
    for _ in range(600):
        if match := re.search(pattern, path.read_text(), re.MULTILINE):
            return match
        if process.poll() is not None:
            break
        time.sleep(0.05)
    fail(f"{process.args[0]} has not started: {path.read_text()[-2000:]}")


@contextlib.contextmanager
def running(command, log, **options):
    with open(log, "w") as file, subprocess.Popen(command, stdout=file, stderr=file, **options) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def s3s_fs(program, folder, keys):
    """Starts s3s-fs. Yields its URL."""
    (folder / "data").mkdir()
    log = folder / "s3s-fs.log"
    command = [program, "--host", "127.0.0.1", "--port", "0", "--access-key", keys[0], "--secret-key", keys[1]]
    environment = {"PATH": os.environ["PATH"], "RUST_LOG": "s3s_fs=info", "NO_COLOR": "1"}
    with running([*command, folder / "data"], log, env=environment) as process:
        yield wait_for_line(log, r"running at (http://\S+)", process)[1]


def s3_settings(program, origin, tls=None, verify=False):
    """Returns the configuration that `--init --s3` writes, with addresses of the tests, and its comments for TLS and
    [verify] as settings if they are wanted. All clients use it."""
    text = subprocess.run([program, "--init", "-", "--s3"], check=True, capture_output=True, text=True).stdout
    changes = [(r'^listen = "[^"]*"', 'listen = "127.0.0.1:0"'), (r'^url = "[^"]*"', f'url = "{origin}"')]
    if tls:
        for name, path in [("tls_certificate", tls.certificate), ("tls_key", tls.key)]:
            changes.append((f'^# {name} = ".*"', f'{name} = "{path}"'))
    if verify:
        lines = ["[verify]", 'service = "s3"', 'region = "us-east-1"', "post_policy = true", 'keys_file_env = "CALLERS"']
        changes += [(f"^# {re.escape(line)}", line) for line in lines]
    for pattern, line in changes:
        text, count = re.subn(pattern, line, text, flags=re.MULTILINE)
        if count != 1:
            fail(f"the file of --init --s3 has {pattern} {count} times:\n{text}")
    return text


@contextlib.contextmanager
def gateway(program, folder, settings, keys):
    """Starts a gateway. Yields its URL, its process and its log."""
    folder = pathlib.Path(folder)
    folder.mkdir()
    config, callers, log = folder / "gateway.toml", folder / "callers.toml", folder / "gateway.log"
    config.write_text(settings)
    id, secret = CLIENT_KEYS
    callers.write_text(f'[[key]]\naccess_key_id = "{id}"\nsecret_access_key = "{secret}"\n')
    environment = {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1], "CALLERS": str(callers)}
    with running([program, "--config", config], log, env={**os.environ, **environment}) as process:
        yield wait_for_line(log, r"^gateway (https?://\S+) ", process)[1], process, log
