"""The proof that an endpoint knows the token, for clients: they send theirs only to who has given it.

Law: a proof holds for one question and one address. Who takes a free port cannot have another endpoint answer for it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

ASKED = "/v1/proof?nonce="
_NONCE = re.compile(r"[0-9A-Za-z_-]{32,64}")


def fresh_nonce() -> str:
    """Return a new question."""
    return secrets.token_urlsafe(32)


def nonce_of(method: str, target: str) -> str | None:
    """Return the question of a request that asks for a proof; None: it asks for something else."""
    nonce = target.removeprefix(ASKED)
    return nonce if method == "GET" and target.startswith(ASKED) and _NONCE.fullmatch(nonce) else None


def proof_of(token: str, nonce: str, location: str) -> str:
    """Return what only who knows the token can say.

    Args:
        location: `host:port` as the one who answers listens there, not as the request has it.
    """
    return hmac.new(token.encode(), f"guardrail proof {nonce} {location}".encode(), hashlib.sha256).hexdigest()
