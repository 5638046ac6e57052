"""An OpenID provider for OAUTHBEARER: gives tokens to clients that know their secret."""

from __future__ import annotations

import http.server
import subprocess
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson

_KEY_ID = "test"


@contextmanager
def token_endpoint(folder: Path, secrets: Mapping[str, str]) -> Iterator[str]:
    """URL of an endpoint that gives `client` a token for `secrets[client]`; its keys lie in
    `folder`/jwks.json. The token is for the user of the client's name.
    """
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(_key(folder), secrets))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/token"
    finally:
        server.shutdown()
        server.server_close()


def _key(folder: Path) -> Path:
    key = folder / "oauth.key"
    _openssl("genrsa", "-out", str(key), "2048")
    modulus = _openssl("rsa", "-in", str(key), "-noout", "-modulus").decode().strip()
    number = bytes.fromhex(modulus.removeprefix("Modulus="))
    public = {"kty": "RSA", "kid": _KEY_ID, "alg": "RS256", "use": "sig"}
    public |= {"n": _encoded(number), "e": "AQAB"}
    (folder / "jwks.json").write_bytes(orjson.dumps({"keys": [public]}))
    return key


def _token(key: Path, user: str) -> str:
    head = {"alg": "RS256", "kid": _KEY_ID, "typ": "JWT"}
    now = int(time.time())
    claims = {"sub": user, "aud": "kafka", "iss": "test", "iat": now, "exp": now + 300}
    signed = ".".join(_encoded(orjson.dumps(part)) for part in (head, claims))
    signature = _openssl("dgst", "-sha256", "-sign", str(key), text=signed.encode())
    return f"{signed}.{_encoded(signature)}"


def _handler(key: Path, secrets: Mapping[str, str]) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            given = b64decode(self.headers.get("Authorization", "").removeprefix("Basic "))
            client, _, secret = given.decode().partition(":")
            known = secrets.get(client) == secret
            answer: dict[str, object] = {"error": "invalid_client"}
            if known:
                answer = {"access_token": _token(key, client), "token_type": "Bearer"}
                answer["expires_in"] = 300
            body = orjson.dumps(answer)
            self.send_response(200 if known else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    return Handler


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _openssl(*arguments: str, text: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *arguments], input=text, capture_output=True, check=True)
    return done.stdout
