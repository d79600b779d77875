"""Installs Debian's packages of missing programs."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys


def ensure(**packages):
    """Installs the packages whose programs, the names of the arguments, are missing. Starts no service."""
    missing = [package for program, package in packages.items() if not shutil.which(program)]
    if not missing:
        return
    if not shutil.which("apt-get") or os.getuid() != 0:
        sys.exit(f"scripts/interop needs {', '.join(missing)}")
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with services_disabled():
        subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=sys.stderr)
        subprocess.run(install, check=True, stdout=sys.stderr, env=environment)


@contextlib.contextmanager
def services_disabled():
    # An existing policy stays: containers usually have the same.
    policy = pathlib.Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            policy.unlink()
