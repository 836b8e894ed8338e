"""The control endpoint: look into a running process, and operate it, from the same machine.

Off unless it is asked for, on loopback only, and only with a token:

    address.py      where it may be            environment.py  GUARDRAIL_CONTROL
    tokens.py       what opens it              endpoint.py     Control: from open to close, and across forks
    connections.py  how many, and how long     exchange.py     one request, bounded
    door.py         who is let in              routes.py       what can be asked and done
    proof.py        what a client asks first   answers.py      JSON, and what is wrong with a request
"""

from guardrail.control.endpoint import Control, serve

__all__ = ["Control", "serve"]
