"""Certificates made on the fly, valid and not, by an authority that only these tests trust."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import trustme


class Certificates(NamedTuple):
    """Where the files of one server's certificate stand, and that of the authority which signed it."""

    authority: Path
    chain: Path
    key: Path


def certificates(folder: Path, *hosts: str, expired: bool = False) -> Certificates:
    """Write a new authority and a certificate for *hosts* into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    issued = authority.issue_cert(*hosts, **({"not_after": yesterday} if expired else {}))
    made = Certificates(folder / "authority.pem", folder / "chain.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(str(made.authority))
    made.chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(made.key))
    return made
