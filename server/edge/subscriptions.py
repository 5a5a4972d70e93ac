"""`rpc.on` and `rpc.off`: what clients of the `rpc-websockets` protocol ask for."""

from typing import Annotated, Final

from pydantic import ConfigDict, Field, RootModel, StringConstraints

from server.rpc.dispatch import Dispatcher

# Every notification there is; docs/protocol.md describes each.
EVENTS: Final = frozenset(
    {
        "admitted",
        "draining",
        "announcement",
        "caption",
        "chat",
        "lobby",
        "moved",
        "offStage",
        "participants",
        "quality",
        "reconnect",
        "recording",
        "roomChanged",
        "roomClosing",
        "roomClosed",
        "roomStatus",
        "talking",
        "unmuteRequest",
    }
)
MAX_EVENTS: Final = 64


class EventNames(
    RootModel[
        Annotated[
            list[Annotated[str, StringConstraints(max_length=64)]], Field(max_length=MAX_EVENTS)
        ]
    ]
):
    """The names of notifications."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)


def add_subscriptions(dispatcher: Dispatcher) -> None:
    """Add both methods, which change nothing: everybody in a room is told everything."""

    async def subscribe(names: EventNames) -> object:
        return {name: "ok" if name in EVENTS else "provided event invalid" for name in names.root}

    async def unsubscribe(names: EventNames) -> object:
        said = {True: "always sent", False: "provided event invalid"}
        return {name: said[name in EVENTS] for name in names.root}

    dispatcher.add("rpc.on", EventNames, subscribe)
    dispatcher.add("rpc.off", EventNames, unsubscribe)
