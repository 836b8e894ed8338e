"""What a server answers is read whole and in order, however its bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.stores.resp import Answers, ErrorReply, GarbledError, command

TEXT = st.binary(max_size=40)
LINE = st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=20)
ANSWER = st.recursive(
    st.one_of(TEXT, st.none(), st.integers(-(2**63), 2**63 - 1), LINE.map(ErrorReply)),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


def written(answer):
    match answer:
        case None:
            return b"$-1\r\n"
        case ErrorReply(text):
            return f"-{text}\r\n".encode()
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(answer), answer)
        case int():
            return b":%d\r\n" % answer
        case list():
            return b"*%d\r\n" % len(answer) + b"".join(map(written, answer))


@given(st.lists(ANSWER, max_size=6), st.lists(st.integers(1, 30), min_size=1))
def test_answers_come_out_whole_and_in_order_however_they_are_cut(answers, cuts):
    text, reader, found = b"".join(map(written, answers)), Answers(), []
    while text:
        for cut in cuts:
            found += reader.feed(text[:cut])
            text = text[cut:]
    assert answers == found


def test_byte_by_byte():
    reader = Answers()
    found = [answer for byte in b"+OK\r\n*2\r\n$1\r\na\r\n:7\r\n" for answer in reader.feed(bytes([byte]))]
    assert [b"OK", [b"a", 7]] == found


def test_a_missing_list_is_nothing():
    assert [None] == Answers().feed(b"*-1\r\n")


@pytest.mark.parametrize(
    "garbled",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"$x\r\n",
        b"$-2\r\n",
        b"$999999999999\r\n",
        b"$1\r\nabc\r\n",
        b":1.5\r\n",
        b"*1\r\n" * 20,
        b"x" * 70_000,
    ],
)
def test_what_is_no_answer_is_said(garbled):
    with pytest.raises(GarbledError):
        Answers().feed(garbled)


def test_a_command_is_a_list_of_texts():
    assert [[b"SET", b"k", b""]] == Answers().feed(command(b"SET", b"k", b""))
