"""Runs OpenStack Swift, which verifies S3 requests: one node of four processes, without memcached. Prints its address,
and runs until SIGTERM or until its parent exits. Argument: a folder for its data."""

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import time

from swift.common.ring import RingBuilder

ADDRESS = "127.0.0.1"
MODULES = {"account": "account", "container": "container", "object": "obj", "proxy": "proxy"}
CONFIG = """\
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
bind_ip = {address}
bind_port = {port}
workers = 0
log_level = ERROR
# Listings must show new objects also on a busy machine.
conn_timeout = 10
node_timeout = 60
container_update_timeout = 60
[pipeline:main]
pipeline = {filters} {name}-server
[app:{name}-server]
use = egg:swift#{name}
account_autocreate = true
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
min_segment_size = 1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
"""
PR_SET_PDEATHSIG = 1


def end_with_parent():
    """Makes Linux send SIGTERM to this process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port():
    """Returns a port, and a socket that reserves it for servers with SO_REUSEPORT, such as Swift's."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((ADDRESS, 0))
    return held.getsockname()[1], held


def check_attributes(folder):
    try:
        os.setxattr(folder, "user.swift", b"")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        no_metadata = f"{folder} takes no extended attributes, in which Swift keeps metadata"
        sys.exit(f"{no_metadata}; set TMPDIR to a folder of another file system")


def write_ring(folder, name, port):
    ring = RingBuilder(1, 1, 0)  # two partitions, one replica
    device = {"region": 1, "zone": 1, "weight": 1, "device": "disk"}
    for purpose in ["", "replication_"]:
        device.update({f"{purpose}ip": ADDRESS, f"{purpose}port": port})
    ring.add_dev(device)
    ring.rebalance()
    ring.get_ring().save(os.path.join(folder, f"{name}.ring.gz"))


def start(folder, name, port):
    path = os.path.join(folder, f"{name}.conf")
    filters = "s3api tempauth slo" if name == "proxy" else ""
    with open(path, "w") as file:
        file.write(CONFIG.format(**locals(), address=ADDRESS))
    # "-v" logs to stderr.
    command = [sys.executable, "-I", "-Wignore", "-m", f"swift.{MODULES[name]}.server", path, "-v"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=end_with_parent)


def wait_for(port, process):
    while True:
        try:
            return socket.create_connection((ADDRESS, port)).close()
        except ConnectionRefusedError:
            if process.poll() is not None:
                sys.exit(f"{process.args} has not started")
            time.sleep(0.1)


def main():
    end_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    folder = os.path.abspath(sys.argv[1])
    os.makedirs(os.path.join(folder, "devices", "disk"))
    check_attributes(folder)
    with open(os.path.join(folder, "swift.conf"), "w") as file:
        file.write("[swift-hash]\nswift_hash_path_suffix = any\n")
    ports = {name: free_port() for name in MODULES}
    processes = []
    try:
        for name, (port, _) in ports.items():
            if name != "proxy":  # the proxy finds the others by their rings
                write_ring(folder, name, port)
            processes.append(start(folder, name, port))
        for process, (port, _) in zip(processes, ports.values()):
            wait_for(port, process)
        print(f"listening on http://{ADDRESS}:{ports['proxy'][0]}", flush=True)
        pid, _ = os.wait()
        sys.exit(f"a process of Swift has ended: {[p.args for p in processes if p.pid == pid]}")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


main()
