"""compose.yaml and the image, as far as can be told without a container engine."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.core.test_docs import ENGINEERS, commands
from twin.settings import PREFIX, SECRETS, Settings, env_name, fields, load

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
TWIN = {name: service for name, service in SERVICES.items() if "build" in service}
SECRET = "from-the-environment"


def filled(text: str) -> str:
    """As compose fills it in: defaults, and SECRET for what has none."""
    return re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)?\}", lambda m: m[1] or SECRET, text)


def environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: filled(value) for name, value in service.get("environment", {}).items()}


def settings(name: str) -> Settings:
    image = dict(re.findall(rf"\b({PREFIX}\w+)=(\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8")))
    return load(Path("/dev/null"), image | environment(TWIN[name]))


def mounts(service: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for mount in service.get("volumes", []):
        if isinstance(mount, str):
            source, target = filled(mount).split(":")[:2]
            found.append((source, target))
        else:
            found.append((filled(mount["source"]), mount["target"]))
    return found


def test_it_is_a_compose_file() -> None:
    program = Path(sys.executable).parent / "check-jsonschema"
    command = [str(program), "--builtin-schema", "vendor.compose-spec", str(ROOT / "compose.yaml")]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_these_are_the_services() -> None:
    assert set(TWIN) == {"ingest-1", "ingest-2", "engine", "web", "simulators"}
    assert set(SERVICES) - set(TWIN) == {"mosquitto", "influxdb", "postgresql"}


def test_engine_and_web_share_a_ledger_that_is_a_server() -> None:
    urls = {name: urlsplit(settings(name).ledger.url.get_secret_value()) for name in ("engine", "web")}
    assert urls["engine"] == urls["web"]
    url = urls["web"]
    made = environment(SERVICES["postgresql"])
    assert (url.scheme, url.hostname, url.port) == ("postgresql+psycopg", "postgresql", 5432)
    assert (url.username, url.password, url.path) == (made["POSTGRES_USER"], SECRET, f"/{made['POSTGRES_DB']}")
    assert all("postgresql" in TWIN[name]["depends_on"] for name in urls)
    assert "[postgresql]" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TWIN)
def test_its_settings_are_settings(name: str) -> None:
    made = settings(name)
    assert made.broker.kind == "outside"
    assert made.broker.host in SERVICES
    assert made.broker.tls
    assert made.broker.user == (name if name in ("engine", "web", "simulators") else "ingest")
    assert made.broker.password.get_secret_value() == SECRET
    assert str(made.data) == "/data"


@pytest.mark.parametrize("name", TWIN)
def test_its_command_is_one(name: str) -> None:
    assert f"gaoxin {' '.join(TWIN[name]['command'])}" in commands()


def test_no_secret_is_in_a_file_and_each_is_in_the_guide() -> None:
    known = {env_name(key) for key in SECRETS} | {"DOCKER_INFLUXDB_INIT_PASSWORD", "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"}
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if variable in known or "PASSWORD" in variable or "TOKEN" in variable:
                secret = re.sub(r"^[\w+]+://\w+:(.*)@[\w:/]+$", r"\1", value)  # that of a URL stands before its host
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", secret), variable
    wanted = set(re.findall(r"\$\{(\w+)", TEXT))
    named = set(re.findall(r"^    (\w+)=", ENGINEERS, flags=re.M))
    assert wanted <= named
    assert not any(name.startswith(PREFIX) for name in wanted), "read by every gaoxin command as a setting"
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert {"/.env", "/keys/"} <= set(ignored)


def test_no_setting_is_misspelt_anywhere() -> None:
    known = {env_name(key) for key in fields()}
    for file in ("compose.yaml", "Dockerfile"):
        assert set(re.findall(rf"{PREFIX}\w+", (ROOT / file).read_text(encoding="utf-8"))) <= known


def test_each_worker_has_its_own_name_and_disk() -> None:
    workers = [name for name in TWIN if TWIN[name]["command"] == ["ingest"]]
    assert len(workers) == 2
    assert [settings(name).ingest.worker for name in workers] == workers
    assert all(settings(name).ingest.shared for name in workers)
    disks = [source for name in workers for source, target in mounts(TWIN[name]) if target == "/data"]
    assert disks == workers


@pytest.mark.parametrize("name", SERVICES)
def test_what_it_mounts_is_there(name: str) -> None:
    for source, _ in mounts(SERVICES[name]):
        if not source.startswith("."):
            assert source in COMPOSE["volumes"]
        elif not source.startswith("./keys"):  # made by the guide's commands
            assert (ROOT / source).is_file()
    if name in TWIN:
        assert str(settings(name).broker.ca) in [target for _, target in mounts(SERVICES[name])]


def test_the_broker_is_given_what_its_files_name() -> None:
    conf = (ROOT / "ingest" / "mosquitto" / "mosquitto.conf").read_text(encoding="utf-8")
    given = [target for _, target in mounts(SERVICES["mosquitto"])]
    for path in re.findall(r"^\w+ (/\S+)", conf, flags=re.M):
        assert any(path == target or path.rstrip("/").startswith(target) for target in given), path
    assert f"listener {settings('web').broker.port}\n" in conf


@pytest.mark.parametrize("name", TWIN)
def test_its_health_is_asked_where_it_answers(name: str) -> None:
    made = settings(name)
    [url] = re.findall(r"http://[^']+", " ".join(TWIN[name]["healthcheck"]["test"]))
    asked = urlsplit(url)
    assert asked.port == (made.web.port if name == "web" else made.monitor.port)
    assert asked.path in ("/healthz", "/readyz")
    assert asked.path == "/healthz" or name != "simulators", "the simulators have no /readyz"
    assert made.web.host == "0.0.0.0" or name != "web"


@pytest.mark.parametrize("name", SERVICES)
def test_it_can_be_left_alone(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"]["max-size"]
    assert service["cap_drop"] == ["ALL"]
    assert "healthcheck" in service
    assert "privileged" not in service
    assert re.search(r":\d+(\.\d+){1,2}$", service["image"]), "an exact version"
    for other, how in service.get("depends_on", {}).items():
        assert other in SERVICES
        assert how == {"condition": "service_healthy"}


def test_the_image_does_not_run_as_root_and_hands_over_its_volumes() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (.*)", dockerfile, flags=re.M)[-1] == "gaoxin"
    made = re.search(r"install -d -o gaoxin -g gaoxin (.*)", dockerfile)
    assert made is not None
    for name in TWIN:
        named = {target for source, target in mounts(TWIN[name]) if source in COMPOSE["volumes"]}
        assert named <= set(made[1].split())


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_dependency_is_pinned() -> None:
    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", re.split(r"[\[=<>]", name)[0]).lower()

    pinned = {plain(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()}
    project = PROJECT["project"]
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    wanted = {plain(one) for one in project["dependencies"] + extras}
    assert wanted <= pinned


def test_the_package_holds_every_file_it_reads() -> None:
    """What is no module must be named in package-data, or the image lacks it. Files not tracked do not count."""
    tools = PROJECT["tool"]["setuptools"]
    packages = [name.rstrip("*") for name in tools["packages"]["find"]["include"]]
    held = {f for name, patterns in tools["package-data"].items() for p in patterns for f in (ROOT / name).glob(p)}
    tracked = subprocess.run(["git", "ls-files", "-z", *packages], cwd=ROOT, capture_output=True, text=True, check=True)
    missing = [
        f for f in tracked.stdout.split("\0") if f and not f.endswith((".py", "/.npmrc")) and ROOT / f not in held
    ]
    assert missing == []


def test_the_image_is_given_what_the_package_is_made_of() -> None:
    given = re.findall(r"^!(.*)", (ROOT / ".dockerignore").read_text(encoding="utf-8"), flags=re.M)
    packages = [name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]]
    assert set(given) == {"pyproject.toml", "constraints.txt", PROJECT["project"]["readme"], *packages}
