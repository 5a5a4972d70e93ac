"""The parts of aiortc we use, loaded without the rest of it.

`import aiortc` pulls in PyAV, its codecs and their threads, which the mixer process must not have.
What we need (DTLS transport, certificates, SDP) needs none of that: the submodules are imported
under a bare package object with a stand-in for the one name they take from `av`, and `sys.modules`
is put back as it was, so that a later `import aiortc` in the same process gets the whole of it.
`tests/mixer/rtc/test_aiortc_contract.py` holds every private name used here and in `dtls.py`.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

from mixer.errors import SetupError

_SUBMODULES = ("rtcdatachannel", "rtcdtlstransport", "sdp")  # in an order that breaks their cycle


def _ours(name: str) -> bool:
    return name in ("av", "aiortc") or name.startswith("aiortc.")


def _load() -> dict[str, ModuleType]:
    spec = importlib.util.find_spec("aiortc")
    if spec is None or spec.submodule_search_locations is None:
        raise SetupError("aiortc is not installed: pip install 'aiortc==1.16.0'")
    before = {name: module for name, module in sys.modules.items() if _ours(name)}
    for name in before:
        del sys.modules[name]
    package = ModuleType("aiortc")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    stand_in: Any = ModuleType("av")
    stand_in.AudioFrame = object  # aiortc.rtp names it in annotations of functions we never call
    sys.modules["aiortc"], sys.modules["av"] = package, stand_in
    try:
        return {name: importlib.import_module(f"aiortc.{name}") for name in _SUBMODULES}
    finally:
        for name in [name for name in sys.modules if _ours(name)]:
            del sys.modules[name]
        sys.modules.update(before)


_modules = _load()
_dtls: Any = _modules["rtcdtlstransport"]
_sdp: Any = _modules["sdp"]

RTCDtlsTransport: Any = _dtls.RTCDtlsTransport
RTCDtlsParameters: Any = _dtls.RTCDtlsParameters
RTCDtlsFingerprint: Any = _dtls.RTCDtlsFingerprint
RTCCertificate: Any = _dtls.RTCCertificate
SessionDescription: Any = _sdp.SessionDescription
