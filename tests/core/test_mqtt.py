"""Settings of TLS: what cannot work is said before anything connects, with the setting, the file and the remedy."""

import ssl
import subprocess
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from tests.keys import Keys
from twin.errors import BrokerError, SettingsError
from twin.mqtt import client, connect, tls_context
from twin.settings import Broker


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = Keys(tmp_path_factory.mktemp("keys"))
    made.issue("one")
    made.issue("two")
    (made.folder / "text.pem").write_text("not a certificate", encoding="utf-8")
    (made.folder / "damaged.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", encoding="utf-8"
    )
    lock = ["openssl", "pkey", "-aes256", "-passout", "pass:x", "-in", "one.key", "-out", "locked.key"]
    subprocess.run(lock, cwd=made.folder, check=True, capture_output=True)
    return made


def test_without_tls_there_is_no_context() -> None:
    assert tls_context(Broker()) is None


def test_old_protocols_and_strangers_are_refused(keys: Keys) -> None:
    for settings in (Broker(tls=True), Broker(tls=True, ca=keys.ca)):
        context = tls_context(settings)
        assert context is not None
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname


def test_an_own_authority_is_trusted_alone(keys: Keys) -> None:
    context = tls_context(Broker(tls=True, ca=keys.ca))
    assert context is not None
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tls": False, "ca": "ca.pem"}, ["broker.ca", "broker.tls is false", "GAOXIN_BROKER__TLS=true"]),
        ({"tls": False, "key": "one.key"}, ["broker.key", "broker.tls is false"]),
        ({"ca": "absent.pem"}, ["broker.ca", "absent.pem", "No such file"]),
        ({"ca": "."}, ["broker.ca", "directory"]),
        ({"ca": "text.pem"}, ["broker.ca", "text.pem", "PEM"]),
        ({"ca": "one.key"}, ["broker.ca", "one.key", "BEGIN … CERTIFICATE"]),
        ({"ca": "damaged.pem"}, ["broker.ca", "damaged.pem", "damaged"]),
        ({"certificate": "one.pem"}, ["broker.certificate", "broker.key is not set"]),
        ({"key": "one.key"}, ["broker.key", "broker.certificate is not set"]),
        ({"certificate": "one.pem", "key": "two.key"}, ["two.key", "does not belong", "one.pem"]),
        ({"certificate": "one.pem", "key": "one.pem"}, ["broker.key", "one.pem", "PRIVATE KEY"]),
        ({"certificate": "one.pem", "key": "locked.key"}, ["locked.key", "pass phrase", "openssl pkey"]),
    ],
)
def test_what_cannot_work_is_named(keys: Keys, given: dict[str, object], words: list[str]) -> None:
    settings = Broker(**({"tls": True} | {k: keys.folder / v if isinstance(v, str) else v for k, v in given.items()}))  # type: ignore[arg-type]
    with pytest.raises(SettingsError) as error:
        client(paho.Client, settings, "test")
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize("host", ["", "..", "a" * 64, ".example"])
def test_a_name_that_cannot_be_one_is_said_at_once(host: str) -> None:
    settings = Broker(host=host)
    with pytest.raises(BrokerError, match=r"broker\.host"):
        connect(client(paho.Client, settings, "test"), settings)


def test_the_files_are_read_from_a_relative_path(keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(keys.folder)
    assert tls_context(Broker(tls=True, ca=Path("ca.pem"), certificate=Path("one.pem"), key=Path("one.key")))
