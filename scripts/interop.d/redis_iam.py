"""A gateway whose cache is in a Redis that takes the tokens of ElastiCache and MemoryDB as passwords. Between them stands
a proxy that verifies each token, as AWS does, and then makes it the password of the ACL user. First argument: the
gateway's program. Prints the number of passed checks. Needs redis-server, which it installs on Debian."""

import calendar
import contextlib
import hashlib
import hmac
import http.server
import socket
import tempfile
import threading
import time
from urllib.parse import parse_qs, quote

import checks
import fleet
from checks import check
from fleet import PASSWORD, gateway, send

SECRET, SESSION, USER = "a secret", "session/token+1=", "jane"
IDENTITY = f"""
        [[identity]]
        name = "cache"
        source = "static"
        access_key_id = "AKIDCACHE"
        secret_access_key = "{SECRET}"
        session_token = "{SESSION}"
"""


class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("cache-control", "max-age=600")
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b"body")

    def log_message(self, *_):
        pass


def reason_to_reject(token, service, name, serverless):
    """Verifies the signature of a token, its time and its parameters. Returns None if it is valid."""
    host, query = token.split("/?")
    signed, signature = query.split("&X-Amz-Signature=")
    values = {key: value[0] for key, value in parse_qs(query).items()}
    expected = {"Action": "connect", "User": USER, "X-Amz-Expires": "900", "X-Amz-SignedHeaders": "host",
                "X-Amz-Security-Token": SESSION, "X-Amz-Algorithm": "AWS4-HMAC-SHA256"}
    if serverless:
        expected["ResourceType"] = "ServerlessCache"
    scope = f"{values['X-Amz-Date'][:8]}/us-east-1/{service}/aws4_request"
    expected["X-Amz-Credential"] = f"AKIDCACHE/{scope}"
    others = {"X-Amz-Date", "X-Amz-Signature"}
    if (got := {key: value for key, value in values.items() if key not in others}) != expected:
        return f"parameters {got}, not {expected}"
    if host != name:
        return f"host {host}, not {name}"
    signed_at = time.strptime(values["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    age = time.time() - calendar.timegm(signed_at)
    if not -60 < age < 900:
        return f"age of {age} s"
    pairs = sorted(f"{key}={quote(value, safe='-._~')}" for key, value in values.items() if key != "X-Amz-Signature")
    canonical = "\n".join(["GET", "/", "&".join(pairs), f"host:{host}", "", "host", hashlib.sha256().hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", values["X-Amz-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    wanted = hmac.digest(key, text.encode(), "sha256").hex()
    return None if wanted == signature else f"signature {signature}, not {wanted}"


class Proxy:
    """Forwards connections, and verifies the token of each AUTH."""

    def __init__(self, redis_port, service, name, serverless):
        self.redis, self.expected = redis_port, (service, name, serverless)
        self.tokens, self.rejected, self.connections = [], [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.redis))
                self.connections.append((client, server))
                threading.Thread(target=self.forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self.copy, args=(server, client), daemon=True).start()

    def forward(self, client, server):
        with contextlib.suppress(OSError, ValueError), client.makefile("rb") as commands:
            while line := commands.readline():
                words = []
                for _ in range(int(line[1:])):
                    words.append(commands.read(int(commands.readline()[1:]) + 2)[:-2])
                if words[0] == b"AUTH":
                    self.verify(words)
                server.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        self.end(client, server)

    def copy(self, server, client):
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        self.end(client, server)

    def verify(self, words):
        _, user, token = (word.decode() for word in words)
        reason = f"user {user}" if user != USER else reason_to_reject(token, *self.expected)
        if reason:
            self.rejected.append(reason)
            return
        self.tokens.append(token)
        commands = ("AUTH", PASSWORD), ("ACL", "SETUSER", USER, "on", f">{token}", "~*", "&*", "+@all")
        with socket.create_connection(("127.0.0.1", self.redis)) as admin, admin.makefile("rb") as replies:
            for command in commands:
                admin.sendall(f"*{len(command)}\r\n".encode() +
                              b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in command))
                if (reply := replies.readline()) != b"+OK\r\n":
                    raise OSError(reply)

    def end(self, *sockets):
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def end_connections(self):
        for pair in self.connections:
            self.end(*pair)
        self.connections = []


def lines(proxy, service, name, serverless):
    more = f', service = "{service}"' if service != "elasticache" else ""
    more += ", serverless = true" if serverless else ""
    auth = f'iam = "cache", user = "{USER}", cache = "{name}", region = "us-east-1"{more}'
    return f'redis = "redis://127.0.0.1:{proxy.port}"\nredis_auth = {{ {auth} }}{IDENTITY}'


def until(name, condition):
    for _ in range(100):
        if condition():
            check(name, True, True)
            return
        time.sleep(0.1)
    check(name, False, True)


fleet.ensure_redis()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
origin, port = server.server_address[1], fleet.free_port()
redis = fleet.start_redis(port, "--requirepass", PASSWORD)
try:
    for service, name, serverless in [("elasticache", "my-group", False), ("elasticache", "my-cache", True),
                                      ("memorydb", "my-cluster", False)]:
        proxy = Proxy(port, service, name, serverless)
        with (
            tempfile.TemporaryFile("w+") as log,
            gateway(origin, lines(proxy, service, name, serverless), log) as (address, _),
        ):
            target = f"/{service}/{name}"
            until(f"{service}: stored", lambda: send(address, target)[2] == "hit")
            check(f"{service}: rejected tokens", proxy.rejected, [])
            known = set(proxy.tokens)
            time.sleep(1.1)  # so that the next token has another date
            proxy.end_connections()
            until(f"{service}: stored after a reconnect", lambda: send(address, target)[2] == "hit")
            until(f"{service}: a new token", lambda: set(proxy.tokens) - known)
            check(f"{service}: rejected tokens after it", proxy.rejected, [])
            log.seek(0)
            check(f"{service}: no token in the log", "X-Amz-Signature" in log.read(), False)
        proxy.listener.close()
finally:
    redis.kill()
    redis.wait()
    server.shutdown()
print(checks.passed)
