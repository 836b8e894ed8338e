"""How a call ends, by the answer to its request.

Law: an answer that is guardrail's own is no vote; nor is that of a client who went away. Else the status decides, and an
error that the server makes a page for counts with the 500 of that page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardrail.admission.permit import Permit
    from guardrail.errors import Refused

SERVER_ERROR = 500
CODES = {status: f"http.{status}" for status in range(100, 1000)}


def leave(permit: Permit, status: int, refusal: Refused | None, error: BaseException | None) -> None:
    """End a call.

    Args:
        status: That of the answer; 0: the app has not answered, so the server does.
        refusal: Why the answer is guardrail's own.
        error: What the app raised; `CancelledError`: the client went away.
    """
    status = status or SERVER_ERROR
    if refusal is not None:
        permit.exit(refusal)
    elif error is not None:
        permit.exit(error, failed=True, code=CODES.get(status))
    else:
        permit.exit(failed=status >= SERVER_ERROR, code=CODES.get(status))
