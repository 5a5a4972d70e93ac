import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rpc.codec import (
    MAX_BATCH,
    Batch,
    Failure,
    Message,
    Notification,
    Request,
    Response,
    encode,
    encode_batch,
    failure,
    parse,
    parse_any,
)
from server.rpc.errors import Id, InvalidRequest, ParseError, RpcError

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", max_size=3), inner),
    max_leaves=5,
)
ids = st.text(st.characters(exclude_categories=["Cs"])) | st.integers(-(2**70), 2**70)
params = st.none() | st.lists(json_values) | st.dictionaries(st.text("abc"), json_values)
messages = (
    st.builds(Request, ids, st.text("abc"), params)
    | st.builds(Notification, st.text("abc"), params)
    | st.builds(Response, ids, json_values)
    | st.builds(
        Failure,
        st.none() | ids,
        st.integers(-32800, 32800),
        st.text("abc"),
        st.none() | st.dictionaries(st.text("abc"), json_values),
    )
)


@given(messages)
def test_what_is_encoded_is_parsed_again(message: Message) -> None:
    """encode, then parse, gives the same message."""
    assert parse(encode(message), max_bytes=10**6, max_depth=100) == message


@given(st.text() | st.binary() | json_values.map(json.dumps))
def test_anything_is_accepted_or_refused_as_documented(text: str | bytes) -> None:
    """No input raises anything but ParseError and InvalidRequest."""
    with suppress(ParseError, InvalidRequest):
        parse(text)


keys = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "code", "message"])


@given(st.recursive(json_values, lambda inner: st.dictionaries(keys, inner), max_leaves=8))
def test_almost_messages_are_accepted_or_refused_as_documented(value: Any) -> None:
    """No object with the members of a message raises anything undocumented."""
    with suppress(ParseError, InvalidRequest):
        parse(json.dumps(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id":1,"method":"m"}', Request(1, "m")),
        ('{"jsonrpc":"1.0","id":"1","method":"m","params":[]}', Request("1", "m", [])),
        ('{"id":0,"method":"m","params":null}', Request(0, "m")),
        ('{"id":"","method":"m"}', Request("", "m")),
        ('{"id":null,"method":"m"}', Notification("m")),
        ('{"method":"m","params":{"a":1}}', Notification("m", {"a": 1})),
        ('{"id":1,"id":2,"method":"m"}', Request(2, "m")),
        ('{"id":1,"result":null}', Response(1, None)),
        ('{"id":null,"error":{"code":1,"message":"m"}}', Failure(None, 1, "m")),
        ('{"id":2,"error":{"code":1,"message":"m","data":3}}', Failure(2, 1, "m")),
    ],
)
def test_a_message_is_read(text: str, message: Message) -> None:
    """Ids keep their type, null is no id, a result may be null, the version is not looked at."""
    assert parse(text) == message


@pytest.mark.parametrize(
    ("text", "message_id"),
    [
        ("[]", None),
        ('[{"id":1,"method":"m"}]', None),
        ("1", None),
        ("{}", None),
        ('{"id":1}', 1),
        ('{"id":true,"method":"m"}', None),
        ('{"id":1.0,"method":"m"}', None),
        ('{"id":{},"method":"m"}', None),
        ('{"id":"a","method":1}', "a"),
        ('{"id":"a","method":"m","params":1}', "a"),
        ('{"id":"a","method":"m","result":1}', "a"),
        ('{"id":"a","result":1,"error":{"code":1,"message":"m"}}', "a"),
        ('{"result":1}', None),
        ('{"id":3,"error":1}', 3),
        ('{"id":3,"error":{"code":"1","message":"m"}}', 3),
        ('{"id":3,"error":{"code":true,"message":"m"}}', 3),
        ('{"id":3,"error":{"code":1}}', 3),
    ],
)
def test_json_that_is_no_message_is_refused(text: str, message_id: Id | None) -> None:
    """InvalidRequest carries the id where there is one to answer to."""
    with pytest.raises(InvalidRequest) as caught:
        parse(text)
    assert caught.value.id == message_id
    assert type(caught.value.id) is type(message_id)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        "\ud800",
        '{"method":"m","params":[NaN]}',
        '{"method":"m","params":[-Infinity]}',
        '{"method":"m","params":[1e999]}',
        '{"method":"m","params":["\\ud800"]}',
        '{"method":"m","params":{"\\udc00":1}}',
        '{"method":"m","params":[' + "9" * 5000 + "]}",
        "[" * 30_000,
        "[" * 34 + "]" * 34,
    ],
)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    """ParseError for what cannot be read, stored or sent on."""
    with pytest.raises(ParseError):
        parse(text)


@pytest.mark.parametrize("text", ['"' + "a" * 31 + '"', '"' + "é" * 16 + '"', b"a" * 33])
def test_a_long_message_is_refused(text: str | bytes) -> None:
    """The limit counts bytes, not characters."""
    with pytest.raises(ParseError, match="longer than 32 bytes"):
        parse(text, max_bytes=32)


def test_depth_is_counted_in_containers() -> None:
    """A message as deep as the limit passes, one level more does not."""
    assert parse('{"method":"m","params":[[]]}', max_depth=3) == Notification("m", [[]])
    with pytest.raises(ParseError, match="deep"):
        parse('{"method":"m","params":[[[]]]}', max_depth=3)


def test_what_json_cannot_hold_is_not_encoded() -> None:
    """NaN and foreign objects raise instead of becoming broken JSON."""
    with pytest.raises(ValueError, match="JSON"):
        encode(Response(1, float("nan")))
    with pytest.raises(TypeError):
        encode(Response(1, object()))


def test_a_failure_carries_the_error() -> None:
    """`failure` copies code, sentence and data."""
    assert failure(7, RpcError(1, "m", {"a": 1})) == Failure(7, 1, "m", {"a": 1})


def test_batch() -> None:
    """A batch is read in order; what is no message in it is refused by itself."""
    batch = parse_any('[{"id":1,"method":"a"},{"method":"b"},[],{"id":true,"method":"c"}]')
    assert isinstance(batch, Batch)
    first, second, third, fourth = batch.messages
    assert (first, second) == (Request(1, "a"), Notification("b"))
    assert isinstance(third, InvalidRequest)
    assert isinstance(fourth, InvalidRequest)
    assert encode_batch([encode(Response(1)), encode(Response(2))]) == (
        '[{"jsonrpc":"2.0","id":1,"result":null},{"jsonrpc":"2.0","id":2,"result":null}]'
    )


@pytest.mark.parametrize("count", [0, MAX_BATCH + 1])
def test_batch_bounds(count: int) -> None:
    """An empty batch is none, and one that is too long is refused as a whole."""
    with pytest.raises(InvalidRequest, match="1 to 32"):
        parse_any(json.dumps([{"method": "m"}] * count))


def test_one_of_any() -> None:
    """A single message needs no brackets."""
    assert parse_any('{"method":"m"}') == Notification("m")
