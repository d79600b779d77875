"""Two gateways that share a cache in Redis: hits and invalidations across them, Redis gone and back, and then all
that under load, while each gateway is replaced behind a balancer that asks for readiness. First argument: the
gateway's program. Prints how many checks passed. Needs redis-server, which it installs on Debian."""

import contextlib
import http.client
import http.server
import os
import pathlib
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
        body = self.path.encode() if self.path.startswith("/fleet/") else b"body"
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


def installed():
    if shutil.which("redis-server"):
        return
    if not shutil.which("apt-get") or os.getuid() != 0:
        sys.exit("scripts/interop needs redis-server")
    # A service that Debian starts would be in the way. A policy that somebody has set is left: it is theirs, and a container's says the same.
    policy = pathlib.Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "redis-server"]
        subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=sys.stderr)
        subprocess.run(install, check=True, stdout=sys.stderr)
    finally:
        if ours:
            policy.unlink()


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


def start_gateway(origin, port, log):
    """The process, and where it and its admin port listen."""
    config = f"""
        [server]
        listen = "127.0.0.1:0"
        drain_delay = "1s"
        [admin]
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
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        admin = re.match("admin http://([^ /]*)/? ", process.stdout.readline())[1]
        return process, re.match("gateway http://([^ ]*) ", process.stdout.readline())[1], admin


@contextlib.contextmanager
def gateway(origin, port, log):
    process, address, _ = start_gateway(origin, port, log)
    with process:
        try:
            yield address
        finally:
            process.kill()


class Balancer:
    """Sends each request to the next of the gateways that say they are ready, as it last heard."""

    def __init__(self, gateways):
        self.gateways, self.ready, self.turn = gateways, [], 0
        self.ends, self.answers, self.wrong = threading.Event(), [], []
        self.probe()
        load = [threading.Thread(target=self.load, args=(client,)) for client in range(4)]
        self.threads = [threading.Thread(target=self.probe_on), *load]
        for thread in self.threads:
            thread.start()

    def probe(self):
        ready = []
        for _, address, admin in self.gateways:
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection(admin, timeout=5)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    ready.append(address)
                connection.close()
        self.ready = ready

    def probe_on(self):
        while not self.ends.wait(0.1):
            self.probe()

    def load(self, client):
        number = 0
        while not self.ends.is_set():
            number += 1
            target, ready = f"/fleet/{(client + number) % 50}", self.ready
            self.turn += 1
            try:
                status, body, told = send(ready[self.turn % len(ready)], target)
            except (OSError, http.client.HTTPException, ZeroDivisionError) as error:
                status, body, told = repr(error), b"", ""
            self.answers.append(told)
            if (status, body) != (200, target.encode()):
                self.wrong.append((target, status, body))

    def replace(self, number, started):
        """How a gateway ends that is told to while it is under load. Another one has taken its place before."""
        old = self.gateways[number]
        self.gateways = [*self.gateways, started]
        while started[1] not in self.ready:
            time.sleep(0.05)
        old[0].terminate()
        with old[0]:
            ended = old[0].wait(timeout=30)
        self.gateways = [gateway for gateway in self.gateways if gateway is not old]
        return ended

    def end(self):
        self.ends.set()
        for thread in self.threads:
            thread.join()


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
        check("it is told", 1 <= lines.count("its responses are not used") <= 2, True)
        check("without the password", PASSWORD in lines, False)
    with tempfile.TemporaryFile("w+") as log:
        gateways = [start_gateway(origin, port, log) for _ in range(2)]
        fleet = Balancer(gateways)
        try:
            time.sleep(1)
            redis.kill()
            redis.wait()
            time.sleep(1)
            redis = start_redis(port)
            time.sleep(1.5)
            for _ in range(2):
                gateways.append(start_gateway(origin, port, log))
                check("a gateway ends well", fleet.replace(0, gateways[-1]), 0)
            time.sleep(0.5)
        finally:
            fleet.end()
            for process, *_ in gateways:
                with process:
                    process.kill()
        check("none lost, none wrong", fleet.wrong, [])
        check("under load", len(fleet.answers) > 500, True)
        check("hits, mostly", fleet.answers.count("hit") > len(fleet.answers) / 2, True)
        check("hits at the end, by gateways that are new", fleet.answers[-50:].count("hit") > 25, True)
finally:
    redis.kill()
    redis.wait()
    server.shutdown()
print(passed)
