from pathlib import Path

import pytest

from twin.errors import SettingsError
from twin.settings import SECRETS, env_name, environment, fields, load


def test_defaults_need_no_file() -> None:
    assert load(environ={}).web.port == 8050


def test_the_environment_is_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gaoxin.toml"
    file.write_text('language = "en"\n[web]\nport = 9000\nhost = "0.0.0.0"\n', encoding="utf-8")
    settings = load(file, {"GAOXIN_WEB__PORT": "8123", "GAOXIN_STORE__TOKEN": "s3cret"})
    assert (settings.language, settings.web.port, settings.web.host) == ("en", 8123, "0.0.0.0")
    assert settings.store.token.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"GAOXIN_WEB__PORT": "99999"}, ["web.port", "99999", "65535", "GAOXIN_WEB__PORT"]),
        ({"GAOXIN_WEB__PROT": "1"}, ["GAOXIN_WEB__PROT", "Did you mean GAOXIN_WEB__PORT"]),
        ({"GAOXIN_STORE__KIND": "oracle"}, ["store.kind", "oracle", "duckdb", "influx"]),
        ({"GAOXIN_SIMULATE__SPEED": "fast"}, ["simulate.speed", "fast", "number"]),
    ],
)
def test_a_wrong_environment_is_named(environ: dict[str, str], words: list[str]) -> None:
    with pytest.raises(SettingsError) as error:
        load(environ=environ)
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[web]\nprot = 1\n", ["web.prot", "web.port"]),
        ("[web]\nport = -1\n", ["web.port", "-1"]),
        ("[store]\ntoken = 'hunter2'\n", ["secret", "GAOXIN_STORE__TOKEN"]),
        ("[web\n", ["not valid TOML", "gaoxin.toml"]),
        ("[nowhere]\nx = 1\n", ["nowhere"]),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "gaoxin.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load(file, {})
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml", {})


def test_a_child_process_sees_the_same_settings() -> None:
    settings = load(environ={"GAOXIN_WEB__PORT": "8123", "GAOXIN_BROKER__PASSWORD": "pw", "GAOXIN_DATA": "/x/数据"})
    assert load(environ=environment(settings)) == settings


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in fields().values())
    assert set(fields()) >= SECRETS
    assert env_name("web.port") == "GAOXIN_WEB__PORT"
