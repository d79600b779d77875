"""The image: built by gateway/deploy/image, and by the Containerfile with a stand-in for the Rust image, then run
read-only as user 65532 without capabilities, before the demo's origin over HTTPS, whose name a DNS server resolves.
Arguments: the gateway's program, optimized, and optionally `chroot`, to run the image without a container. Prints the
number of passed checks, and on standard error the parts that this machine cannot run. Needs root, openssl, binutils, and
buildah, podman and runc, which it installs on Debian."""

import contextlib
import http.client
import os
import pathlib
import re
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import checks
import debian
from checks import check

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
REQUESTS = pathlib.Path(__file__).resolve().parent / "requests"
DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "gateway/deploy"
NAME = "origin.sigv4-gateway.test"
DNS = f"127.65.{os.getpid() // 256 % 256}.{os.getpid() % 256}"  # of this run: others may use the port too
TAG = f"localhost/sigv4-gateway-interop:{os.getpid()}"
STOP_SECONDS = 20
# Of the files in the image, in bytes, with a program of the profile `release`. That of `dist` has a fifth less code;
# release.yml checks its image.
MAX_SIZE = 31e6


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    if result.returncode:
        sys.exit(f"container: {' '.join(map(str, command))}: {result.stderr}")
    return result.stdout.strip()


def wait_for(name, probe, wanted):
    """Repeats the probe for at most 20 seconds."""
    end = time.monotonic() + 20
    while (got := probe()) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    check(name, got, wanted)


def get(address, target):
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def pipe(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def serve_tls(folder, demo):
    """Decrypts connections and forwards them to the demo's origin. Returns the port."""
    subject = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
               "-addext", "basicConstraints=critical,CA:FALSE"]
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject,
        "-keyout", folder / "key.pem", "-out", folder / "certificate.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def forward(plain):
        with contextlib.suppress(OSError):  # includes failed handshakes
            client = context.wrap_socket(plain, server_side=True)
            origin = socket.create_connection(demo)
            threading.Thread(target=pipe, args=(origin, client), daemon=True).start()
            pipe(client, origin)

    def accept():
        while True:
            threading.Thread(target=forward, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def serve_dns():
    """Resolves the origin's name to 127.0.0.1. Counts its queries."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((DNS, 53))
    queries = []

    def respond():
        while True:
            query, client = server.recvfrom(512)
            end = query.index(0, 12)
            is_known = query[12:end] == b"".join(bytes([len(part)]) + part.encode() for part in NAME.split("."))
            kind = query[end + 1 : end + 3]
            record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x7f\0\0\x01" if is_known and kind == b"\0\x01" else b""
            code = 0 if is_known else 3
            header = query[:2] + bytes([0x85, 0x80 | code]) + b"\0\x01" + bytes([0, bool(record)]) + b"\0\0\0\0"
            queries.append(is_known)
            server.sendto(header + query[12 : end + 5] + record, client)

    threading.Thread(target=respond, daemon=True).start()
    return queries


def start_demo():
    """Returns the process of the demo, and the address of its origin."""
    process = subprocess.Popen([PROGRAM, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    host, port = re.match("origin +http://([^:]*):([0-9]*)/prod ", process.stdout.readline()).groups()
    return process, (host, int(port))


def configuration(port, path, demo):
    return f"""
        [server]
        listen = "127.0.0.1:0"
        drain_delay = "1s"
        [admin]
        listen = "127.0.0.1:0"
        [credentials]
        source = "static"
        access_key_id = "AKIDEXAMPLE"
        secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
        [[origin]]
        name = "api"
        url = "https://{NAME}:{port}/prod"
        signed_host = "{demo[0]}:{demo[1]}"
        service = "execute-api"
        region = "us-east-1"
        [[route]]
        path = "{path}"
        origin = "api"
    """


class ConfigMap:
    """A folder that changes as Kubernetes changes the folder of a ConfigMap: by the rename of a link."""

    def __init__(self, folder):
        self.folder, self.version = folder, 0
        (folder / "gateway.toml").symlink_to("..data/gateway.toml")

    def write(self, text):
        self.version += 1
        version = self.folder / f"..{self.version}"
        version.mkdir()
        (version / "gateway.toml").write_text(text)
        (self.folder / "..new").symlink_to(version.name)
        os.rename(self.folder / "..new", self.folder / "..data")


def build_from_containerfile(work):
    """Builds the Containerfile from a stand-in of the Rust image: the programs that its steps run, and a cargo that
    copies the program."""
    context = work / "context"
    base = context / "base"
    copies = {work / "program": base / "program"}
    for program in ["sh", "bash", "cat", "chmod", "cp", "dirname", "grep", "ldd", "mkdir"]:
        copies[pathlib.Path(shutil.which(program)).resolve()] = base / "usr/bin" / program
    for program in list(copies):
        listed = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
        libraries = re.findall(r"/[^ \n]*", listed) if "=>" in listed else []
        copies.update((pathlib.Path(library), base / library[1:]) for library in libraries)
    for path, copy in copies.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    (base / "bin").symlink_to("usr/bin")
    shutil.copytree("/usr/share/ca-certificates/mozilla", base / "usr/share/ca-certificates/mozilla")
    cargo = base / "usr/bin/cargo"
    cargo.write_text("#!/bin/sh\n[ -f gateway/Cargo.toml ] && mkdir -p target/dist && cp /program target/dist/sigv4-gateway\n")
    cargo.chmod(0o755)
    (base / "Containerfile").write_text("FROM scratch\nCOPY . /\n")
    run("buildah", "build", "--quiet", "--tag", f"{TAG}-rust", base)
    source = context / "source"
    shutil.copytree(DEPLOY, source / "gateway/deploy")
    for name in ["gateway/Cargo.toml", ".dockerignore"]:
        shutil.copy(DEPLOY.parents[1] / name, source / name)
    run("buildah", "build", "--quiet", "--isolation", "chroot", "--build-arg", f"RUST={TAG}-rust", "--tag", f"{TAG}-file",
        "--file", DEPLOY / "Containerfile", source)


def files(tag):
    """Returns the paths of an image with their modes and sizes."""
    root = pathlib.Path(run("podman", "image", "mount", tag))
    try:
        found = {path: path.lstat() for path in root.rglob("*")}
        return sorted((str(path.relative_to(root)), it.st_mode, it.st_uid, it.st_size if path.is_file() else 0)
                      for path, it in found.items())
    finally:
        run("podman", "image", "unmount", tag)


def limits():
    """Options of podman for machines where root may not raise limits, as podman does."""
    for name, kind in [("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)]:
        hard = resource.getrlimit(kind)[1]
        count = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
        yield from ["--ulimit", f"{name}={count}:{count}"]


def podman_command():
    """Returns the first command that runs the image, or None, and the errors of the others."""
    errors = []
    for program in filter(shutil.which, ["crun", "runc"]):
        for limited in [[], list(limits())]:
            command = ["podman", "--runtime", program, "run", "--rm", "--network", "host", "--read-only",
                       "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges", *limited]
            probe = subprocess.run([*command, TAG, "--version"], capture_output=True, text=True, timeout=120)
            if probe.returncode == 0:
                return command, errors
            errors.append(f"{program}: {probe.stderr.strip()}")
    return None, errors


class Container:
    """The gateway in a container."""

    def __init__(self, command, work):
        self.name = f"sigv4-gateway-{os.getpid()}"
        files = [("config", "/etc/sigv4-gateway"), ("resolv.conf", "/etc/resolv.conf"), ("certificate.pem", "/ca.pem")]
        mounts = [f"--volume={work / name}:{target}:ro" for name, target in files]
        self.process = subprocess.Popen([*command, "--name", self.name, "--env", "SSL_CERT_FILE=/ca.pem", *mounts, TAG],
                                        stdout=subprocess.PIPE, text=True)

    def check_isolation(self):
        pid = run("podman", "inspect", "--format", "{{.State.Pid}}", self.name)
        check_process(pid)
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        check("bounding set", re.search("CapBnd:\t(.*)", status)[1], "0" * 16)
        check("no new privileges", re.search("NoNewPrivs:\t(.*)", status)[1], "1")
        check("seccomp filter", re.search("Seccomp:\t(.*)", status)[1], "2")
        mounts = pathlib.Path(f"/proc/{pid}/mountinfo").read_text()
        root = [line.split()[5] for line in mounts.splitlines() if line.split()[4] == "/"]
        check("root is read-only", root[-1].split(",")[0], "ro")

    def stop(self):
        run("podman", "stop", "--time", str(STOP_SECONDS), self.name)
        return self.process.wait(timeout=30)


class Chroot:
    """The gateway in the image's file system, without a container."""

    def __init__(self, work):
        self.root = pathlib.Path(run("podman", "image", "mount", TAG))
        copy = work / "root"
        shutil.copytree(self.root, copy, symlinks=True)
        run("podman", "image", "unmount", TAG)
        shutil.copy(work / "resolv.conf", copy / "etc")
        shutil.copy(work / "certificate.pem", copy / "ca.pem")
        # ConfigMap renames links in it, so it is the folder itself.
        shutil.rmtree(copy / "etc/sigv4-gateway")
        shutil.move(work / "config", copy / "etc/sigv4-gateway")
        (work / "config").symlink_to(copy / "etc/sigv4-gateway")
        command = ["chroot", "--userspec=65532:65532", copy, "/usr/local/bin/sigv4-gateway",
                   "--config", "/etc/sigv4-gateway/gateway.toml"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "SSL_CERT_FILE": "/ca.pem"})

    def check_isolation(self):
        check_process(self.process.pid)

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=STOP_SECONDS)


def check_process(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    check("user", re.search("Uid:\t(.*)", status)[1].split(), ["65532"] * 4)
    check("group", re.search("Gid:\t(.*)", status)[1].split(), ["65532"] * 4)
    check("capabilities", re.search("CapEff:\t(.*)", status)[1], "0" * 16)


def check_gateway(gateway, config, port, demo, queries):
    line = gateway.process.stdout.readline()
    if not (admin := re.match("admin http://([^ /]*)/? ", line)):
        sys.exit(f"container: the gateway has not started: {line}")
    address = re.match("gateway http://([^ ]*) ", gateway.process.stdout.readline())[1]
    gateway.check_isolation()
    wait_for("ready", lambda: get(admin[1], "/readyz")[0], 200)
    # With an HTTPS origin, whose name a DNS server resolves.
    checks.passed += int(run(REQUESTS, f"http://{demo[0]}:{demo[1]}/prod", f"http://{address}"))
    check("the origin's name was asked for", True in queries, True)
    config.write(configuration(port, "/other", demo))
    wait_for("the route before a reload", lambda: get(address, "/orders")[0], 404)
    check("the route after it", get(address, "/other")[0], 200)
    started = time.monotonic()
    check("exit code after SIGTERM", gateway.stop(), 0)
    check("stopped in time", time.monotonic() - started < STOP_SECONDS, True)


def main():
    if os.getuid() != 0:
        sys.exit("scripts/interop needs root for the container, whose DNS server listens on port 53")
    debian.ensure(buildah="buildah", podman="podman", runc="runc")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        work.chmod(0o755)  # user 65532 reads files in it
        (work / "resolv.conf").write_text(f"nameserver {DNS}\n")
        (work / "config").mkdir()
        origin, demo = start_demo()
        try:
            # The profile `dist` does so.
            run("strip", "--strip-unneeded", "-o", work / "program", PROGRAM)
            run(DEPLOY / "image", work / "program", TAG)
            check_image(work)
            queries, port = serve_dns(), serve_tls(work, demo)
            config = ConfigMap(work / "config")
            config.write(configuration(port, "/", demo))
            command, errors = (None, ["not asked for"]) if "chroot" in sys.argv else podman_command()
            if command:
                gateway = Container(command, work)
            else:
                print("container: not run in a container, only in a chroot: the read-only root, the seccomp filter and "
                      f"`podman stop` are not checked: {'; '.join(errors)}", file=sys.stderr)
                gateway = Chroot(work)
            try:
                check_gateway(gateway, config, port, demo, queries)
            finally:
                if gateway.process.poll() is None:
                    gateway.stop()
        finally:
            origin.kill()
            for tag in [TAG, f"{TAG}-file", f"{TAG}-rust"]:
                subprocess.run(["podman", "image", "rm", "--force", tag], capture_output=True, timeout=60)
    print(checks.passed)


def check_image(work):
    image = files(TAG)
    bundle = pathlib.Path(run("podman", "image", "mount", TAG)) / "etc/ssl/certs/ca-certificates.crt"
    roots = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    roots.load_verify_locations(bundle)
    run("podman", "image", "unmount", TAG)
    check("more than 100 root certificates", len(roots.get_ca_certs()) > 100, True)
    check("no shell", [path for path, *_ in image if path.endswith("/sh")], [])
    check("files of another user", [path for path, _, user, _ in image if user != 0], [])
    check("files that others can write", [path for path, mode, *_ in image if mode & 0o022 and mode & 0o170000 != 0o120000],
          [])
    size = sum(size for *_, size in image)
    print(f"container: {size / 1e6:.1f} MB with {PROGRAM}", file=sys.stderr)
    check(f"{size / 1e6:.1f} MB are too many", size > MAX_SIZE, False)
    build_from_containerfile(work)
    check("the Containerfile makes the same files", files(f"{TAG}-file"), image)


main()
