"""The committed bundles are what the lock file and the build script make: nobody has edited one by hand."""

import json
import shutil
import subprocess
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "dashboards" / "assets" / "vendor"
MADE = (
    "LICENSES",
    "dayjs-zh-cn.js",
    "echarts.mjs",
    "maplibre-worker.mjs",
    "maplibre.css",
    "maplibre.mjs",
    "swagger-ui.css",
    "swagger-ui.js",
)


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((VENDOR / "package-lock.json").read_text(encoding="utf-8"))
    named = [name for name, package in lock["packages"].items() if "resolved" in package]
    assert named == []
    unsealed = [name for name, package in lock["packages"].items() if name and "integrity" not in package]
    assert unsealed == []


def test_the_build_gives_the_committed_bytes(tmp_path: Path) -> None:
    for name in (".npmrc", "package.json", "package-lock.json", "build.mjs"):
        shutil.copy(VENDOR / name, tmp_path / name)
    for command in (["npm", "ci", "--no-progress"], ["npm", "run", "build"]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    differing = [name for name in MADE if (tmp_path / name).read_bytes() != (VENDOR / name).read_bytes()]
    assert differing == []
