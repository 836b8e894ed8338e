"""Where rules come from, and the live set that follows it."""

from guardrail.sources.file import FileSource
from guardrail.sources.live import Live
from guardrail.sources.source import Source

__all__ = ["FileSource", "Live", "Source"]
