import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from server.rpc.codec import Failure, Notification, Params, Request, Response
from server.rpc.dispatch import Dispatcher
from server.rpc.errors import RpcError


class Pair(BaseModel):
    left: int
    right: int


async def add(pair: Pair) -> object:
    """A method with a model."""
    return pair.left + pair.right


async def echo(params: Params) -> object:
    """A method without one."""
    return params


async def refuse(_params: Params) -> object:
    """A method that refuses."""
    raise RpcError(-32600, "no", {"code": "no"})


async def crash(_params: Params) -> object:
    """A method that is broken."""
    raise LookupError("secret of the inside")


def as_refusal(error: Exception) -> RpcError | None:
    """A mapper that knows one error."""
    return RpcError(-32600, "mapped") if isinstance(error, LookupError) else None


@pytest.fixture
def dispatcher() -> Dispatcher:
    """A table with one method of each sort."""
    dispatcher = Dispatcher()
    dispatcher.add("add", Pair, add)
    dispatcher.add("echo", None, echo)
    dispatcher.add("refuse", None, refuse)
    dispatcher.add("crash", None, crash)
    return dispatcher


async def test_a_request_is_answered(dispatcher: Dispatcher) -> None:
    """The handler's result comes back under the request's id."""
    answer = await dispatcher.dispatch(Request("a", "add", {"left": 1, "right": 2}))
    assert answer == Response("a", 3)


async def test_parameters_without_a_model_pass_as_they_are(dispatcher: Dispatcher) -> None:
    """No model, no check."""
    assert await dispatcher.dispatch(Request(1, "echo", [1])) == Response(1, [1])


async def test_an_unknown_method_is_named(dispatcher: Dispatcher) -> None:
    """-32601 with the name, shortened, and a stable code."""
    answer = await dispatcher.dispatch(Request(1, "rpc.on" + "x" * 100))
    assert isinstance(answer, Failure)
    assert (answer.code, answer.message[:24]) == (-32601, "method not found: rpc.on")
    assert answer.data == {"code": "method_not_found", "retryable": False, "retryAfterMs": None}


@pytest.mark.parametrize("params", [None, [], {"left": 1}, {"left": "pin 1234", "right": 1}])
async def test_bad_parameters_name_the_field_not_the_value(
    dispatcher: Dispatcher, params: Params
) -> None:
    """-32602; what was sent may be a secret and is not repeated."""
    answer = await dispatcher.dispatch(Request(1, "add", params))
    assert isinstance(answer, Failure)
    assert answer.data is not None
    assert (answer.code, answer.data["code"]) == (-32602, "bad_params")
    assert "1234" not in answer.message


async def test_a_refusal_passes(dispatcher: Dispatcher) -> None:
    """An RpcError is the answer as it is."""
    expected = Failure(1, -32600, "no", {"code": "no"})
    assert await dispatcher.dispatch(Request(1, "refuse")) == expected


async def test_our_fault_is_told_by_id_only(dispatcher: Dispatcher) -> None:
    """The caller learns an id, the log has the error under the same id."""
    with capture_logs() as logs:
        answer = await dispatcher.dispatch(Request(1, "crash"))
    assert isinstance(answer, Failure)
    assert answer.data is not None
    assert (answer.code, answer.message, answer.data["retryable"]) == (
        -32603,
        "internal error",
        True,
    )
    assert [line["error_id"] for line in logs] == [answer.data["id"]]


async def test_errors_are_mapped() -> None:
    """The mapper turns an error of the inside into a refusal."""
    dispatcher = Dispatcher(as_refusal)
    dispatcher.add("crash", None, crash)
    assert await dispatcher.dispatch(Request(1, "crash")) == Failure(1, -32600, "mapped")


@pytest.mark.parametrize("method", ["add", "echo", "refuse", "crash", "unknown"])
async def test_a_notification_is_never_answered(dispatcher: Dispatcher, method: str) -> None:
    """Neither a result nor an error comes back."""
    with capture_logs():
        assert await dispatcher.dispatch(Notification(method)) is None


def test_a_method_is_added_once(dispatcher: Dispatcher) -> None:
    """A second handler of one name is a programming error."""
    with pytest.raises(ValueError, match="there already"):
        dispatcher.add("echo", None, echo)
    assert dispatcher.methods == {"add", "echo", "refuse", "crash"}
