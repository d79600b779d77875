"""The release's files, and its Debian package on a clean Debian 12 with a running systemd: installed, configured,
restarted, upgraded and purged. First argument: the gateway's program, optimized. Prints the number of passed checks.
Needs root or sudo, and a kernel that lets systemd-nspawn boot. Installs debootstrap, lintian and systemd-container on
Debian."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import checks
import debian
from checks import check
from debian import SUDO

RELEASE = pathlib.Path(__file__).parent.parent / "release"
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
CONFIG = "/etc/sigv4-gateway/gateway.toml"
ENVIRONMENT = "/etc/sigv4-gateway/environment"
MIRROR = "http://deb.debian.org/debian"
# Packages of Debian's, for the container: what a machine with systemd has.
BASE = "systemd,systemd-sysv,dbus,ca-certificates,procps"
BOOT_TIMEOUT = 60  # seconds


def run(*words, **more):
    """Returns the output of a command, which must succeed."""
    ran = subprocess.run([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if ran.returncode != 0:
        sys.exit(f"deb: {' '.join(map(str, words))} failed with {ran.returncode}: {ran.stdout}")
    return ran.stdout.strip()


def clean_debian(folder):
    """Copies a Debian that is downloaded once."""
    base = debian.CACHE / f"debian-12-{hashlib.sha256(BASE.encode()).hexdigest()[:8]}"
    if not base.exists():
        new = base.with_suffix(".new")
        run(*SUDO, "rm", "-rf", new)
        make = [f"--keyring={KEYRING}", "--variant=minbase", f"--include={BASE}", "bookworm", new, MIRROR]
        run(*SUDO, debian.find("debootstrap"), *make, timeout=500)
        run(*SUDO, "mv", new, base)
    run(*SUDO, "cp", "-a", "--reflink=auto", base, folder)


class Machine:
    """A container with a network of its own, in which systemd runs."""

    def __init__(self, root, shared):
        words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--boot"]
        words += ["-D", root, f"--bind-ro={shared}:/release", "--machine=sigv4-gateway-test"]
        self.log = tempfile.TemporaryFile("w+")
        self.nspawn = subprocess.Popen(
            [*SUDO, *map(str, words)], stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT
        )
        self.init = None

    def __enter__(self):
        try:
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def boot(self):
        deadline = time.monotonic() + BOOT_TIMEOUT
        state = "no systemd"
        # Degraded: a kernel may lack a feature that a unit of Debian's needs.
        while state not in ("running", "degraded"):
            if self.nspawn.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                sys.exit(f"deb: this machine cannot boot systemd in a container ({state}): {self.log.read()[-3000:]}")
            time.sleep(0.2)
            self.init = systemd_below(self.nspawn.pid)
            if self.init:
                state = self.attempt("systemctl", "is-system-running")[1]

    def __exit__(self, *_):
        if self.init:
            self.attempt("systemctl", "poweroff")
        try:
            self.nspawn.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.nspawn.terminate()
            self.nspawn.wait()
        self.log.close()

    def attempt(self, *words):
        enter = [*SUDO, "nsenter", "--target", self.init, "--all", "--root"]
        variables = ["env", "-i", "--chdir=/", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"]
        ran = subprocess.run(
            [*enter, *variables, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
        )
        return ran.returncode, ran.stdout.strip()

    def run(self, *words):
        code, output = self.attempt(*words)
        if code != 0:
            journal = self.attempt("journalctl", "--no-pager", "-n", "30", "-u", "sigv4-gateway")[1]
            sys.exit(f"deb: {' '.join(words)} failed with {code}: {output}\n{journal}")
        return output

    def property(self, name):
        return self.run("systemctl", "show", "--value", "--property", name, "sigv4-gateway")

    def status(self, url):
        """Returns the status of a response in the container, from a client outside, which is without curl."""
        enter = [*SUDO, "nsenter", "--target", self.init, "--net"]
        curl = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "20"]
        deadline = time.monotonic() + 20
        while True:  # until the gateway listens
            ran = subprocess.run([*enter, *curl, "--noproxy", "*", url], stdout=subprocess.PIPE, text=True)
            if ran.returncode == 0 or time.monotonic() > deadline:
                return ran.stdout
            time.sleep(0.1)


def systemd_below(pid):
    """Returns the process of the container's systemd."""
    path = f"/proc/{pid}/task/{pid}/children"
    try:
        children = pathlib.Path(path).read_text().split()
        for child in children:
            if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return child
            if found := systemd_below(child):
                return found
    except OSError:
        pass  # it has ended
    return None


def files(release):
    """Checks the files beside the Debian package."""
    names = {file.name for file in release.iterdir()}
    sums = dict(reversed(line.split()) for line in (release / "SHA256SUMS").read_text().splitlines())
    check("files with a checksum", set(sums), names - {"SHA256SUMS"})
    for name, wanted in sums.items():
        check(f"checksum of {name}", hashlib.sha256((release / name).read_bytes()).hexdigest(), wanted)
    (sbom,) = release.glob("*.cdx.json")
    libraries = {part["name"] for part in json.loads(sbom.read_text())["components"]}
    check("libraries in the SBOM", {"tower-sigv4", "http-cache-layer", "ring", "rustls"} - libraries, set())
    check("libraries of tests in the SBOM", {"rcgen", "boon"} & libraries, set())
    (schema,) = release.glob("*.schema.json")
    check("the schema's sections", {"server", "origin"} - set(json.loads(schema.read_text())["properties"]), set())
    (archive,) = release.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        run("tar", "-xzf", archive, "-C", folder)
        (unpacked,) = pathlib.Path(folder).iterdir()
        check("the archive's folder", f"{unpacked.name}.tar.gz", archive.name)
        version = run(unpacked / "sigv4-gateway", "--version")
        check("the archive's version", unpacked.name.startswith(version.replace(" ", "-")), True)
        checked = run(unpacked / "sigv4-gateway", "--config", unpacked / "gateway.toml", "--check")
        check("the archive's configuration", checked.endswith("no errors"), True)
        licenses = (unpacked / "THIRD-PARTY-LICENSES").read_text()
        unlisted = {name for name in libraries if f"\n{name} " not in licenses and "sigv4" not in name}
        check("libraries without a license", unlisted - {"http-cache-layer"}, set())
        man = run("man", "--warnings", "--local-file", unpacked / "sigv4-gateway.1") if shutil.which("man") else ""
        check("warnings of man", "warning:" in man, False)
    return version


def install(machine, version):
    machine.run("apt-get", "install", "-y", "-qq", "/release/1.deb")
    check("version", machine.run("sigv4-gateway", "--version"), version)
    check("--check", machine.run("sigv4-gateway", "--config", CONFIG, "--check").endswith("no errors"), True)
    unit = machine.property("FragmentPath")
    check("systemd-analyze verify", machine.run("systemd-analyze", "verify", unit), "")
    check("enabled", machine.run("systemctl", "is-enabled", "sigv4-gateway"), "enabled")
    check("active", machine.run("systemctl", "is-active", "sigv4-gateway"), "active")
    check("mode of the environment", machine.run("stat", "-c", "%a %U", ENVIRONMENT), "600 root")
    check("mode of the configuration", machine.run("stat", "-c", "%a %U", CONFIG), "644 root")
    check("a request without credentials", machine.status("http://127.0.0.1:8080/"), "503")
    program = machine.property("MainPID")
    # The range of users that exist only while a service runs.
    check("user", 61184 <= int(machine.run("stat", "-c", "%u", f"/proc/{program}")) <= 65519, True)
    status = machine.run("cat", f"/proc/{program}/status")
    for line in ("CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        check("sandbox", line in status, True)
    complete = 'source "$0"; COMP_WORDS=(sigv4-gateway --ch) COMP_CWORD=1; _sigv4_gateway; echo "${COMPREPLY[@]}"'
    completion = "/usr/share/bash-completion/completions/sigv4-gateway"
    check("completion", machine.run("bash", "-c", complete, completion), "--check")


def configure(machine):
    machine.run("sh", "-c", f"echo AWS_ACCESS_KEY_ID=AKIDEXAMPLE >>{ENVIRONMENT}")
    machine.run("sh", "-c", f"echo AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/EXAMPLEKEY >>{ENVIRONMENT}")
    machine.run("sh", "-c", f"printf '\\n[admin]\\nlisten = \"127.0.0.1:9090\"\\n' >>{CONFIG}")
    machine.run("systemctl", "restart", "sigv4-gateway")
    check("the admin port", machine.status("http://127.0.0.1:9090/healthz"), "200")
    # The origin of the example does not exist, and the container has no network.
    check("a request with credentials", machine.status("http://127.0.0.1:8080/"), "502")
    environment = machine.run("cat", f"/proc/{machine.property('MainPID')}/environ").split("\0")
    check("environment", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE" in environment, True)
    machine.run("systemctl", "reload", "sigv4-gateway")
    check("active after a reload", machine.run("systemctl", "is-active", "sigv4-gateway"), "active")


def upgrade(machine):
    before = machine.property("MainPID")
    machine.run("apt-get", "install", "-y", "-qq", "/release/2.deb")
    installed = machine.run("dpkg-query", "--show", "--showformat", "${Version}", "sigv4-gateway")
    check("the upgraded revision", installed.endswith("-2"), True)
    check("active after the upgrade", machine.run("systemctl", "is-active", "sigv4-gateway"), "active")
    check("another process", machine.property("MainPID") != before, True)
    check("the kept configuration", machine.status("http://127.0.0.1:9090/healthz"), "200")
    check("the kept environment", "AKIDEXAMPLE" in machine.run("cat", ENVIRONMENT), True)


def keep_the_port(machine):
    """Lets systemd listen, as docs/deploy.md describes."""
    machine.run("systemctl", "stop", "sigv4-gateway")
    machine.run("systemctl", "start", "sigv4-gateway.socket")
    check("started by a request", machine.status("http://127.0.0.1:8080/"), "502")
    check("active by its socket", machine.run("systemctl", "is-active", "sigv4-gateway"), "active")
    machine.run("systemctl", "restart", "sigv4-gateway")
    check("the port after a restart", machine.status("http://127.0.0.1:8080/"), "502")
    machine.run("systemctl", "stop", "sigv4-gateway.socket", "sigv4-gateway")


def purge(machine):
    machine.run("systemctl", "stop", "sigv4-gateway")
    check("result of a stop", machine.property("Result"), "success")
    machine.run("systemctl", "start", "sigv4-gateway")
    process = f"/proc/{machine.property('MainPID')}"
    machine.run("apt-get", "remove", "-y", "-qq", "sigv4-gateway")
    check("the process after removal", machine.attempt("test", "-e", process)[0], 1)
    check("the configuration after removal", machine.attempt("test", "-e", CONFIG)[0], 0)
    machine.run("apt-get", "purge", "-y", "-qq", "sigv4-gateway")
    check("the unit after purge", machine.property("LoadState"), "not-found")
    left = machine.run("find", "/etc", "/usr", "/var/lib/systemd", "/var/lib/private", "-name", "*sigv4-gateway*")
    check("files after purge", left, "")


def main(program):
    debian.ensure(debootstrap="debootstrap", lintian="lintian", **{"systemd-nspawn": "systemd-container"})
    if not KEYRING.exists():
        debian.install("debian-archive-keyring")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for revision in ("1", "2"):
            output = work / revision
            run(RELEASE, "--program", program, "--output", output, "--revision", revision)
            (package,) = output.glob("*.deb")
            shutil.copy(package, work / f"{revision}.deb")
        version = files(work / "1")
        unequal = [
            file.name
            for file in (work / "1").iterdir()
            if file.suffix not in (".deb", "") and file.read_bytes() != (work / "2" / file.name).read_bytes()
        ]
        check("files that differ in the second revision", unequal, [])
        run("lintian", "--no-cfg", "--allow-root", "--fail-on", "error", work / "1.deb")
        work.chmod(0o755)
        try:
            clean_debian(work / "root")
            with Machine(work / "root", work) as machine:
                install(machine, version)
                configure(machine)
                upgrade(machine)
                keep_the_port(machine)
                purge(machine)
        finally:
            run(*SUDO, "rm", "-rf", "--one-file-system", work / "root")
    print(checks.passed)


main(sys.argv[1])
