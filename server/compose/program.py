"""One server, from its settings to its end."""

import asyncio
import errno
import os
import resource
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from mixer.errors import SetupError
from mixer.rtc.addresses import detect_addresses
from mixer.rtc.sockets import bind_udp
from mixer.rtc.streams import bind_tcp
from mixer.types import PlaneSettings
from server.compose.address import forget_address, note_address
from server.compose.build import Ground, Services, build, recordings_folder
from server.compose.certificate import Certificate, self_signed
from server.compose.logs import configure
from server.compose.observe import ClosableSink, feed, open_sink
from server.compose.reload import Reloader
from server.compose.signals import Signals
from server.compose.signing import KEY_FILE, open_keys, open_signer, open_signing_key, read_shared
from server.compose.tls import HotTls
from server.compose.uploading import spool_settings, upload_settings
from server.compose.welcome import Serving, urls, welcome
from server.config import Settings, option, variable
from server.edge.app import create_app
from server.edge.connections import listen
from server.edge.context import CONTEXT
from server.edge.hook_sender import HttpHookSender
from server.edge.operations import gather
from server.edge.signing import create_signing_app
from server.edge.signing_client import RemoteSigner
from server.errors import SetupMistake
from server.media.broadcast_plane import WorkerBroadcastPlane
from server.media.decoder_process import DecoderProcesses
from server.media.fleet import LINES_HOME, Fleet
from server.media.mixer_plane import Recording, WorkerPlane
from server.media.sound_process import WorkerSoundProcesses
from server.media.upload_plane import WorkerUploadPlane
from server.services.clock import Clock, system_clock
from server.services.keyring import Keyring
from server.sources import Loaded
from server.state.sqlite import open_store
from server.supervise import Supervisor
from server.telemetry import set_sink

log = structlog.get_logger(__name__)

MAX_SOCKET_PATH_BYTES = 107  # the path of a Unix socket (unix(7))
DRAIN_S = 0.5  # what a request under way gets when the server stops


async def serve_until_stopped(read: Callable[[], Loaded]) -> None:
    """Serve until SIGINT, or until what SIGTERM began is over. Raises SetupMistake.

    `read` gives the settings, now and again at each SIGHUP.
    """
    settings = read().settings
    configure(settings)
    _allow_files()
    signals = Signals()
    with signals.caught():
        if settings.role == "signing":
            async with signing(settings) as serving:
                signals.reload = serving.reload
                await signals.wait_end(None)
                log.info("stopping")
            return
        async with running(settings) as server:
            signals.reload = server.reloader(read).reload
            await signals.wait_end(server.services.context)
            log.info("stopping")


@dataclass(frozen=True, slots=True)
class Running:
    """A server that serves."""

    serving: Serving
    services: Services
    follow_certificate: Callable[[Settings], None]

    def reloader(self, read: Callable[[], Loaded]) -> Reloader:
        """Return what puts changed settings in force."""
        return Reloader(self.services, read, check_certificate, self.follow_certificate)


def check_certificate(settings: Settings) -> None:
    """Raise SetupMistake if the settings name a certificate that is no good."""
    if settings.tls_cert is not None and settings.tls_key is not None:
        Certificate(settings.tls_cert, settings.tls_key).context()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Run a whole server for the length of the context. Raises SetupMistake."""
    async with AsyncExitStack() as stack:
        listener = _bind(settings)  # before anything takes time: a port in use is known at once
        stack.callback(listener.close)
        await asyncio.to_thread(_prepare_folders, settings)
        store = await stack.enter_async_context(open_store(settings.state_dir / "state.db"))
        keyring = await asyncio.to_thread(Keyring.open, settings.state_dir)
        addresses = await asyncio.to_thread(detect_addresses, "")
        clock = system_clock()
        tls = await asyncio.to_thread(_tls, settings, clock)
        supervisor = await stack.enter_async_context(Supervisor("server"))
        signer = await open_signer(settings, clock, supervisor, stack)
        shared = await asyncio.to_thread(read_shared, settings)
        mixer, broadcast = await _start_planes(settings, supervisor, stack)
        upload = await _start_upload(settings, supervisor, stack)
        is_up = {"mixer": lambda: mixer.is_up, "broadcast": lambda: broadcast.is_up}
        decoder = DecoderProcesses(supervisor.scope("decoders"))
        sound = WorkerSoundProcesses(supervisor.scope("sound"), settings.output_networks)
        hook_sender = HttpHookSender(settings.webhook_networks)
        stack.push_async_callback(hook_sender.close)
        turn_secret = await asyncio.to_thread(_turn_secret, settings.turn_secret_file)
        if isinstance(signer, RemoteSigner):
            remote = signer
            is_up["signing"] = lambda: remote.is_up
        ground = Ground(
            *(store, keyring, signer, clock, mixer, broadcast, decoder, sound, hook_sender, is_up),
            shared=shared,
            turn_secret=turn_secret,
            upload=upload,
        )
        services = build(settings, ground)
        await services.load()
        services.keep(supervisor)
        # While the planes serve, so that all of it is written.
        stack.push_async_callback(services.context.recorder.close)
        app = create_app(services.context)
        sink = _export_telemetry(services.context.registry, stack)
        if sink is not None:
            _ = supervisor.keep_running(lambda: feed(sink, lambda: gather(app)), name="telemetry")
        await _listen(app, listener, tls, stack)
        serving = Serving(
            port=listener.getsockname()[1],
            udp_ports=settings.udp_ports,
            tcp_ports=settings.tcp_ports,
            addresses=addresses,
            fingerprint=tls.certificate.fingerprint if tls else None,
            reload=tls.reload_soon if tls else _nothing_to_reload,
        )
        note_address(settings, serving)
        stack.callback(forget_address, settings.state_dir)
        welcome(settings, keyring, serving)
        yield Running(serving, services, _follower(tls))


@asynccontextmanager
async def signing(settings: Settings) -> AsyncIterator[Serving]:
    """Run a signing server for the length of the context. Raises SetupMistake."""
    async with AsyncExitStack() as stack:
        listener = _bind(settings)
        stack.callback(listener.close)
        await asyncio.to_thread(_prepare, settings.state_dir)
        clock = system_clock()
        signer = await open_keys(settings.state_dir, clock, stack)
        key = await asyncio.to_thread(open_signing_key, settings.state_dir)
        addresses = await asyncio.to_thread(detect_addresses, "")
        tls = await asyncio.to_thread(_tls, settings, clock)
        await _listen(create_signing_app(signer, key, clock), listener, tls, stack)
        port = listener.getsockname()[1]
        reload = tls.reload_soon if tls else _nothing_to_reload
        serving = Serving(port, range(0), range(0), addresses, reload=reload)
        log.info(
            "serving",
            role="signing",
            urls=list(urls(settings, serving)),
            state_dir=str(settings.state_dir),
            key_in=str(settings.state_dir / KEY_FILE),
        )
        yield serving


def _export_telemetry(registry: CollectorRegistry, stack: AsyncExitStack) -> ClosableSink | None:
    """Send traces and metrics where the environment says, until the stack ends."""
    sink = open_sink(os.environ, registry)
    set_sink(sink)
    if sink is not None:
        stack.push_async_callback(asyncio.to_thread, sink.close)
        stack.callback(set_sink, None)
    return sink


def _prepare_folders(settings: Settings) -> None:
    """Make or look into every folder of the settings. Raises SetupMistake."""
    _prepare(settings.state_dir)
    if settings.record_arrivals is not None:
        _prepare_captures(settings.record_arrivals)
    if settings.recordings_dir is not None:
        _prepare_recordings(settings.recordings_dir)
    if settings.announcements_dir is not None:
        _check_announcements(settings.announcements_dir)
    if settings.hold_music is not None:
        _check_hold_music(settings.hold_music)


def _bind(settings: Settings) -> socket.socket:
    host, port = settings.bind_host, settings.port
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        return socket.create_server(
            (str(address[0]), port), family=family, dualstack_ipv6=address[0] == "::"
        )
    except OSError as error:
        raise SetupMistake(_cannot_bind(host, port, error)) from None


def _cannot_bind(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is in use by another program:"
            f" choose another with {option('port')} (or {variable('port')})"
        )
    if error.errno == errno.EACCES:
        return (
            f"Port {port} may not be used by this user:"
            f" choose one above 1023 with {option('port')} (or {variable('port')})"
        )
    return (
        f"{host} is no address to listen on ({error.strerror}):"
        f" choose another with {option('host')} (or {variable('host')})"
    )


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SetupMistake(
            f"The state folder {folder} cannot be made ({error.strerror}):"
            f" choose another with {option('state_dir')} (or {variable('state_dir')})"
        ) from None


def _prepare_recordings(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SetupMistake(
            f"The folder of recordings {folder} cannot be made ({error.strerror}):"
            f" choose another with {option('recordings_dir')} (or {variable('recordings_dir')})"
        ) from None


def _prepare_captures(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SetupMistake(
            f"The folder for packet captures {folder} cannot be made ({error.strerror}):"
            f" choose another with {option('record_arrivals')}"
        ) from None
    log.warning("recording_arrivals", folder=str(folder), what="everybody's voice, in every room")


def _check_announcements(folder: Path) -> None:
    try:
        next(iter(folder.iterdir()), None)
    except OSError as error:
        raise SetupMistake(
            f"The folder of announcements {folder} cannot be read ({error.strerror}):"
            f" choose another with {option('announcements_dir')}"
            f" (or {variable('announcements_dir')})"
        ) from None


def _check_hold_music(file: Path) -> None:
    why = "it is no file"
    try:
        if file.is_file():
            with file.open("rb"):
                return
    except OSError as error:
        why = error.strerror or str(error)
    raise SetupMistake(
        f"The hold music {file} cannot be read ({why}):"
        f" choose another with {option('hold_music')} (or {variable('hold_music')})"
    )


def _turn_secret(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        secret = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SetupMistake(
            f"The secret of the TURN servers cannot be read from {file} ({why}):"
            f" choose another file with {option('turn_secret_file')}"
            f" (or {variable('turn_secret_file')})"
        ) from None
    if not secret:
        raise SetupMistake(f"The file {file} holds no secret: it is empty")
    return secret


def _tls(settings: Settings, clock: Clock) -> HotTls | None:
    if settings.tls_cert is not None and settings.tls_key is not None:
        own = Certificate(settings.tls_cert, settings.tls_key)
        return HotTls(lambda: own)
    if settings.tls == "self-signed":
        # Asked for again and again: a laptop comes into another network.
        return HotTls(
            lambda: self_signed(
                settings.state_dir, (*detect_addresses(""), *settings.public_ip), clock.now()
            )
        )
    return None


def _follower(tls: HotTls | None) -> Callable[[Settings], None]:
    def follow(settings: Settings) -> None:
        if tls is None:
            return
        if settings.tls_cert is not None and settings.tls_key is not None:
            own = Certificate(settings.tls_cert, settings.tls_key)
            tls.follow(lambda: own)
        else:
            tls.reload_soon()

    return follow


def _nothing_to_reload() -> None:
    """There is no certificate."""


async def _start_planes(
    settings: Settings, supervisor: Supervisor, stack: AsyncExitStack
) -> tuple[Fleet, WorkerBroadcastPlane]:
    _check_ports("UDP", "udp_port", settings.udp_ports, bind_udp)
    if settings.tcp_port:  # asked for: else each mixer has one if it is free
        _check_ports("TCP", "tcp_port", settings.tcp_ports, bind_tcp)
    audio_socket = settings.state_dir / "audio.sock"
    if len(os.fsencode(audio_socket)) > MAX_SOCKET_PATH_BYTES:
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="roomtone-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        audio_socket = folder / "audio.sock"
    broadcast = WorkerBroadcastPlane(audio_socket, spool=spool_settings(settings))
    mixer = Fleet(
        [
            WorkerPlane(
                _plane_settings(settings, number),
                name=f"mixer-{number}",
                audio_socket=audio_socket,
                recording=_recording(settings),
            )
            for number in range(settings.mixers)
        ]
    )
    stack.push_async_callback(broadcast.close)
    stack.push_async_callback(mixer.close)
    started = await asyncio.gather(
        mixer.start(supervisor), broadcast.start(supervisor), return_exceptions=True
    )
    for failure in started:
        if failure is not None:
            raise failure
    return mixer, broadcast


async def _start_upload(
    settings: Settings, supervisor: Supervisor, stack: AsyncExitStack
) -> WorkerUploadPlane | None:
    """Start the upload process if there is something to do for it."""
    process = upload_settings(settings)
    if process is None:
        return None
    upload = WorkerUploadPlane(process)
    stack.push_async_callback(upload.close)
    await upload.start(supervisor)
    return upload


def _plane_settings(settings: Settings, number: int) -> PlaneSettings:
    rtp_port = settings.rtp_port if number == LINES_HOME else None
    if rtp_port is None and settings.forward_to:
        rtp_port = 0  # any: nobody is told of it
    return PlaneSettings(
        udp_port=settings.udp_ports[number],
        tcp_port=settings.tcp_port and settings.tcp_port + number,
        advertised=settings.public_ip,
        rtp_host=settings.rtp_host,
        rtp_port=rtp_port,
    )


def _recording(settings: Settings) -> Recording:
    is_every_room = settings.record_arrivals is not None
    limit_bytes = settings.record_limit_mb * 1_000_000 if is_every_room else 0
    return Recording(recordings_folder(settings), limit_bytes)


def _check_ports(
    kind: str, key: str, ports: range, bind: Callable[[str, int], socket.socket]
) -> None:
    """Raise SetupMistake if a later mixer could not have its port; the first says so itself."""
    for port in ports[1:]:
        try:
            bind("", port).close()
        except SetupError:
            raise SetupMistake(
                f"{kind} port {port} is in use by another program, and {len(ports)} mixers take"
                f" {ports[0]} to {ports[-1]}: choose others with {option(key)} (or"
                f" {variable(key)}), or fewer with {option('mixers')} (or {variable('mixers')})"
            ) from None


def _allow_files() -> None:
    """Let this process have as many files open as the system lets it: each person is two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _listen(
    app: web.Application,
    listener: socket.socket,
    tls: HotTls | None,
    stack: AsyncExitStack,
) -> None:
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=DRAIN_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    if tls is not None:
        watching = await stack.enter_async_context(Supervisor("tls"))
        _ = watching.keep_running(tls.watch, name="certificate")
    context = tls.context if tls else None
    if CONTEXT in app:
        stack.callback((await listen(runner, listener, context)).close)
    else:  # of the signing server, whom only our own ask
        await web.SockSite(runner, listener, ssl_context=context).start()
