"""One way to make a paho client: MQTT 3.1.1, settings' account and TLS, patient reconnects, refusals said once."""

import logging
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from socket import gaierror
from typing import Any, TypeVar, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from twin.errors import BrokerError, SettingsError
from twin.settings import Broker, env_name

log = logging.getLogger("gaoxin.mqtt")

# OpenSSL's X509_V_ERR_…: the ssl module gives the numbers and no names
_OUT_OF_TIME = (9, 10)
_OTHER_NAME = (62, 64)
_NOT_TLS = "it ended the TLS handshake, as one that does not speak TLS on this port: set broker.port (often 8883)"

C = TypeVar("C", bound=paho.Client)


def client(
    kind: type[C],
    settings: Broker,
    client_id: str,
    *,
    persistent: bool = False,
    manual_ack: bool = False,
    outbox: int = 20_000,
    version_5: bool = False,
) -> C:
    """Not connected yet. `persistent`: the broker keeps what comes while this client is away (needs a stable id).

    `outbox`: how many messages of its own wait at most while the broker is away. `version_5`: MQTT 5, in which alone a
    broker says that an account may not publish; such a client is never persistent.

    Raises SettingsError where broker.tls, ca, certificate and key cannot be used together.
    """
    made = kind(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=None if version_5 else not persistent,
        protocol=MQTTProtocolVersion.MQTTv5 if version_5 else MQTTProtocolVersion.MQTTv311,
        manual_ack=manual_ack,
        userdata=client_id,
    )
    # At least 1 s: a faster reconnect is taken by some brokers for a second session of the same id
    made.reconnect_delay_set(1, 15)
    made.max_inflight_messages_set(1_000)
    made.max_queued_messages_set(outbox)
    if settings.user:
        made.username_pw_set(settings.user, settings.password.get_secret_value() or None)
    context = tls_context(settings)
    if context is not None:
        made.tls_set_context(context)
    return made


def connect(made: paho.Client, settings: Broker) -> None:
    """Start the network thread; it tries until the broker is there. Raises BrokerError on a bad address.

    From here on the client's `on_connect` hears of accepted connections only and its `on_disconnect` of their loss;
    why the broker cannot be reached or refuses is logged here, once for each reason.
    """
    _Refusals(made, settings)
    try:
        # The network thread would end without a word on a name that cannot be encoded
        settings.host.encode("idna")
        made.connect_async(settings.host, settings.port, keepalive=30)
    except ValueError as error:
        raise BrokerError(
            f"broker address {settings.host}:{settings.port}: {error}. Set broker.host and broker.port"
        ) from None
    made.loop_start()


def reachable(settings: Broker, seconds: float = 5) -> bool:
    """Whether the broker lets this account in; why not is in the log."""
    made, connected = client(paho.Client, settings, ""), threading.Event()
    made.on_connect = lambda *_: connected.set()
    connect(made, settings)
    found = connected.wait(seconds)
    made.disconnect()
    made.loop_stop()
    return found


def tls_context(settings: Broker) -> ssl.SSLContext | None:
    """TLS 1.2 or newer, certificate and host name verified; None without broker.tls.

    Raises SettingsError naming the setting, its file and the remedy.
    """
    if not settings.tls:
        for key in ("ca", "certificate", "key"):
            if getattr(settings, key) is not None:
                raise SettingsError(
                    f"broker.{key} = {getattr(settings, key)}, but broker.tls is false: nothing would be encrypted. "
                    f"Set broker.tls = true ({env_name('broker.tls')}=true), or take broker.{key} out"
                )
        return None
    context = ssl.create_default_context(cadata=_pem("ca", settings.ca) if settings.ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate or settings.key:
        _identify(context, settings)
    return context


def _identify(context: ssl.SSLContext, settings: Broker) -> None:
    """Give `context` the client's own certificate."""
    certificate, key = settings.certificate, settings.key
    if certificate is None or key is None:
        there, absent = ("certificate", "key") if key is None else ("key", "certificate")
        raise SettingsError(
            f"broker.{there} = {getattr(settings, there)}, but broker.{absent} is not set: "
            "a client is known by both. Set both or neither"
        )
    _pem("certificate", certificate)
    if "ENCRYPTED" in _pem("key", key):
        # OpenSSL would ask for it on the terminal and wait
        raise SettingsError(
            f"broker.key = {key} is locked with a pass phrase, which nobody is here to type. "
            f"Unlock it: openssl pkey -in {key} -out unlocked.pem"
        )
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(
                f"broker.key = {key} does not belong to broker.certificate = {certificate}. "
                "Name the key with which this certificate was asked for"
            ) from None
        raise SettingsError(
            f"broker.certificate = {certificate} with broker.key = {key} cannot be used: {error}"
        ) from None


def _pem(key: str, file: Path) -> str:
    """The text of a PEM file named by the setting broker.`key`. Raises SettingsError."""
    name, kind = f"broker.{key} = {file}", "PRIVATE KEY" if key == "key" else "CERTIFICATE"
    try:
        text = file.read_bytes().decode("ascii", "replace")
    except OSError as error:
        raise SettingsError(
            f"{name} cannot be read ({error.strerror}). Check the path and that this account may read it"
        ) from None
    if f"{kind}-----" not in text:
        raise SettingsError(f"{name} has no “-----BEGIN … {kind}-----”: it is not the PEM file wanted here")
    if kind == "CERTIFICATE":
        try:
            ssl.create_default_context(cadata=text)
        except (ssl.SSLError, ValueError) as error:
            raise SettingsError(f"{name} is damaged: {error}. Copy it again from where it was made") from None
    return text


class _Refusals(logging.Handler):
    """Listens to one client: what fails before the broker has accepted it is explained, once for each reason.

    It is a log handler because with TLS 1.3 a broker refuses after the handshake, and paho tells only its logger why.
    """

    def __init__(self, made: paho.Client, settings: Broker) -> None:
        super().__init__(logging.ERROR)
        self._settings, self._who = settings, made.user_data_get() or "gaoxin"
        self._said = ""
        self._accepted = self._answered = False
        self._error: OSError | None = None
        self._connected = cast(Callable[..., None] | None, made.on_connect)
        self._lost = cast(Callable[..., None] | None, made.on_disconnect)
        ear = logging.Logger("paho", logging.ERROR)
        ear.addHandler(self)
        made.enable_logger(ear)
        made.on_connect, made.on_disconnect, made.on_connect_fail = self._on_connect, self._on_disconnect, self._on_fail

    def emit(self, record: logging.LogRecord) -> None:
        found = record.args[-1] if isinstance(record.args, tuple) and record.args else None
        if isinstance(found, OSError):
            self._error = found  # said when the connection is found lost
        elif isinstance(found, Exception):  # in a callback of ours
            log.error("%s: %s", self._who, record.getMessage())

    def _on_fail(self, *_: Any) -> None:
        error = sys.exception()  # paho calls this while it handles the error, and does not hand it over
        self._say(_why(error, self._settings) if isinstance(error, OSError) else "it cannot be reached")

    def _on_connect(self, made: paho.Client, user: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._answered = True
            self._say(_refused(str(reason), self._settings))
            return
        self._accepted, self._said, self._error = True, "", None
        if self._connected is not None:
            self._connected(made, user, flags, reason, properties)

    def _on_disconnect(self, made: paho.Client, user: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._accepted:
            self._accepted = False
            if self._lost is not None:
                self._lost(made, user, flags, reason, properties)
        elif reason.is_failure and not self._answered:
            self._say(_closed(self._error, self._settings))
        self._answered, self._error = False, None

    def _say(self, why: str) -> None:
        level = logging.DEBUG if why == self._said else logging.ERROR
        self._said = why
        s = self._settings
        log.log(level, "%s: broker %s:%d: %s. Trying again", self._who, s.host, s.port, why)


def _refused(reason: str, s: Broker) -> str:
    if reason in ("Not authorized", "Bad user name or password"):
        if not s.user:
            return "it refuses clients without an account: set broker.user and " + env_name("broker.password")
        return f"it refuses broker.user = {s.user!r} or its password ({env_name('broker.password')})"
    return f"it refuses the connection: {reason}"


def _closed(error: OSError | None, s: Broker) -> str:
    """Closed after the handshake and before an answer; a reset may have swallowed the reason."""
    if isinstance(error, ssl.SSLError):
        return _why(error, s)
    if not s.tls:
        return "it closed the connection before answering; if this port wants TLS, set broker.tls = true"
    if s.certificate is None:
        return (
            "it closed the connection before answering; if it asks for a client certificate, "
            "set broker.certificate and broker.key"
        )
    return f"it closed the connection before answering; perhaps it does not accept broker.certificate = {s.certificate}"


def _why(error: OSError, s: Broker) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        message = error.verify_message.rstrip(".")
        if error.verify_code in _OTHER_NAME:
            return f"its certificate is not for broker.host = {s.host} ({message}); name it as its certificate does"
        if error.verify_code in _OUT_OF_TIME:
            return f"its certificate is out of its time ({message}): renew it there, or set the clock here"
        signers = f"broker.ca = {s.ca}" if s.ca else "an authority this system knows, and broker.ca is not set"
        return f"its certificate is not signed by {signers} ({message}); name the authority's file in broker.ca"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        if isinstance(error, ssl.SSLEOFError) or reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            return _NOT_TLS
        if "ALERT" in reason and s.certificate is None:
            return f"it asks for a client certificate ({reason}): set broker.certificate and broker.key"
        if "ALERT" in reason:
            return f"it does not accept broker.certificate = {s.certificate} ({reason})"
        return f"TLS failed: {error}"
    if s.tls and isinstance(error, ConnectionResetError | BrokenPipeError):
        return _NOT_TLS
    if isinstance(error, gaierror):
        return f"no address is known for broker.host = {s.host} ({error.strerror})"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return f"it cannot be reached ({error.strerror or error})"
