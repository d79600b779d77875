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


def s3_settings(origin, keys, verify=False):
    """Returns the one configuration that all clients of S3 use: no `payload`, and no more in [verify] than it needs."""
    text = f"""
        {credentials(keys)}
        [[origin]]
        name = "s3"
        url = "{origin}"
        service = "s3"
        region = "us-east-1"
        {os.environ.get("S3_PAYLOAD", "")}
        [[route]]
        path = "/"
        origin = "s3"
    """
    if verify:
        text += f"""
            [verify]
            service = "s3"
            region = "us-east-1"
            unsigned_payload = true
            presigned_uploads = true
            body = "streamed"
            required_headers = []
            [[verify.key]]
            access_key_id = "{CLIENT_KEYS[0]}"
            secret_access_key = "{CLIENT_KEYS[1]}"
        """
    return text


def credentials(keys):
    return f"""
        [credentials]
        source = "static"
        access_key_id = "{keys[0]}"
        secret_access_key = "{keys[1]}"
    """


@contextlib.contextmanager
def gateway(program, folder, settings, tls=None):
    """Starts a gateway. Yields its URL, its process and its log."""
    folder = pathlib.Path(folder)
    folder.mkdir()
    config, log = folder / "gateway.toml", folder / "gateway.log"
    text = '[log]\naccess = true\n[server]\nlisten = "127.0.0.1:0"\n'
    if tls:
        text += f'tls_certificate = "{tls.certificate}"\ntls_key = "{tls.key}"\n'
    config.write_text(text + settings)
    with running([program, "--config", config], log) as process:
        yield wait_for_line(log, r"^gateway (https?://\S+) ", process)[1], process, log
