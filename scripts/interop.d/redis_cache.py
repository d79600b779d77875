"""Two gateways that share a cache in Redis: hits and invalidations across them, and Redis gone and back. First
argument: the gateway's program. Prints how many checks passed. Needs redis-server, which it installs on Debian."""

import contextlib
import http.client
import http.server
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

GATEWAY, PASSWORD = sys.argv[1], "not-to-be-logged"
passed, asked = 0, 0


def check(name, got, wanted):
    global passed
    if got != wanted:
        sys.exit(f"{name}: {got}, not {wanted}")
    passed += 1


class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += 1
        self.send_response(200)
        self.send_header("cache-control", "max-age=600")
        self.send_header("vary", "x-color")
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b"body")

    do_POST = do_GET

    def log_message(self, *_):
        pass


def installed():
    if shutil.which("redis-server"):
        return
    if not shutil.which("apt-get") or os.getuid() != 0:
        sys.exit("scripts/interop needs redis-server")
    # A service that Debian starts would be in the way.
    with open("/usr/sbin/policy-rc.d", "x") as policy:
        policy.write("#!/bin/sh\nexit 101\n")
    os.chmod(policy.name, 0o755)
    try:
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "redis-server"]
        subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=sys.stderr)
        subprocess.run(install, check=True, stdout=sys.stderr)
    finally:
        os.remove(policy.name)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_redis(port):
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    process = subprocess.Popen([*command, "--requirepass", PASSWORD], stdout=subprocess.DEVNULL)
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return process
        time.sleep(0.1)
    sys.exit("redis-server has not started")


@contextlib.contextmanager
def gateway(origin, port, log):
    config = f"""
        [server]
        listen = "127.0.0.1:0"
        [credentials]
        source = "static"
        access_key_id = "AKID"
        secret_access_key = "secret"
        [cache]
        redis = "redis://:{PASSWORD}@127.0.0.1:{port}/"
        [[origin]]
        name = "a"
        url = "http://127.0.0.1:{origin}"
        service = "execute-api"
        region = "us-east-1"
        [[route]]
        path = "/"
        origin = "a"
        cache = true
    """
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(config)
        file.flush()
        command = [GATEWAY, "--config", file.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
            try:
                yield re.match("gateway http://([^ ]*) ", process.stdout.readline())[1]
            finally:
                process.terminate()


def send(address, target, method="GET", color="none"):
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request(method, target, headers={"host": "h", "x-color": color})
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    told = answer.getheader("cache-status").removeprefix("sigv4-gateway; ")
    return answer.status, read, told


def ask(port, *words):
    with socket.create_connection(("127.0.0.1", port)) as redis, redis.makefile("rb") as answers:
        for command in (("AUTH", PASSWORD), words):
            line = f"*{len(command)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in command)
            redis.sendall(line.encode())
            answer = answers.readline()
    return answer[1:].decode().strip()


def answered(told):
    return 200, b"body", told


MISS, HIT = answered("fwd=uri-miss; stored"), answered("hit")


def until_hit(address, target, **more):
    """Answers are written in the background."""
    for _ in range(50):
        if (got := send(address, target, **more)) == HIT:
            break
        time.sleep(0.1)
    return got


installed()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
origin, port = server.server_address[1], free_port()
redis = start_redis(port)
try:
    with (
        tempfile.TemporaryFile("w+") as log,
        gateway(origin, port, log) as one,
        gateway(origin, port, log) as two,
    ):
        check("first", send(one, "/x"), MISS)
        time.sleep(0.5)
        check("through the other", send(two, "/x"), HIT)
        check("another variant", send(two, "/x", color="red"), answered("fwd=vary-miss; stored"))
        time.sleep(0.5)
        check("the variant through the other", send(one, "/x", color="red"), HIT)
        check("asked", asked, 2)
        check("a change", send(one, "/x", method="POST"), answered("fwd=method"))
        check("is seen by the other at once", send(two, "/x"), MISS)
        check("in all variants", send(two, "/x", color="red")[2].startswith("fwd="), True)
        check("stored again", until_hit(one, "/x"), HIT)
        for number in range(20):
            send(one, "/many", color=str(number))
            time.sleep(0.05)
        kept = int(ask(port, "HLEN", "sigv4-gateway:url:h /many"))
        check("few variants", 16 <= kept <= 18, True)
        # All was cleared once, say, and what tells so is evicted.
        ask(port, "DEL", "sigv4-gateway:epoch")
        check("without an epoch", send(two, "/x"), MISS)
        check("with a new one", until_hit(two, "/x"), HIT)
        redis.send_signal(signal.SIGSTOP)
        check("a change that Redis does not hear of", send(one, "/x", method="POST")[0], 200)
        redis.send_signal(signal.SIGCONT)
        check("is not answered from before it", send(one, "/x"), MISS)
        time.sleep(2.5)
        check("and is made up for", ask(port, "HLEN", "sigv4-gateway:url:h /x"), "2")
        redis.kill()
        redis.wait()
        begun = time.monotonic()
        for _ in range(20):
            check("without redis", send(one, "/x"), MISS)
        check("quickly", time.monotonic() - begun < 2, True)
        redis = start_redis(port)
        time.sleep(1.1)
        check("stored once it is back", until_hit(one, "/x"), HIT)
        check("through the other once it is back", until_hit(two, "/x"), HIT)
        log.seek(0)
        lines = log.read()
        check("it is told", 1 <= lines.count("what it holds is not used") <= 2, True)
        check("without the password", PASSWORD in lines, False)
finally:
    redis.kill()
    redis.wait()
    server.shutdown()
print(passed)
