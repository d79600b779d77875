"""Stand-ins of Amazon Cognito and an API, each of which verifies what it receives: tokens by `cryptography`, signatures
by botocore. Prints their URLs as JSON, and serves until it is killed.

- Cognito: InitiateAuth of a user pool, GetId and GetCredentialsForIdentity of an identity pool, and the pool's JWKS.
- STS: GetCallerIdentity by a presigned URL.
- Keys: the endpoint where a gateway finds the keys of callers that sign.
- The API: 200 with the access key ID and the user of the signature, or 403 with the difference.
"""

import base64
import http.server
import json
import pathlib
import re
import secrets
import sys
import threading
import time
import urllib.parse

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

sys.path.append(str(pathlib.Path(__file__).parent / "s3_clients"))
import origin

REGION, POOL, CLIENT = "us-east-1", "us-east-1_standin", "app-client"
IDENTITY_POOL = f"{REGION}:00000000-1111-2222-3333-444444444444"
PASSWORDS = {"alice": "alice's password", "bob": "bob's password"}
SUBJECTS = {name: f"{index}{index}{index}-sub-of-{name}" for index, name in enumerate(PASSWORDS)}
KEY, FOREIGN_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
GATEWAY_KEY = ("AKIDGATEWAY", "gateway-secret")
# Secret, session token and user of each access key ID.
issued = {GATEWAY_KEY[0]: (GATEWAY_KEY[1], None, "gateway")}
counts = {"GetId": 0, "GetCredentialsForIdentity": 0, "GetCallerIdentity": 0, "keys": 0, "origin": 0}


class Rejected(Exception):
    """Code and message of a service's error."""


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def token(issuer, subject, key=KEY, **changed):
    now = int(time.time())
    claims = {"iss": issuer, "sub": subject, "aud": CLIENT, "token_use": "id", "iat": now, "exp": now + 3600, **changed}
    parts = [{"alg": "RS256", "kid": "pool-key", "typ": "JWT"}, claims]
    text = ".".join(encode(json.dumps(part).encode()) for part in parts)
    return f"{text}.{encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def verified_claims(token, issuer):
    """Returns the claims of a valid token of the user pool."""
    try:
        text, signature = token.rsplit(".", 1)
        KEY.public_key().verify(decode(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        raise Rejected("NotAuthorizedException", "Invalid login token.") from None
    claims = json.loads(decode(text.split(".")[1]))
    if claims["iss"] != issuer or claims["aud"] != CLIENT:
        raise Rejected("NotAuthorizedException", "Token is not from a supported provider of this identity pool.")
    if claims["exp"] <= time.time():
        raise Rejected("NotAuthorizedException", "Invalid login token. Token expired.")
    return claims


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send(self, status, body, content_type="application/json", headers=()):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in [("content-type", content_type), ("content-length", str(len(data))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def read_body(self):
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def log_message(self, *_):
        pass


class Cognito(Handler):
    # Amazon Cognito lets pages of all origins call.
    CORS = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-headers", "content-type, x-amz-target"),
        ("access-control-allow-methods", "POST"),
    ]

    def issuer(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/{POOL}"

    def do_OPTIONS(self):
        self.send(200, "", headers=self.CORS)

    def do_GET(self):
        if self.path == "/counts":
            self.send(200, counts)
        elif self.path == f"/{POOL}/.well-known/jwks.json":
            numbers = KEY.public_key().public_numbers()
            e, n = (encode(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in [numbers.e, numbers.n])
            key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "pool-key", "e": e, "n": n}
            self.send(200, {"keys": [key]})
        elif self.path == f"/{POOL}/.well-known/openid-configuration":
            issuer = self.issuer()
            self.send(200, {"issuer": issuer, "jwks_uri": f"{issuer}/.well-known/jwks.json"})
        else:
            self.send(404, {"message": self.path})

    def do_POST(self):
        body = json.loads(self.read_body() or "{}")
        if self.path == "/token":  # for tests of tokens that the user pool does not issue
            key = FOREIGN_KEY if body.pop("foreign", False) else KEY
            subject = SUBJECTS[body.pop("user")]
            self.send(200, {"token": token(self.issuer(), subject, key, **body)})
            return
        operation = self.headers["x-amz-target"].split(".")[1]
        try:
            handle = {
                "InitiateAuth": self.initiate_auth,
                "GetId": self.get_id,
                "GetCredentialsForIdentity": self.get_credentials,
            }[operation]
            self.send(200, handle(body), "application/x-amz-json-1.1", self.CORS)
        except Rejected as error:
            code, message = error.args
            self.send(400, {"__type": code, "message": message}, "application/x-amz-json-1.1", self.CORS)

    def initiate_auth(self, body):
        given = body["AuthParameters"]
        name = given["USERNAME"]
        if body["ClientId"] != CLIENT or PASSWORDS.get(name) != given["PASSWORD"]:
            raise Rejected("NotAuthorizedException", "Incorrect username or password.")
        return {
            "AuthenticationResult": {"IdToken": token(self.issuer(), SUBJECTS[name]), "TokenType": "Bearer"},
            "ChallengeParameters": {},
        }

    def user(self, body):
        login = self.issuer().removeprefix("http://")
        [(provider, given)] = body["Logins"].items()
        if provider != login:
            raise Rejected("NotAuthorizedException", "Token is not from a supported provider of this identity pool.")
        subject = verified_claims(given, self.issuer())["sub"]
        return next(name for name, known in SUBJECTS.items() if known == subject)

    def get_id(self, body):
        counts["GetId"] += 1
        if body["IdentityPoolId"] != IDENTITY_POOL:
            raise Rejected("ResourceNotFoundException", "IdentityPool not found.")
        return {"IdentityId": f"{REGION}:{self.user(body)}"}

    def get_credentials(self, body):
        counts["GetCredentialsForIdentity"] += 1
        name = self.user(body)
        if body["IdentityId"] != f"{REGION}:{name}":
            raise Rejected("NotAuthorizedException", "Access to Identity is forbidden.")
        id, secret = f"ASIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30)
        session = secrets.token_urlsafe(60)
        issued[id] = secret, session, name
        keys = {"AccessKeyId": id, "SecretKey": secret, "SessionToken": session, "Expiration": time.time() + 3600}
        return {"IdentityId": body["IdentityId"], "Credentials": keys}


class Api(Handler):
    """Judges signatures by the keys of the identity pool, and by that of the gateway."""

    def signer(self):
        """Returns access key ID and user of the signature."""
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        credential = self.headers.get("authorization", "")
        id = re.sub(r".*Credential=", "", credential).split("/")[0]
        if id not in issued:
            raise origin.Wrong(f"unknown key {id}")
        secret, session, user = issued[id]
        signed, *_ = origin.judge_head(origin.Head(self.command, self.path, headers), (id, secret))
        if self.headers.get("x-amz-security-token") != session:
            raise origin.Wrong("another session token")
        if (signed.service, signed.region) != ("execute-api", REGION):
            raise origin.Wrong(f"scope {signed}")
        return id, user

    def do_GET(self):
        counts["origin"] += 1
        self.read_body()
        try:
            id, user = self.signer()
        except origin.Wrong as error:
            self.send(403, {"message": str(error)})
            return
        self.send(200, {"access_key_id": id, "user": user, "authorization": self.headers["authorization"]})


class Sts(Handler):
    """Responds to presigned GetCallerIdentity with the user's session of the identity pool's role."""

    def do_GET(self):
        counts["GetCallerIdentity"] += 1
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        id = query["X-Amz-Credential"].split("/")[0]
        secret, session, user = issued.get(id, (None, None, None))
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        try:
            if secret is None or query.get("X-Amz-Security-Token") != session:
                raise origin.Wrong(f"unknown key {id}, or another session token")
            signed, *_ = origin.judge_head(origin.Head("GET", self.path, headers), (id, secret))
            if (signed.service, signed.region, query["Action"]) != ("sts", REGION, "GetCallerIdentity"):
                raise origin.Wrong(f"scope {signed}")
        except origin.Wrong as error:
            self.send(403, {"Error": {"Code": "SignatureDoesNotMatch", "Message": str(error)}})
            return
        arn = f"arn:aws:sts::123456789012:assumed-role/web-users/{user}"
        result = {"Account": "123456789012", "Arn": arn, "UserId": f"AROAEXAMPLE:{user}"}
        self.send(200, {"GetCallerIdentityResponse": {"GetCallerIdentityResult": result}})


class Keys(Handler):
    """Endpoint of the gateway's `[verify.keys_endpoint]`, by the service that has issued the keys."""

    def do_POST(self):
        counts["keys"] += 1
        body = json.loads(self.read_body())
        secret, session, user = issued.get(body["access_key_id"], (None, None, None))
        # The gateway's own key is not one of a caller.
        if session is None or session != body.get("session_token"):
            self.send(404, {})
        else:
            self.send(200, {"secret_access_key": secret, "session_token": session, "attributes": {"tenant": user}})


def serve(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def main():
    urls = {"cognito": serve(Cognito), "api": serve(Api), "sts": serve(Sts), "keys": serve(Keys)}
    urls["issuer"] = f"{urls['cognito']}/{POOL}"
    print(json.dumps({**urls, "client": CLIENT, "identityPool": IDENTITY_POOL, "gatewayKey": GATEWAY_KEY}), flush=True)
    sys.stdin.read()  # until the parent closes it


main()
