"""Tokens: what opens a control endpoint.

Law: no message holds a token, or a part of one.
"""

from __future__ import annotations

import re
import secrets

LEAST = 16
MAKE_ONE = 'python -c "import secrets; print(secrets.token_urlsafe())"'
_VISIBLE = re.compile(r"[!-~]+")


def fresh_token() -> str:
    """Return a new token."""
    return secrets.token_urlsafe()


def checked_token(token: object, name: str) -> str:
    """Return *token* if it can be one.

    Args:
        name: Where it comes from, for messages.

    Raises:
        ValueError: It is too short, or cannot stand in a header.
    """
    if not isinstance(token, str) or not token:
        raise ValueError(f"{name} must be set; make one with: {MAKE_ONE}")
    if len(token) < LEAST:
        raise ValueError(f"{name} must have at least {LEAST} characters, got {len(token)}; make one with: {MAKE_ONE}")
    if not _VISIBLE.fullmatch(token):
        raise ValueError(f"{name} must be visible ASCII without spaces; make one with: {MAKE_ONE}")
    return token
