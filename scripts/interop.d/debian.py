"""Installs or unpacks Debian's packages of missing programs."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

APT = pathlib.Path(__file__).resolve().parent.parent / "apt"
SUDO = [] if os.getuid() == 0 else ["sudo", "--non-interactive"]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tower-sigv4"


def ensure(**packages):
    """Installs the packages whose programs, the names of the arguments, are missing."""
    if missing := [package for program, package in packages.items() if not find(program)]:
        install(*missing)


def install(*packages):
    if subprocess.run([APT, *packages], stdout=sys.stderr).returncode:
        sys.exit(f"scripts/interop needs {', '.join(packages)}")


def find(program):
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def unpack(package, *programs):
    """Returns the paths of the programs. Those that are missing come from a package that is unpacked into a folder of
    its own, once: without its dependencies, its user and its service."""
    folder = CACHE / "debian" / package / "usr/bin"
    paths = [shutil.which(program) or shutil.which(program, path=folder) for program in programs]
    if all(paths):
        return paths
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        sys.exit(f"scripts/interop needs {', '.join(programs)}")
    target = CACHE / "debian" / package
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        # As another user apt cannot write into the folder.
        download = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package]
        subprocess.run([*SUDO, "apt-get", "update", "-qq"], check=True, stdout=sys.stderr)
        subprocess.run(download, check=True, stdout=sys.stderr, cwd=work)
        (archive,) = pathlib.Path(work).glob("*.deb")
        subprocess.run(["dpkg", "--extract", archive, pathlib.Path(work) / "root"], check=True)
        shutil.rmtree(target, ignore_errors=True)
        (pathlib.Path(work) / "root").rename(target)
    missing = [program for program in programs if not (folder / program).exists()]
    if missing:
        sys.exit(f"scripts/interop: the package {package} has no {', '.join(missing)}")
    return [str(folder / program) for program in programs]

