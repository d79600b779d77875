"""Two gateways that share a cache in Redis: hits and invalidations across them, and an outage of Redis; then the same
under load, while each gateway is replaced behind a balancer that probes readiness. First argument: the gateway's
program. Prints the number of passed checks. Needs redis-server, which it installs on Debian."""

import contextlib
import http.client
import http.server
import json
import re
import signal
import socket
import tempfile
import threading
import time

import checks
import fleet
from checks import check
from fleet import PASSWORD, gateway, send, single, start_gateway

origin_requests = 0


class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global origin_requests
        origin_requests += 1
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


class Balancer:
    """Sends each request to the next ready gateway."""

    def __init__(self, gateways):
        self.gateways, self.ready, self.turn = gateways, [], 0
        self.ended, self.statuses, self.wrong = threading.Event(), [], []
        self.probe()
        load = [threading.Thread(target=self.load, args=(client,)) for client in range(4)]
        self.threads = [threading.Thread(target=self.keep_probing), *load]
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

    def keep_probing(self):
        while not self.ended.wait(0.1):
            self.probe()

    def load(self, client):
        number = 0
        while not self.ended.is_set():
            number += 1
            target, ready = f"/fleet/{(client + number) % 50}", self.ready
            self.turn += 1
            try:
                status, body, cache_status = send(ready[self.turn % len(ready)], target)
            except (OSError, http.client.HTTPException, ZeroDivisionError) as error:
                status, body, cache_status = repr(error), b"", ""
            self.statuses.append(cache_status)
            if (status, body) != (200, target.encode()):
                self.wrong.append((target, status, body))

    def replace(self, number, started):
        """Stops a gateway under load after its replacement is ready, and returns its exit code."""
        old = self.gateways[number]
        self.gateways = [*self.gateways, started]
        while started[1] not in self.ready:
            time.sleep(0.05)
        old[0].terminate()
        with old[0]:
            exit_code = old[0].wait(timeout=30)
        self.gateways = [gateway for gateway in self.gateways if gateway is not old]
        return exit_code

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def run_redis(port, *words):
    with socket.create_connection(("127.0.0.1", port)) as redis, redis.makefile("rb") as replies:
        for command in (("AUTH", PASSWORD), words):
            line = f"*{len(command)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in command)
            redis.sendall(line.encode())
            reply = replies.readline()
    return reply[1:].decode().strip()


def members(admin):
    """Returns the gateways of the fleet, as one of them lists them."""
    connection = http.client.HTTPConnection(admin, timeout=10)
    connection.request("GET", "/fleet", headers={"host": admin})
    listed = json.load(connection.getresponse())
    connection.close()
    return listed["members"]


def until(holds):
    for _ in range(300):
        if holds():
            return True
        time.sleep(0.1)
    return False


def response(cache_status):
    return 200, b"body", cache_status


MISS, HIT = response("fwd=uri-miss; stored"), response("hit")


def until_hit(address, target, **more):
    """Responses are stored in the background."""
    for _ in range(50):
        if (got := send(address, target, **more)) == HIT:
            break
        time.sleep(0.1)
    return got


fleet.ensure_redis()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
origin, port = server.server_address[1], fleet.free_port()


def start_redis():
    return fleet.start_redis(port, "--requirepass", PASSWORD)


redis = start_redis()
try:
    with (
        tempfile.TemporaryFile("w+") as log,
        gateway(origin, single(port), log) as (one, one_admin),
        gateway(origin, single(port), log) as (two, two_admin),
    ):
        check("the gateways list each other", until(lambda: [len(members(it) or []) for it in (one_admin, two_admin)] == [2, 2]), True)
        listed = members(one_admin)
        check("each knows itself", [member["id"] for member in listed if member["this"]] != [], True)
        check("with one configuration", len({member["state"]["config"] for member in listed}), 1)
        check("of one host", {member["state"]["host"] for member in listed}, {socket.gethostname()})
        check("first", send(one, "/x"), MISS)
        time.sleep(0.5)
        check("through the other", send(two, "/x"), HIT)
        check("another variant", send(two, "/x", color="red"), response("fwd=vary-miss; stored"))
        time.sleep(0.5)
        check("the variant through the other", send(one, "/x", color="red"), HIT)
        check("requests at the origin", origin_requests, 2)
        check("a change", send(one, "/x", method="POST"), response("fwd=method"))
        check("is seen by the other at once", send(two, "/x"), MISS)
        check("in all variants", send(two, "/x", color="red")[2].startswith("fwd="), True)
        check("stored again", until_hit(one, "/x"), HIT)
        for number in range(20):
            send(one, "/many", color=str(number))
            time.sleep(0.05)
        stored = int(run_redis(port, "HLEN", "sigv4-gateway:{h /many}"))
        check("few variants", stored, 33)
        # As if Redis had evicted the purges, which each gateway reads once a second.
        run_redis(port, "DEL", "sigv4-gateway:purges")
        time.sleep(1.1)
        check("without an epoch", send(two, "/x"), MISS)
        check("with a new one", until_hit(two, "/x"), HIT)
        redis.send_signal(signal.SIGSTOP)
        check("a change while Redis is unreachable", send(one, "/x", method="POST")[0], 200)
        redis.send_signal(signal.SIGCONT)
        check("no stale hit after it", send(one, "/x"), MISS)
        time.sleep(2.5)
        check("and is repeated later", run_redis(port, "HLEN", "sigv4-gateway:{h /x}"), "1")
        redis.kill()
        redis.wait()
        begun = time.monotonic()
        for _ in range(20):
            check("without redis", send(one, "/x"), MISS)
        check("quickly", time.monotonic() - begun < 2, True)
        check("the fleet is unknown", until(lambda: members(one_admin) is None), True)
        redis = start_redis()
        time.sleep(1.1)
        check("stored once it is back", until_hit(one, "/x"), HIT)
        check("through the other once it is back", until_hit(two, "/x"), HIT)
        log.seek(0)
        lines = log.read()
        check("logged", 1 <= len(re.findall("WARN .*redis at ", lines)) <= 2, True)
        check("without the password", PASSWORD in lines, False)
    with tempfile.TemporaryFile("w+") as log:
        gateways = [start_gateway(origin, single(port), log) for _ in range(2)]
        balancer = Balancer(gateways)
        try:
            time.sleep(1)
            redis.kill()
            redis.wait()
            time.sleep(1)
            redis = start_redis()
            time.sleep(1.5)
            for _ in range(2):
                gateways.append(start_gateway(origin, single(port), log))
                check("clean exit", balancer.replace(0, gateways[-1]), 0)
            time.sleep(0.5)
            last = gateways[-1][2]
            check("the fleet is that of the new gateways", until(lambda: len(members(last) or []) == 2), True)
        finally:
            balancer.end()
            for process, *_ in gateways:
                with process:
                    process.kill()
        check("no lost or wrong response", balancer.wrong, [])
        check("under load", len(balancer.statuses) > 500, True)
        check("mostly hits", balancer.statuses.count("hit") > len(balancer.statuses) / 2, True)
        check("hits at the end, by the new gateways", balancer.statuses[-50:].count("hit") > 25, True)
finally:
    redis.kill()
    redis.wait()
    server.shutdown()
print(checks.passed)
