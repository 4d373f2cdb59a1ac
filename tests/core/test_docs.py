"""The docs cannot lie: what they name exists, and what exists they name."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from dashboards.cli import app
from docs import tables
from ingest.decode import Decoder, Reason
from tests.zone import PREFIX, SMALL, T0, topic
from twin.registry import read

DOCS = Path(tables.__file__).parent
ENGINEERS = (DOCS / "engineers.md").read_text(encoding="utf-8")
INTEGRATORS = (DOCS / "integrators.md").read_text(encoding="utf-8")
README = (DOCS.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", tables.TABLES)
def test_the_tables_are_what_the_code_says(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert tables.current(text, tables.TABLES[page]) == text, "run: python -m docs.tables"


@pytest.mark.parametrize("page", tables.DIAGRAMS)
def test_the_diagrams_are_what_the_code_says(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert tables.drawn(text, tables.DIAGRAMS[page]) == text, "run: python -m docs.tables"


def commands() -> set[str]:
    found = set()
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        found |= {f"gaoxin {name} {i}" for i in inner} if inner else {f"gaoxin {name}"}
    return found


def test_every_command_is_documented_and_no_other() -> None:
    documented = set(re.findall(r"^\| `(gaoxin [a-z ]+)` \|", ENGINEERS, flags=re.M))
    assert documented == commands()


def test_every_make_target_named_exists() -> None:
    makefile = (DOCS.parent / "Makefile").read_text(encoding="utf-8")
    for text in (README, ENGINEERS):
        for target in re.findall(r"(?:`|^    )make ([a-z]+)\b", text, flags=re.M):
            assert re.search(rf"^{target}:", makefile, flags=re.M), target


def test_every_reason_is_documented() -> None:
    assert all(f"`{r.name.lower()}`" in INTEGRATORS for r in Reason)


def test_every_link_and_picture_of_the_pages_is_there() -> None:
    for page in (DOCS.parent / "README.md", *DOCS.glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_registry_in_the_docs_is_one(tmp_path: Path) -> None:
    found = re.search(r"```json\n(.*?)```", INTEGRATORS, flags=re.S)
    assert found is not None
    (tmp_path / "devices.json").write_text(found[1], encoding="utf-8")
    assert len(read(tmp_path / "devices.json")) == 2


def test_the_message_in_the_docs_is_taken_in() -> None:
    found = re.search(r"`(\{\"at\": .*?\"seq\": 17\})`", INTEGRATORS)
    assert found is not None
    decoded = Decoder(SMALL, prefix=PREFIX).decode(topic("td-1"), found[1].encode(), T0)
    assert len(decoded.observations) == 1
    assert decoded.rejections == []
