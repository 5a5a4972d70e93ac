"""Settings: every key the server knows, with its default, its meaning and its variable."""

import ipaddress
import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from hls.core.speccheck import BIT_RATES, LOUDNESS
from hls.upload.core.places import TEMPLATE_DEFAULT as UPLOAD_TEMPLATE
from hls.upload.core.places import TEMPLATE_PATTERN as UPLOAD_PATTERN
from hls.upload.core.places import template_mistake
from server.domain.air import (
    MAX_BIT_RATES,
    MAX_WINDOW_S,
    MIN_WINDOW_S,
    PARTS_MS,
)
from server.domain.configured_room import ConfiguredRoom
from server.domain.iceservers import is_ice_url, is_turn
from server.domain.recording import TEMPLATE_DEFAULT, TEMPLATE_PATTERN

PREFIX = "ROOMTONE_"
MAX_PORT = 65_535
DAY_S = 86_400
# Unasked: a firewall or a container must know the range of ports beforehand, and eight cores of
# mixing carry more people than a machine with defaults will see.
MOST_MIXERS = 8
MOST_PER_MINUTE = 10**9
MOST_RADIO = 2000  # of all rooms and addresses

_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9._:\[\]-]{1,255}")
_BUCKET: Final = re.compile(
    r"(s3|gs|az)://[A-Za-z0-9][^\s?#@]{0,500}|file:///[^\s?#]{0,500}", re.ASCII
)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")


def default_state_dir() -> Path:
    """Return where the XDG rules put state: `$XDG_STATE_HOME/roomtone`, else under the home."""
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state"
    return root / "roomtone"


def default_mixers() -> int:
    """Return one for each core this process may use, MOST_MIXERS at most."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:  # not Linux
        cores = os.cpu_count() or 1
    return min(cores, MOST_MIXERS)


class Settings(BaseSettings):
    """How one server runs: `server.sources.load` makes one of options, variables and a file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True
    )

    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on for pages, REST, signalling and HLS; 0.0.0.0 for all"
        " (the default with --tls self-signed).",
    )
    port: int = Field(
        default=8080,
        ge=0,
        le=MAX_PORT,
        description="TCP port for pages, REST, signalling and HLS; 0 = any.",
    )
    udp_port: int = Field(
        default=10_000,
        ge=1,
        le=MAX_PORT,
        description="First UDP port for WebRTC audio; each mixer has one of its own.",
    )
    mixers: int = Field(
        default_factory=default_mixers,
        ge=1,
        le=256,
        description="Mixer processes at most, on as many UDP ports from --udp-port on (default: one"
        " for each core that may be used, 8 at most). One is started at once, each other one when"
        " those that run have enough to do.",
    )
    tcp_port: int | None = Field(
        default=None,
        ge=0,
        le=MAX_PORT,
        description="First TCP port for WebRTC audio where a network lets no UDP through; each"
        " mixer has one of its own (default: the numbers of the UDP ports, where they are free;"
        " 0 = none).",
    )
    public_ip: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Address browsers reach the UDP and TCP ports at, if it is not one of"
        " this machine's (behind NAT). Several: repeat the option, or separate by commas.",
    )
    rtp_port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="UDP port for people whose voice comes as plain RTP; none = there are none."
        " It is not encrypted.",
    )
    rtp_host: str = Field(
        default="127.0.0.1",
        description="Address the port for plain RTP is bound to; 0.0.0.0 for all.",
    )
    forward_to: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Network (CIDR) that rooms may be sent to as plain RTP; none = nowhere."
        " Several: repeat the option, or separate by commas.",
    )
    record_arrivals: Path | None = Field(
        default=None,
        description="Folder to record in what arrives in every room, for `roomtone replay`."
        " That is everybody's voice: ask them first.",
    )
    record_limit_mb: int = Field(
        default=256,
        ge=1,
        le=1 << 20,
        description="Size at which a packet capture ends, in megabytes.",
    )
    record_default: Literal["off", "on-air", "when-occupied"] = Field(
        default="off",
        description="When rooms that say nothing of it record themselves: while listeners can hear"
        " them, or while somebody is in them. That is everybody's voice: they are told.",
    )
    recordings_dir: Path | None = Field(
        default=None,
        description="Folder of recordings (default: recordings in the state folder).",
    )
    recording_name: str = Field(
        default=TEMPLATE_DEFAULT,
        pattern=TEMPLATE_PATTERN,
        description="What a recording is called, with {room}, {name}, {date} and {time} (UTC).",
    )
    recordings_min_free_mb: int = Field(
        default=1000,
        ge=0,
        le=1 << 30,
        description="Space on the disk, in megabytes, below which recordings end and none begins.",
    )
    recordings_keep_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="How long recordings are kept, in days; 0 = for good.",
    )
    recordings_keep_mb: int = Field(
        default=0,
        ge=0,
        le=1 << 30,
        description="How much of recordings is kept, in megabytes, before the oldest are removed;"
        " 0 = any amount.",
    )
    upload_url: str = Field(
        default="",
        description="Bucket or folder to upload to, such as s3://bucket/prefix, gs://bucket,"
        " az://account/container or file:///mnt/archive; none = nothing is uploaded.",
    )
    upload_what: Literal["recordings", "broadcast", "both"] = Field(
        default="recordings",
        description="What is uploaded: recordings, the broadcasts of all rooms, or both.",
    )
    upload_endpoint: str = Field(
        default="",
        pattern=r"^(https?://[^/\s?#@]+)?$",
        description="Address of an S3-compatible server, if it is not the vendor's own.",
    )
    upload_region: str = Field(
        default="", pattern=r"^[A-Za-z0-9-]{0,64}$", description="Region of an S3 bucket."
    )
    upload_credentials: Path | None = Field(
        default=None,
        description="File of lines such as AWS_ACCESS_KEY_ID=… that only the server's user may"
        " read (default: the environment, as the vendor's own tools know it).",
    )
    upload_template: str = Field(
        default=UPLOAD_TEMPLATE,
        pattern=UPLOAD_PATTERN,
        description="Folder of each upload within the bucket; {room}, {kind} and {name} must be in"
        " it, with a / between the first and the last.",
    )
    upload_keys: bool = Field(
        default=False,
        description="Upload the keys of broadcasts too: then whoever can read the bucket can"
        " listen.",
    )
    upload_keep_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="How long uploads are kept in the bucket, in days; 0 = for good.",
    )
    upload_spool_mb: int = Field(
        default=512,
        ge=1,
        le=1 << 20,
        description="Disk, in megabytes, that broadcasts may take while the bucket is away; then"
        " their oldest segments go.",
    )
    announcements_dir: Path | None = Field(
        default=None,
        description="Folder of sound files that the admin may play into rooms by their names;"
        " none = only files that are sent.",
    )
    announcement_limit_mb: int = Field(
        default=100, ge=1, le=10_000, description="Largest sound file to be sent, in megabytes."
    )
    rooms: Annotated[tuple[ConfiguredRoom, ...], NoDecode] = Field(
        default=(),
        description="Room that is there for good, as JSON with `id` and, on wish, `name`, `pin`,"
        " `max_anchors`, `profile`, `loudest`, `automix`, `buses`, `broadcast`, `radio`, `locked`,"
        " `record`, `broadcast_buses`, `dvr_seconds`, `captions`, `hold_music`, `upload`."
        " Several: repeat the option, or a list in the variable.",
    )
    auto_rooms: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_*?-]{0,32}$",
        description="Ids of rooms that are made when the admin lets somebody into them, as a"
        " pattern with * and ? (such as class-*); none = only rooms that were made.",
    )
    auto_rooms_limit: int = Field(
        default=20, ge=1, le=10_000, description="How many rooms of that pattern there may be."
    )
    auto_rooms_open: bool = Field(
        default=False,
        description="Anybody may come to rooms of that pattern, without an invite, and so make"
        " them.",
    )
    room_lifetime_s: int = Field(
        default=10_800,
        ge=0,
        le=10**9,
        description="How long a room lasts, in seconds, where REST is not told; 0 = for good.",
    )
    room_anchors: int = Field(
        default=3,
        ge=1,
        le=10_000,
        description="How many anchors a room holds where REST is not told.",
    )
    room_warnings_s: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(300, 60),
        description="How many seconds before its time is over those in a room are told; 0 = not at"
        " all. Several: repeat the option, or separate by commas.",
    )
    webhook_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Network (CIDR) that webhooks may call although it is private, and without"
        " HTTPS; none = public addresses over HTTPS only. Several: repeat the option, or separate"
        " by commas.",
    )
    output_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Network (CIDR) that RTMP outputs may go to although it is private; none ="
        " public addresses only. Several: repeat the option, or separate by commas.",
    )
    state_dir: Path = Field(
        default_factory=default_state_dir,
        description="Folder for rooms, keys and certificates"
        " (default: $XDG_STATE_HOME/roomtone, else ~/.local/state/roomtone).",
    )
    tls: Literal["off", "self-signed"] = Field(
        default="off",
        description="self-signed makes a certificate for this machine, so that phones in the LAN"
        " can use their microphone.",
    )
    tls_cert: Path | None = Field(default=None, description="Your own certificate chain (PEM).")
    tls_key: Path | None = Field(default=None, description="The private key of --tls-cert (PEM).")
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^/\s?#]+)?$",
        description="Address people open, without a path, if a proxy stands in front"
        " (such as https://audio.example.org); else the one they typed.",
    )
    trusted_proxy: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Network (CIDR) of proxies in front, such as 127.0.0.0/8: what they say of the"
        " caller's address, scheme and host is believed. Several: repeat the option, or separate"
        " by commas.",
    )
    proxy_header: Literal["x-forwarded", "forwarded"] = Field(
        default="x-forwarded",
        description="Header of those proxies that is read: X-Forwarded-For, -Proto and -Host, or"
        " Forwarded (RFC 7239). The other one may be the caller's own and is not looked at.",
    )
    allow_host: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Name that requests may be for, without a port; others are refused (default:"
        " this machine's own names if only it can reach the port, else any). Several: repeat the"
        " option, or separate by commas.",
    )
    allow_origin: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origin of another site (such as https://example.org) whose pages may call the"
        " API and open sockets with a token; cookies never count there. Several: repeat the option,"
        " or separate by commas.",
    )
    hls_origin: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("*",),
        description="Origin whose pages may play the streams; * = any. Several: repeat the option,"
        " or separate by commas.",
    )
    embed_origin: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origin whose pages may show the listen page in a frame, as"
        " `/listen/{room}?embed`; none = nobody. Several: repeat the option, or separate by"
        " commas.",
    )
    hsts_s: int = Field(
        default=180 * DAY_S,
        ge=0,
        le=730 * DAY_S,
        description="For how long browsers shall come by HTTPS alone, in seconds, where --tls-cert"
        " is used; 0 = they are not told to.",
    )
    limit_requests: int = Field(
        default=12_000,
        ge=0,
        le=MOST_PER_MINUTE,
        description="Requests a minute from one address (IPv6: one /64) for pages and the API;"
        " 0 = any number, here and below. Who shows the admin key is not counted.",
    )
    limit_token: int = Field(
        default=1200,
        ge=0,
        le=MOST_PER_MINUTE,
        description="Calls of the API a minute with one token.",
    )
    limit_joins: int = Field(
        default=6000,
        ge=0,
        le=MOST_PER_MINUTE,
        description="Tokens and sessions a minute that one address asks for.",
    )
    limit_sockets: int = Field(
        default=6000,
        ge=0,
        le=MOST_PER_MINUTE,
        description="WebSockets a minute that one address opens.",
    )
    limit_sockets_all: int = Field(
        default=12_000,
        ge=0,
        le=MOST_PER_MINUTE,
        description="WebSockets a minute that all addresses open; a crowd that comes back at once"
        " is told when to come again.",
    )
    limit_messages: int = Field(
        default=1200,
        ge=0,
        le=MOST_PER_MINUTE,
        description="Signalling messages a minute of one person; who sends twice as many is cut"
        " off.",
    )
    limit_hls: int = Field(
        default=60_000,
        ge=0,
        le=MOST_PER_MINUTE,
        description="Playlists, segments and keys a minute to one address.",
    )
    limit_radio: int = Field(
        default=1200,
        ge=0,
        le=MOST_PER_MINUTE,
        description="Radio streams a minute that one address begins.",
    )
    limit_radio_address: int = Field(
        default=200,
        ge=0,
        le=MOST_RADIO,
        description="Radio streams that one address has open.",
    )
    limit_radio_room: int = Field(
        default=1000,
        ge=0,
        le=MOST_RADIO,
        description="Radio streams of one room; all rooms of a server have 2,000 together.",
    )
    limit_connections: int = Field(
        default=4000,
        ge=0,
        le=1_000_000,
        description="TCP connections that one address has open; a trusted proxy may have any"
        " number.",
    )
    pin_tries: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="Wrong PINs of one room from one address before it is locked out of that room:"
        " for 10 s, and twice as long after each further one, up to an hour.",
    )
    api_open: bool = Field(
        default=False,
        description="Anybody who reaches the port may do what the admin may. Loopback only.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least important message that is logged."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: for people on a terminal, JSON otherwise."
    )
    access_log: bool = Field(
        default=False, description="Log every HTTP request, not only at the level debug."
    )
    drain_s: int = Field(
        default=5,
        ge=0,
        le=86_400,
        description="How long SIGTERM lets those who are in rooms go on, in seconds: they are"
        " warned, nobody new comes in, and the server ends when the last one has left.",
    )
    role: Literal["all", "signing"] = Field(
        default="all",
        description="signing: hold the private keys, sign tokens for the servers of rooms, and do"
        " nothing else. all: everything, but signing if there is a --signing-url.",
    )
    signing_url: str = Field(
        default="",
        pattern=r"^(https?://[^/\s?#@]+)?$",
        description="Address of the signing server, without a path; none = this server signs.",
    )
    signing_key: Path | None = Field(
        default=None,
        description="File with what the signing server asks for, its signing.key"
        " (default: signing.key in the state folder).",
    )
    shared_join_secret: Path | None = Field(
        default=None,
        description="File with the secret of another system, whose join tokens (HS256) are good"
        " here too; none = there is none.",
    )
    shared_listen_secret: Path | None = Field(
        default=None,
        description="The same for listen tokens.",
    )
    join_token_s: int = Field(
        default=DAY_S // 2,
        ge=60,
        le=30 * DAY_S,
        description="Lifetime of an anchor's token in seconds.",
    )
    listen_token_s: int = Field(
        default=DAY_S // 2,
        ge=60,
        le=30 * DAY_S,
        description="Lifetime of a listener's token in seconds.",
    )
    listen_session_s: int = Field(
        default=7 * DAY_S,
        ge=0,
        le=30 * DAY_S,
        description="How long after it was made a listener's token goes on while they keep"
        " listening with it, in seconds; less than its lifetime = no longer than that.",
    )
    broadcast_key_segments: int = Field(
        default=150,
        ge=0,
        le=100_000,
        description="After how many segments of 1.92 s a broadcast gets another key; at least 5,"
        " 0 = never.",
    )
    broadcast_part_ms: int = Field(
        default=320,
        description="Length of the parts of low-latency broadcasts in milliseconds: 320, or 192 for"
        " a delay that is 0.4 s shorter and two thirds more requests.",
    )
    broadcast_bitrates: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(128, 64),
        description="Bit rate of broadcasts in kb/s, four at most; the first is played unasked."
        " Several: repeat the option, or separate by commas.",
    )
    broadcast_window_s: int = Field(
        default=MIN_WINDOW_S,
        ge=MIN_WINDOW_S,
        le=MAX_WINDOW_S,
        description="How far back listeners may go in a broadcast, in seconds, where the room does"
        " not say. What is older than a minute is kept on disk, encrypted.",
    )
    broadcast_container: Literal["fmp4", "ts", "adts"] = Field(
        default="fmp4",
        description="What the segments of the playlist without parts are: fMP4, MPEG-TS or packed"
        " AAC, for players that want it.",
    )
    broadcast_loudness_lufs: (
        Annotated[float, Field(ge=LOUDNESS[0], le=LOUDNESS[1])] | Literal["off"]
    ) = Field(
        default=-16.0,
        description="Loudness that broadcasts are brought to, in LUFS (EBU R 128); off = they go"
        " out as loud as the room is.",
    )
    hold_music: Path | None = Field(
        default=None,
        description="Sound file that listeners hear in a loop while nobody is in a room, where the"
        " room does not say; none = silence.",
    )
    admin_cookie_s: int = Field(
        default=30 * DAY_S,
        ge=60,
        le=365 * DAY_S,
        description="Lifetime of the admin cookie in seconds.",
    )
    live_listeners: int = Field(
        default=100,
        ge=0,
        le=4000,
        description="People who may listen to a room without delay (WHEP), at most; 0 = nobody.",
    )
    ice_servers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="STUN or TURN server that clients are told of (such as"
        " turn:turn.example.org:3478). Several: repeat the option, or separate by commas.",
    )
    turn_secret_file: Path | None = Field(
        default=None,
        description="File that holds the secret shared with the TURN servers, from which"
        " credentials that end are made (coturn's static-auth-secret).",
    )
    turn_credentials_s: int = Field(
        default=DAY_S,
        ge=60,
        le=30 * DAY_S,
        description="How long credentials for the TURN servers are good, in seconds.",
    )
    resume_s: int = Field(
        default=60,
        ge=0,
        le=600,
        description="How long a person whose socket was lost is kept for a resume, in seconds.",
    )
    lobby_s: int = Field(
        default=600,
        ge=10,
        le=DAY_S,
        description="How long somebody waits in a lobby to be let in, in seconds.",
    )

    @field_validator(
        *("public_ip", "forward_to", "trusted_proxy", "webhook_networks", "room_warnings_s"),
        *("ice_servers", "broadcast_bitrates", "output_networks"),
        *("allow_host", "allow_origin", "hls_origin", "embed_origin"),
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("public_ip")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise ValueError(f"{address!r} is not an IP address") from None
        return value

    @field_validator("forward_to", "webhook_networks", "output_networks", "trusted_proxy")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"{network!r} is not a network such as 192.168.1.0/24") from None
        return value

    @field_validator("rooms", mode="before")
    @classmethod
    def _read_rooms(cls, value: object) -> object:
        if isinstance(value, str):
            read = _read_json(value)
            return read if isinstance(read, list) else [read]
        if isinstance(value, list | tuple):
            return [_read_json(one) if isinstance(one, str) else one for one in value]
        return value

    @field_validator("rooms")
    @classmethod
    def _once(cls, value: tuple[ConfiguredRoom, ...]) -> tuple[ConfiguredRoom, ...]:
        if len({one.id for one in value}) < len(value):
            raise ValueError("each room has an id of its own")
        return value

    @field_validator("room_warnings_s")
    @classmethod
    def _warnings(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 0 <= one <= DAY_S for one in value):
            raise ValueError(f"each must be 0 to {DAY_S}")
        return tuple(sorted({one for one in value if one}, reverse=True))

    @field_validator("broadcast_key_segments")
    @classmethod
    def _key_segments(cls, value: int) -> int:
        if 0 < value < 5:
            raise ValueError("at least 5 (a player fetches keys ahead), or 0")
        return value

    @field_validator("broadcast_part_ms")
    @classmethod
    def _part_ms(cls, value: int) -> int:
        if value not in PARTS_MS:
            raise ValueError("320 or 192: whole AAC frames, and whole parts in a segment")
        return value

    @field_validator("broadcast_bitrates")
    @classmethod
    def _bit_rates(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not 0 < len(value) <= MAX_BIT_RATES or len(set(value)) < len(value):
            raise ValueError(f"one to {MAX_BIT_RATES} different ones")
        low, high = BIT_RATES[0] // 1000, BIT_RATES[-1] // 1000
        if any(not low <= one <= high for one in value):
            raise ValueError(f"each must be {low} to {high} (kb/s)")
        return value

    @field_validator("ice_servers")
    @classmethod
    def _ice_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not is_ice_url(url):
                raise ValueError(
                    f"{url!r} is no address such as stun:stun.example.org or"
                    " turn:turn.example.org:3478?transport=tcp"
                )
        return value

    @field_validator("allow_origin", "hls_origin", "embed_origin")
    @classmethod
    def _origins(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for origin in value:
            if origin == "*" and info.field_name == "hls_origin":
                continue
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is not an origin such as https://example.org")
        return tuple(origin.lower() for origin in value)

    @field_validator("allow_host")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _NAME.fullmatch(host):
                raise ValueError(f"{host!r} is not a name such as audio.example.org")
        return tuple(host.lower() for host in value)

    @field_validator("rtp_host")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            raise ValueError("it must be an IP address") from None

    @field_validator("signing_url")
    @classmethod
    def _is_private(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme == "http" and not is_loopback_name(parts.hostname or ""):
            raise ValueError("off this machine it must be https, for keys travel there")
        return value

    @field_validator(
        *("state_dir", "tls_cert", "tls_key", "record_arrivals", "announcements_dir"),
        *("recordings_dir", "hold_music"),
        *("signing_key", "shared_join_secret", "shared_listen_secret", "turn_secret_file"),
    )
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: give both or neither")
        if self.tls_cert is not None and self.tls != "off":
            raise ValueError("tls_cert is your own certificate: leave tls at off with it")
        for key, first in (("udp_port", self.udp_port), ("tcp_port", self.tcp_port or 0)):
            if first + self.mixers - 1 > MAX_PORT:
                raise ValueError(
                    f"{self.mixers} mixers take the ports from {first} to"
                    f" {first + self.mixers - 1}, and {MAX_PORT} is the last there is:"
                    f" choose a lower {key} or fewer mixers"
                )
        if any(map(is_turn, self.ice_servers)) and self.turn_secret_file is None:
            raise ValueError(
                "a TURN server in ice_servers lets nobody in without credentials:"
                " name the file of its secret with turn_secret_file"
            )
        mistake = template_mistake(self.upload_template)
        if mistake is not None:
            raise ValueError(f"upload_template: {mistake}")
        if self.role == "signing" and self.signing_url:
            raise ValueError("role=signing signs itself: leave signing_url away")
        if self.api_open and not self.is_loopback:
            raise ValueError(
                f"api_open lets anybody in, and {self.bind_host} can be reached from outside:"
                " use it with host=127.0.0.1 only"
            )
        return self

    @field_validator("upload_url")
    @classmethod
    def _check_bucket(cls, value: str) -> str:
        if value and not _BUCKET.fullmatch(value):
            raise ValueError(
                "it looks like s3://bucket/prefix, gs://bucket, az://account/container or"
                " file:///folder, and holds no credentials: they have a file (upload_credentials)"
            )
        return value

    @property
    def is_tls(self) -> bool:
        """Whether the port speaks HTTPS."""
        return self.tls != "off" or self.tls_cert is not None

    @property
    def udp_ports(self) -> range:
        """The UDP port of each mixer, by its number."""
        return range(self.udp_port, self.udp_port + self.mixers)

    @property
    def tcp_ports(self) -> range:
        """The TCP port of each mixer, by its number; empty for none."""
        first = self.udp_port if self.tcp_port is None else self.tcp_port
        return range(first, first + self.mixers) if first else range(0)

    @property
    def bind_host(self) -> str:
        """The address to listen on: all of them if a certificate is made and no host was given."""
        if self.tls == "self-signed" and "host" not in self.model_fields_set:
            return "0.0.0.0"  # noqa: S104 - that is what the option is for: phones in the LAN
        return self.host

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        return is_loopback_name(self.bind_host)


@lru_cache(256)  # asked three times for each request, and ipaddress takes its time
def is_loopback_name(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError('a room is JSON such as {"id": "lobby"}') from None


def variable(key: str) -> str:
    """Return the environment variable of a key."""
    return PREFIX + key.upper()


def option(key: str) -> str:
    """Return the command line option of a key."""
    return "--" + key.replace("_", "-")
