"""Resource matching once more, written from the design's sentences and with `re`: slow, and nothing like a trie."""

import re

WILDCARD = re.compile(r"\{[^{}/]*\}|\*")


def naive_match(pattern: str, resource: str) -> bool:
    """Tell whether a pattern matches, segment by segment."""
    if pattern == "**":
        return True
    if not WILDCARD.search(pattern):
        return pattern == resource
    if pattern.endswith("/**") and naive_match(pattern.removesuffix("/**"), resource):
        return True  # any rest, none included
    separator = "/" if "/" in resource else "."  # segments end at `/` in a resource that has one
    if ("/" in pattern) != ("/" in resource):
        return False
    masked = WILDCARD.sub(lambda found: "*" if found[0] == "*" else "?", pattern)
    wanted_words, wanted = parts(masked, separator)
    words, segments = parts(resource, separator)
    if wanted and wanted[-1] == "**":
        wanted.pop()
        segments = segments[: len(wanted)]
    return fits(wanted_words, words) and fits(wanted, segments)


def parts(text: str, separator: str) -> tuple[list[str], list[str]]:
    """Take words off the front, up to the last space before the first separator."""
    found = re.match(rf"(?:([^{separator}]*) )?(.*)", text, re.DOTALL)
    assert found is not None
    return found[1].split(" ") if found[1] is not None else [], found[2].split(separator)


def fits(wanted: list[str], found: list[str]) -> bool:
    """Tell whether each part is as wanted."""
    return len(wanted) == len(found) and all(
        re.fullmatch(regex(part), text) for part, text in zip(wanted, found, strict=True)
    )


def regex(part: str) -> str:
    """Return a regular expression for one part; a wildcard alone is not empty."""
    if part and set(part) <= {"*", "?"}:
        return "(?s:.+)"
    return "".join("(?s:.*)" if character in "*?" else re.escape(character) for character in part)
