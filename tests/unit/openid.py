"""A stand-in for the provider that people sign in with: whoever comes is the person who sits there."""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "the-space", "the-space-s-secret"


class Provider:
    """Its `app` answers at `url`. `person`: what it says of who sits there; None: they refuse."""

    def __init__(self) -> None:
        self.url = ""
        self.person: dict[str, Any] | None = None
        self._key = ECKey.generate_key("P-256", parameters={"kid": "1"})
        self._nonces: dict[str, str] = {}
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
            ]
        )

    async def _metadata(self, _request: Request) -> Response:
        ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        told = {name: f"{self.url}/{path}" for name, path in ends.items()}
        return JSONResponse({**told, "issuer": self.url, "id_token_signing_alg_values_supported": ["ES256"]})

    async def _authorize(self, request: Request) -> Response:
        asked, code = request.query_params, secrets.token_hex(8)
        self._nonces[code] = asked["nonce"]
        told = {"error": "access_denied"} if self.person is None else {"code": code}
        back = asked["redirect_uri"]
        return RedirectResponse(f"{back}{'&' if '?' in back else '?'}{urlencode({**told, 'state': asked['state']})}")

    async def _token(self, request: Request) -> Response:
        async with request.form() as form:
            nonce, now = self._nonces.pop(str(form["code"])), int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 600, "nonce": nonce, **(self.person or {})}
        token = jwt.encode({"alg": "ES256", "kid": "1"}, claims, self._key, algorithms=["ES256"])
        told = {"access_token": secrets.token_hex(8), "token_type": "bearer", "expires_in": 28800, "id_token": token}
        return JSONResponse(told)

    async def _keys(self, _request: Request) -> Response:
        return JSONResponse({"keys": [self._key.as_dict(private=False)]})
