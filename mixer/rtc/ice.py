"""An ICE-lite agent: answers connectivity checks, and nothing else (RFC 8445 §2.5)."""

import secrets
from dataclasses import dataclass
from enum import Enum

from aioice import stun

_ICE_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
MAX_CHECK_BYTES = 548  # RFC 8489 §6.1: what a STUN message over UDP may measure


@dataclass(frozen=True, slots=True)
class Credentials:
    """One side's ufrag and password."""

    ufrag: str
    password: str


@dataclass(frozen=True, slots=True)
class Generation:
    """The credentials of both sides between two ICE restarts (RFC 8445 §9)."""

    local: Credentials
    remote: Credentials


def make_credentials() -> Credentials:
    """Return fresh credentials: 48 bits of ufrag to find the peer by, 142 bits of password."""
    return Credentials(
        "".join(secrets.choice(_ICE_CHARACTERS) for _ in range(8)),
        "".join(secrets.choice(_ICE_CHARACTERS) for _ in range(24)),
    )


class CheckRefusal(Enum):
    """Why a STUN datagram was not answered; the names are counters."""

    MALFORMED = "stun_malformed"
    NOT_A_CHECK = "stun_not_a_check"
    UNKNOWN_UFRAG = "stun_unknown_ufrag"
    BAD_INTEGRITY = "stun_bad_integrity"


@dataclass(frozen=True, slots=True)
class Check:
    """A well-formed Binding request, not yet authenticated."""

    message: stun.Message
    local_ufrag: str
    remote_ufrag: str

    @property
    def is_nomination(self) -> bool:
        """Whether the peer wants this address pair used (USE-CANDIDATE)."""
        return "USE-CANDIDATE" in self.message.attributes

    @property
    def is_role_conflict(self) -> bool:
        """Whether the peer believes itself controlled: a lite agent never controls."""
        return "ICE-CONTROLLED" in self.message.attributes

    def is_authentic(self, credentials: Credentials) -> bool:
        """Whether MESSAGE-INTEGRITY was made with our password."""
        return self.message.check_message_integrity(credentials.password.encode())

    def belongs_to(self, generation: Generation) -> bool:
        """Whether it names both sides of the generation and was signed for it."""
        return (
            self.local_ufrag == generation.local.ufrag
            and self.remote_ufrag == generation.remote.ufrag
            and self.is_authentic(generation.local)
        )


def read_check(datagram: bytes) -> Check | CheckRefusal:
    """Parse a datagram as a connectivity check. Never raises."""
    if len(datagram) > MAX_CHECK_BYTES:
        return CheckRefusal.MALFORMED
    try:
        message = stun.parse_message(datagram)
        username = message.attributes.get("USERNAME", "")
    except Exception:  # noqa: BLE001 - aioice lets struct, index and codec errors out of short attributes
        return CheckRefusal.MALFORMED
    if message.message_method != stun.Method.BINDING or message.message_class != stun.Class.REQUEST:
        return CheckRefusal.NOT_A_CHECK
    local, separator, remote = username.partition(":")
    if not separator:
        return CheckRefusal.UNKNOWN_UFRAG
    return Check(message, local, remote)


def answer(check: Check, credentials: Credentials, address: tuple[str, int]) -> bytes:
    """Return the signed Binding response (RFC 8445 §7.3).

    A role conflict is answered with 487 (§7.3.1.1).
    """
    conflict = check.is_role_conflict
    response = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.ERROR if conflict else stun.Class.RESPONSE,
        transaction_id=check.message.transaction_id,
    )
    if conflict:
        response.attributes["ERROR-CODE"] = (487, "Role Conflict")
    else:
        response.attributes["XOR-MAPPED-ADDRESS"] = address
    response.add_message_integrity(credentials.password.encode())
    return bytes(response)
