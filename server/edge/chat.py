"""`chat` and `chatHistory`."""

from server.domain.identity import UserId
from server.edge.params import ChatParams, HistoryParams
from server.rpc.dispatch import Dispatcher
from server.services.signalling import Session


def add_chat_methods(dispatcher: Dispatcher, session: Session) -> None:
    """Add writing to each other."""

    async def write(params: ChatParams) -> object:
        room, user = session.connected()
        to = None if params.to is None else UserId(params.to)
        written = session.services.chat.write(room, user, params.text, to)
        return {"id": written.number, "at": written.at}

    async def read(params: HistoryParams) -> object:
        room, user = session.connected()
        return {"messages": session.services.chat.history(room, user, params.after)}

    dispatcher.add("chat", ChatParams, write)
    dispatcher.add("chatHistory", HistoryParams, read)
