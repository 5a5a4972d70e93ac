"""Every operation of the HTTP interface: what it takes, what it answers and how it may refuse."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel

from server.edge import answers, fields, models, queries

JSON: Final = "application/json"
HTML: Final = "text/html"
PLAYLIST: Final = "application/vnd.apple.mpegurl"
BYTES: Final = "application/octet-stream"

USER: Final = "6f1f0c3e-1d52-4c6e-9a3b-0a4f5e6d7c8b"


class Needs(Enum):
    """What a caller must show."""

    NOTHING = "nothing"
    SOMETHING = "something"  # the admin's key or cookie, a token, or an invite in body or query
    ADMIN = "admin"


# What is looked at before anything else: the Host header, and how often somebody comes.
_FROM_THE_DOOR: Final = frozenset({"wrong_host", "too_many_requests", "bad_params"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address.

    `answer` is a model, or the media type of what is no JSON, or None for no body. `errors` are the
    codes of its own; what all of its kind can be refused with is added in `codes`. `also` are
    answers beside errors that have another status, with a word about each.
    """

    name: str
    tag: str
    summary: str
    answer: type[BaseModel] | str | None = None
    status: int = 200
    body: type[BaseModel] | None = None
    example: Mapping[str, Any] | None = None
    forms: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # other bodies: type, schema
    query: type[BaseModel] | None = None
    errors: tuple[str, ...] = ()
    needs: Needs = Needs.ADMIN
    also: Mapping[int, str] = field(default_factory=dict)

    def codes(self, method: str, path: str) -> set[str]:
        """Return every code of the error table that this operation may answer."""
        found = {*self.errors, *_FROM_THE_DOOR}
        if "{" in path:
            found.add("not_found")  # a foul path
        if method not in {"GET", "OPTIONS"}:
            found.add("forbidden")  # a page of another site
        if method == "POST" and path.startswith("/api/"):
            found |= {"key_reused", "in_progress", "bad_params", "too_large", "too_slow"}
        if path.startswith("/api/"):
            found |= {"internal", "store_unavailable", "not_granted"}
        if self.body is not None or self.forms:
            found |= {"bad_params", "too_large", "too_slow"}
        if self.query is not None or "{room}" in path or "{user}" in path:
            found.add("bad_params")
        if path.startswith("/api/rooms/{room}"):
            found.add("room_not_found")
        if self.needs is not Needs.NOTHING:
            found |= {"unauthorized", "forbidden"}
        return found


_ROOM: Final = {"name": "Morning talk", "maxAnchors": 12, "expiresIn": None, "pin": ""}
_SOUND: Final = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "to": {"type": "string", "maxLength": fields.MAX_RECIPIENT},
        "gainDb": {"type": "string"},
        "loop": {"type": "string"},
        "name": {"type": "string", "maxLength": 80},
    },
}
_PAGE: Final[Mapping[str, Any]] = {"tag": "pages", "answer": HTML, "needs": Needs.NOTHING}

_SDP: Final = {"application/sdp": {"type": "string"}}
_FRAGMENT: Final = {"application/trickle-ice-sdpfrag": {"type": "string"}}
_STANDARD_ERRORS: Final = (
    *("room_not_found", "not_found", "not_granted", "bad_sdp", "no_audio", "bad_fingerprint"),
    *("room_full", "room_locked", "already_joined", "too_many", "not_enabled", "wrong_pin"),
    *("pin_locked", "bad_invite", "no_capacity", "media_unavailable", "signing_unavailable"),
    *("not_acceptable", "unsupported_media", "store_unavailable", "internal", "not_ready"),
    *("precondition_required", "precondition_failed"),
)


def _standard(path: str, name: str, what: str) -> dict[tuple[str, str], Operation]:
    """Return the operations of WHIP (RFC 9725) or WHEP below `path`."""
    one = f"{path}/{{connection}}"
    common: Mapping[str, Any] = {"tag": "WHIP and WHEP", "errors": _STANDARD_ERRORS}
    shown: Mapping[str, Any] = {"needs": Needs.SOMETHING, **common}
    return {
        ("POST", path): Operation(
            name, summary=what, answer="application/sdp", status=201, forms=_SDP, **shown
        ),
        ("OPTIONS", path): Operation(
            f"{name}Options",
            summary="What is understood",
            status=204,
            needs=Needs.NOTHING,
            **common,
        ),
        ("PATCH", one): Operation(
            f"{name}Change",
            summary="Candidates, or an ICE restart",
            answer="application/trickle-ice-sdpfrag",
            forms=_FRAGMENT,
            also={204: "The candidates were taken"},
            **shown,
        ),
        ("DELETE", one): Operation(f"{name}End", summary="End it", **shown),
        ("OPTIONS", one): Operation(
            f"{name}ConnectionOptions",
            summary="What is understood",
            status=204,
            needs=Needs.NOTHING,
            **common,
        ),
    }


def _playlist(name: str, what: str) -> Operation:
    return Operation(
        name,
        "broadcast",
        what,
        PLAYLIST,
        query=queries.PlaylistQuery,
        errors=(
            *("room_not_found", "not_found", "not_ready", "forbidden", "media_unavailable"),
            "no_capacity",
        ),
        needs=Needs.NOTHING,
    )


def _media(name: str, what: str) -> Operation:
    return Operation(
        name,
        "broadcast",
        what,
        "video/mp4",
        errors=(
            *("room_not_found", "not_found", "media_unavailable", "not_ready", "no_capacity"),
            "range_not_there",
        ),
        needs=Needs.NOTHING,
        also={206: "A range of it", 304: "It has not changed"},
    )


def _radio(name: str, kind: str, what: str) -> Operation:
    return Operation(
        name,
        "broadcast",
        what,
        kind,
        query=queries.TokenQuery,
        errors=("room_not_found", "not_found", "not_ready", "radio_full"),
        needs=Needs.SOMETHING,
    )


OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/"): Operation("index", summary="The rooms", **_PAGE),
    ("GET", "/api"): Operation("apiPage", summary="This interface, to try", **_PAGE),
    ("GET", "/join/{room}"): Operation(
        "joinPage", summary="Talk in a room", errors=("bad_params",), **_PAGE
    ),
    ("GET", "/listen/{room}"): Operation(
        "listenPage", summary="Hear a room", errors=("bad_params",), **_PAGE
    ),
    ("GET", "/ca"): Operation(
        "authorityPage",
        summary="How to trust this machine's own certificates",
        errors=("not_found",),
        **_PAGE,
    ),
    ("GET", "/ca.crt"): Operation(
        "authority",
        "pages",
        "The certificate of this machine's own authority",
        "application/x-x509-ca-cert",
        errors=("not_found",),
        needs=Needs.NOTHING,
    ),
    ("GET", "/static/{path}"): Operation(
        "asset",
        "pages",
        "What the pages load",
        "*/*",
        errors=("not_found",),
        needs=Needs.NOTHING,
    ),
    ("GET", "/openapi.json"): Operation(
        "openapi", "operation", "This document", JSON, needs=Needs.NOTHING
    ),
    ("POST", "/api/session"): Operation(
        "openSession",
        "session",
        "Trade the first-run secret or the admin key for the admin cookie",
        answers.SessionAnswer,
        body=models.SessionRequest,
        example={"secret": "the admin key"},
        errors=("bad_secret",),
        needs=Needs.NOTHING,
    ),
    ("GET", "/api/session"): Operation(
        "getSession",
        "session",
        "Whether the caller is the admin",
        answers.SessionAnswer,
        needs=Needs.NOTHING,
    ),
    ("DELETE", "/api/session"): Operation(
        "closeSession", "session", "Drop the admin cookie", answers.Success, needs=Needs.NOTHING
    ),
    ("POST", "/api/rooms"): Operation(
        "createRoom",
        "rooms",
        "Make a room and put it on air",
        answers.RoomAnswer,
        status=201,
        body=models.CreateRoomRequest,
        example=_ROOM,
        errors=("room_exists", "signing_unavailable", "draining"),
    ),
    ("GET", "/api/rooms"): Operation(
        "listRooms", "rooms", "The rooms", answers.RoomsAnswer, query=queries.RoomsQuery
    ),
    ("GET", "/api/rooms/{room}"): Operation(
        "getRoom",
        "rooms",
        "One room",
        answers.RoomSeenAnswer,
        query=queries.InviteQuery,
        errors=("bad_invite",),
        needs=Needs.SOMETHING,
    ),
    ("PATCH", "/api/rooms/{room}"): Operation(
        "changeRoom",
        "rooms",
        "Change a room; what is not named stays",
        answers.RoomAnswer,
        body=models.ChangeRoomRequest,
        example={"locked": True},
        errors=("precondition_failed",),
    ),
    ("DELETE", "/api/rooms/{room}"): Operation(
        "deleteRoom",
        "rooms",
        "End a room and everything of it",
        answers.MessageAnswer,
        errors=("room_permanent",),
    ),
    ("GET", "/api/rooms/{room}/statistics"): Operation(
        "getStatistics",
        "rooms",
        "How everybody's connection is",
        answers.StatisticsAnswer,
        errors=("media_unavailable",),
    ),
    ("GET", "/api/rooms/{room}/broadcast"): Operation(
        "getBroadcast",
        "broadcast",
        "How a room's broadcast is, and who listens",
        answers.BroadcastAnswer,
    ),
    ("POST", "/api/rooms/{room}/invites"): Operation(
        "renewInvite",
        "rooms",
        "Make a new link; the old one of that role is worthless",
        answers.LinksAnswer,
        body=models.InviteRequest,
        example={"role": "join"},
    ),
    ("POST", "/api/rooms/{room}/users"): Operation(
        "createUser",
        "people",
        "Mint a join token",
        answers.UserAnswer,
        body=models.CreateUserRequest,
        example={"role": "anchor", "displayName": "Ada"},
        errors=(
            "too_many",
            "bad_invite",
            "wrong_pin",
            "pin_locked",
            "room_full",
            "room_locked",
            "signing_unavailable",
        ),
        needs=Needs.SOMETHING,
    ),
    ("DELETE", "/api/rooms/{room}/users/{user}"): Operation(
        "deleteUser",
        "people",
        "Take a person out and refuse their tokens",
        answers.Nothing,
        needs=Needs.SOMETHING,
    ),
    ("GET", "/api/rooms/{room}/participants"): Operation(
        "listParticipants",
        "people",
        "The people in a room",
        answers.ParticipantsAnswer,
        query=queries.PeopleQuery,
    ),
    ("PATCH", "/api/rooms/{room}/participants/{user}"): Operation(
        "controlParticipant",
        "people",
        "Decide how a person is mixed; what is not named stays",
        answers.ParticipantAnswer,
        body=models.ControlRequest,
        example={"muted": True},
        errors=("not_found", "too_many"),
    ),
    ("DELETE", "/api/rooms/{room}/participants/{user}"): Operation(
        "kickParticipant",
        "people",
        "Take a person out",
        answers.Success,
        query=queries.KickQuery,
        errors=("not_found",),
    ),
    ("POST", "/api/rooms/{room}/participants/{user}/unmute-request"): Operation(
        "requestUnmute",
        "people",
        "Ask a person to unmute",
        answers.Success,
        errors=("not_found",),
    ),
    ("POST", "/api/rooms/{room}/participants/{user}/move"): Operation(
        "moveParticipant",
        "people",
        "Ask a person's page to go on in another room",
        answers.Success,
        body=models.MoveRequest,
        example={"roomId": "studio-2"},
        errors=("not_found", "room_full"),
    ),
    ("GET", "/api/rooms/{room}/lobby"): Operation(
        "listLobby",
        "people",
        "Who is outside the stage of a room",
        answers.LobbyAnswer,
    ),
    ("POST", "/api/rooms/{room}/lobby/{user}"): Operation(
        "admit",
        "people",
        "Let somebody onto the stage",
        answers.Success,
        body=models.AdmitRequest,
        example={"role": "anchor"},
        errors=("not_found", "room_full", "too_many"),
    ),
    ("DELETE", "/api/rooms/{room}/lobby/{user}"): Operation(
        "deny",
        "people",
        "Turn somebody away who waits",
        answers.Success,
        errors=("not_found",),
    ),
    ("POST", "/api/rooms/{room}/forwarders"): Operation(
        "createForwarder",
        "plain RTP",
        "Send a copy of a mix somewhere",
        answers.ForwarderAnswer,
        status=201,
        body=models.ForwarderRequest,
        example={"host": "192.0.2.7", "port": 5004},
        errors=("too_many",),
    ),
    ("GET", "/api/rooms/{room}/forwarders"): Operation(
        "listForwarders",
        "plain RTP",
        "The forwarders",
        answers.ForwardersAnswer,
        query=queries.PageQuery,
    ),
    ("PATCH", "/api/rooms/{room}/forwarders/{forwarderId}"): Operation(
        "changeForwarder",
        "plain RTP",
        "Change a forwarder that goes on meanwhile",
        answers.ForwarderAnswer,
        body=models.ForwarderPatch,
        example={"port": 5006},
        errors=("not_found",),
    ),
    ("DELETE", "/api/rooms/{room}/forwarders/{forwarderId}"): Operation(
        "deleteForwarder", "plain RTP", "End a forwarder", answers.Success, errors=("not_found",)
    ),
    ("POST", "/api/rooms/{room}/rtp"): Operation(
        "createLine",
        "plain RTP",
        "Expect a person on plain RTP",
        answers.LineAnswer,
        status=201,
        body=models.LineRequest,
        example={"displayName": "Studio", "allow": ["192.0.2.0/24"]},
        errors=("not_enabled", "too_many"),
    ),
    ("GET", "/api/rooms/{room}/rtp"): Operation(
        "listLines",
        "plain RTP",
        "The people on plain RTP",
        answers.LinesAnswer,
        query=queries.PageQuery,
    ),
    ("PATCH", "/api/rooms/{room}/rtp/{user}"): Operation(
        "changeLine",
        "plain RTP",
        "Change a person on plain RTP; the call goes on",
        answers.LineAnswer,
        body=models.LinePatch,
        example={"muted": True},
        errors=("not_found",),
    ),
    ("DELETE", "/api/rooms/{room}/rtp/{user}"): Operation(
        "deleteLine", "plain RTP", "End a call", answers.Success, errors=("not_found",)
    ),
    ("GET", "/api/rooms/{room}/listeners"): Operation(
        "listListeners",
        "broadcast",
        "Who listens to the broadcast now",
        answers.ListenersAnswer,
        query=queries.PageQuery,
    ),
    ("DELETE", "/api/rooms/{room}/listeners/{user}"): Operation(
        "revokeListener",
        "broadcast",
        "Let somebody listen no more; with a new listen link, so that they cannot come again",
        answers.RevokedAnswer,
        query=queries.RevokeQuery,
    ),
    ("POST", "/api/rooms/{room}/captions"): Operation(
        "createCaption",
        "broadcast",
        "Let listeners read what is said",
        answers.CaptionAnswer,
        body=models.CaptionRequest,
        example={"language": "en", "text": "Good morning.", "durationMs": 2000},
        errors=("not_ready", "too_many", "media_unavailable"),
    ),
    ("POST", "/api/rooms/{room}/outputs"): Operation(
        "createOutput",
        "broadcast",
        "Publish a room by RTMP",
        answers.OutputAnswer,
        status=201,
        body=models.OutputRequest,
        example={"url": "rtmp://live.example.org/app/key", "name": "Our channel"},
        errors=("too_many",),
    ),
    ("GET", "/api/rooms/{room}/outputs"): Operation(
        "listOutputs", "broadcast", "The RTMP outputs, and how they are", answers.OutputsAnswer
    ),
    ("PATCH", "/api/rooms/{room}/outputs/{outputId}"): Operation(
        "changeOutput",
        "broadcast",
        "Change an output, or switch it off",
        answers.OutputAnswer,
        body=models.OutputPatch,
        example={"enabled": False},
        errors=("not_found",),
    ),
    ("DELETE", "/api/rooms/{room}/outputs/{outputId}"): Operation(
        "deleteOutput", "broadcast", "End an output", answers.Success, errors=("not_found",)
    ),
    ("POST", "/api/rooms/{room}/arrivals"): Operation(
        "startCapture",
        "packet capture",
        "Capture the packets that arrive in a room, for roomtone replay",
        answers.CaptureAnswer,
        status=201,
        body=models.ArrivalsRequest,
        example={"seconds": 600},
        errors=("already_recorded",),
    ),
    ("GET", "/api/rooms/{room}/arrivals"): Operation(
        "listCaptures",
        "packet capture",
        "The packet captures of a room",
        answers.CapturesAnswer,
        query=queries.PageQuery,
    ),
    ("DELETE", "/api/rooms/{room}/arrivals"): Operation(
        "stopCapture",
        "packet capture",
        "End the packet capture",
        answers.Success,
        errors=("not_found",),
    ),
    ("GET", "/api/rooms/{room}/arrivals/{name}"): Operation(
        "getCapture",
        "packet capture",
        "A packet capture's file",
        BYTES,
        errors=("not_found",),
        also={206: "A range of it", 416: "There is no such range"},
    ),
    ("DELETE", "/api/rooms/{room}/arrivals/{name}"): Operation(
        "deleteCapture", "packet capture", "Remove a file", answers.Success, errors=("not_found",)
    ),
    ("POST", "/api/rooms/{room}/recordings"): Operation(
        "startRecording",
        "recordings",
        "Record a room; everybody in it is told",
        answers.RecordingAnswer,
        status=201,
        body=models.RecordingRequest,
        example={"mix": "ogg", "tracks": True},
        errors=("already_recording", "too_many", "disk_full", "draining"),
    ),
    ("GET", "/api/rooms/{room}/recordings"): Operation(
        "listRoomRecordings",
        "recordings",
        "The recordings of a room, also of one that is gone",
        answers.RecordingsAnswer,
        query=queries.PageQuery,
    ),
    ("GET", "/api/rooms/{room}/recordings/{name}"): Operation(
        "getRecording",
        "recordings",
        "A recording, its files and its manifest",
        answers.RecordingSeenAnswer,
        errors=("not_found",),
    ),
    ("PATCH", "/api/rooms/{room}/recordings/{name}"): Operation(
        "changeRecording",
        "recordings",
        "Pause a recording, go on with it, or end it",
        answers.RecordingAnswer,
        body=models.RecordingPatch,
        example={"action": "pause"},
        errors=("not_found", "recording_over"),
    ),
    ("DELETE", "/api/rooms/{room}/recordings/{name}"): Operation(
        "deleteRecording",
        "recordings",
        "Remove a recording and its files",
        answers.Success,
        query=queries.RemovalQuery,
        errors=("not_found", "recording_busy"),
    ),
    ("GET", "/api/rooms/{room}/recordings/{name}/files.zip"): Operation(
        "getRecordingZip",
        "recordings",
        "All files of a recording",
        "application/zip",
        errors=("not_found",),
    ),
    ("GET", "/api/rooms/{room}/recordings/{name}/files/{file}"): Operation(
        "getRecordingFile",
        "recordings",
        "A file of a recording",
        "*/*",
        errors=("not_found",),
        also={206: "A range of it", 416: "There is no such range"},
    ),
    ("GET", "/api/recordings"): Operation(
        "listRecordings",
        "recordings",
        "The recordings of all rooms, also of those that are gone",
        answers.RecordingsAnswer,
        query=queries.PageQuery,
    ),
    ("POST", "/api/rooms/{room}/announcements"): Operation(
        "createAnnouncement",
        "announcements",
        "Play a sound into a room",
        answers.AnnouncementAnswer,
        status=201,
        body=models.FolderRequest,
        example={"file": "gong.wav"},
        forms={"multipart/form-data": _SOUND, "audio/wav": {"type": "string", "format": "binary"}},
        query=models.AnnouncementRequest,
        errors=(
            *("bad_sound", "bad_bus", "not_found", "too_many", "not_enabled"),
            *("media_unavailable", "no_capacity"),
        ),
    ),
    ("GET", "/api/rooms/{room}/announcements"): Operation(
        "listAnnouncements",
        "announcements",
        "What is played in a room, and was lately",
        answers.AnnouncementsAnswer,
        query=queries.PlayedQuery,
    ),
    ("PATCH", "/api/rooms/{room}/announcements/{announcementId}"): Operation(
        "changeAnnouncement",
        "announcements",
        "Make an announcement louder or softer",
        answers.AnnouncementAnswer,
        body=models.GainRequest,
        example={"gainDb": -6},
        errors=("not_found",),
    ),
    ("DELETE", "/api/rooms/{room}/announcements/{announcementId}"): Operation(
        "stopAnnouncement",
        "announcements",
        "Fade an announcement out, or forget one that is over",
        answers.Success,
        errors=("not_found",),
    ),
    ("POST", "/api/token"): Operation(
        "createToken",
        "people",
        "Mint a listen token",
        answers.TokenAnswer,
        body=models.TokenRequest,
        example={"roomId": "demo"},
        errors=(
            "too_many",
            "bad_invite",
            "wrong_pin",
            "pin_locked",
            "room_not_found",
            "signing_unavailable",
        ),
        needs=Needs.SOMETHING,
    ),
    ("POST", "/api/keys"): Operation(
        "createKey",
        "keys",
        "Make an API key of some scopes",
        answers.NewApiKeyAnswer,
        status=201,
        body=models.CreateKeyRequest,
        example={"name": "Booking", "scopes": ["rooms:read", "rooms:write"]},
        errors=("too_many",),
    ),
    ("GET", "/api/keys"): Operation("listKeys", "keys", "The API keys", answers.ApiKeysAnswer),
    ("DELETE", "/api/keys/{keyId}"): Operation(
        "deleteKey", "keys", "Revoke an API key", answers.Success, errors=("not_found",)
    ),
    ("POST", "/api/keys/rotate"): Operation(
        "rotateKeys",
        "keys",
        "Sign tokens with new keys from now on",
        answers.Success,
        errors=("signing_unavailable", "not_enabled"),
    ),
    ("GET", "/.well-known/jwks.json"): Operation(
        "getJwks",
        "keys",
        "The public keys of join and listen tokens",
        JSON,
        errors=("signing_unavailable",),
        needs=Needs.NOTHING,
    ),
    ("POST", "/api/webhooks"): Operation(
        "createWebhook",
        "webhooks",
        "Tell another program what happens",
        answers.NewWebhookAnswer,
        status=201,
        body=models.WebhookRequest,
        example={"url": "https://example.org/roomtone", "events": ["room.created"]},
        errors=("too_many",),
    ),
    ("GET", "/api/webhooks"): Operation(
        "listWebhooks", "webhooks", "The webhooks", answers.WebhooksAnswer
    ),
    ("GET", "/api/webhooks/{webhookId}"): Operation(
        "getWebhook",
        "webhooks",
        "A webhook and its last failures",
        answers.WebhookAnswer,
        errors=("not_found",),
    ),
    ("DELETE", "/api/webhooks/{webhookId}"): Operation(
        "deleteWebhook",
        "webhooks",
        "Tell it nothing more",
        answers.Success,
        errors=("not_found",),
    ),
    ("POST", "/api/webhooks/{webhookId}/ping"): Operation(
        "pingWebhook", "webhooks", "Call it once, now", answers.PingAnswer, errors=("not_found",)
    ),
    ("POST", "/api/webhooks/{webhookId}/secret"): Operation(
        "rotateWebhookSecret",
        "webhooks",
        "Sign with a new secret, and for a day with the old one too",
        answers.NewWebhookAnswer,
        errors=("not_found",),
    ),
    ("PUT", "/api/modules/{moduleType}/{moduleId}/mark"): Operation(
        "putMark",
        "operation",
        "Say of a module whether rooms may be placed on it",
        answers.MarkAnswer,
        body=models.MarkRequest,
        example={"label": "cordon"},
    ),
    ("DELETE", "/api/modules/{moduleType}/{moduleId}/mark"): Operation(
        "deleteMark",
        "operation",
        "Take a mark away",
        answers.MarkAnswer,
        errors=("bad_params",),
    ),
    ("GET", "/api/stats"): Operation(
        "getStats", "operation", "The server in numbers", answers.StatsAnswer
    ),
    ("GET", "/ws"): Operation(
        "signalling",
        "signalling",
        "Signalling of one person: JSON-RPC 2.0 over a WebSocket",
        status=101,
        query=queries.TokenQuery,
        needs=Needs.SOMETHING,
        errors=("draining",),
    ),
    ("GET", "/hls/rooms/{room}/enc.key"): Operation(
        "getCurrentKey",
        "broadcast",
        "The key in force",
        BYTES,
        query=queries.TokenQuery,
        errors=("room_not_found",),
        needs=Needs.SOMETHING,
    ),
    ("GET", "/hls/rooms/{room}/{epoch}/enc.key"): Operation(
        "getKey",
        "broadcast",
        "The key of one epoch",
        BYTES,
        query=queries.TokenQuery,
        errors=("room_not_found", "not_found", "key_not_yet"),
        needs=Needs.SOMETHING,
    ),
    ("GET", "/hls/{room}/stream.m3u8"): _playlist(
        "getPlaylist", "The default rendition's playlist, of low latency"
    ),
    ("GET", "/hls/{room}/classic.m3u8"): _playlist("getClassicPlaylist", "The same without parts"),
    ("GET", "/hls/{room}/master.m3u8"): _playlist(
        "getMultivariantPlaylist", "The list of renditions, of low latency"
    ),
    ("GET", "/hls/{room}/classic-master.m3u8"): _playlist(
        "getClassicMultivariantPlaylist", "The list of renditions without parts"
    ),
    ("GET", "/hls/{room}/{rendition}/stream.m3u8"): _playlist(
        "getRenditionPlaylist", "A rendition's playlist, of low latency"
    ),
    ("GET", "/hls/{room}/{rendition}/classic.m3u8"): _playlist(
        "getClassicRenditionPlaylist", "A rendition's playlist without parts"
    ),
    ("GET", "/hls/{room}/{name}"): _media("getSegment", "An init segment, a segment or a part"),
    ("GET", "/hls/{room}/{rendition}/{name}"): _media(
        "getRenditionSegment", "The same of another rendition"
    ),
    ("GET", "/radio/{room}.aac"): _radio("radioAac", "audio/aac", "A room as a stream of AAC"),
    ("GET", "/radio/{room}.mp3"): _radio("radioMp3", "audio/mpeg", "A room as a stream of MP3"),
    ("OPTIONS", "/hls/{path}"): Operation(
        "allowPlayers",
        "broadcast",
        "Players on other sites",
        status=204,
        errors=("not_found",),
        needs=Needs.NOTHING,
    ),
    **_standard("/whip/{room}", "whip", "Talk in a room by WHIP (RFC 9725)"),
    **_standard("/whep/{room}", "whep", "Hear a room by WHEP"),
    ("GET", "/health"): Operation(
        "health", "operation", "The process is alive", answers.HealthAnswer, needs=Needs.NOTHING
    ),
    ("GET", "/ready"): Operation(
        "ready",
        "operation",
        "Everything a call needs answers",
        answers.ReadyAnswer,
        needs=Needs.NOTHING,
        also={503: "It does not, and why"},
    ),
    ("GET", "/metrics"): Operation(
        "metrics",
        "operation",
        "Prometheus text; off loopback for the admin",
        "text/plain",
        needs=Needs.SOMETHING,
    ),
}
