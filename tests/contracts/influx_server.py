"""A real InfluxDB 1.6 behind nginx, which gives it the write path of the later versions."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.servers import free_port, listens, wait_until


class Address(NamedTuple):
    url: str
    org: str
    bucket: str
    token: str


class InfluxServer:
    """InfluxDB and its nginx in `folder`; `stop` and `start` InfluxDB alone to have nginx answer 502."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.rpc, self.front = folder, free_port(), free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.address = Address(f"http://127.0.0.1:{self.front}", "gaoxin", "gaoxin/autogen", "user:password")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "influxdb.conf").write_text(
            f"""reporting-disabled = true
bind-address = "127.0.0.1:{self.rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{self.port}"
  log-enabled = false
""",
            encoding="utf-8",
        )
        (folder / "nginx.conf").write_text(
            ("user root;\n" if os.geteuid() == 0 else "")  # else its workers may not read this folder
            + f"""daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{}}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 4m; proxy_request_buffering off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  map $arg_bucket $database {{ ~^(?<db>[^/%]+)(%2F|/) $db; default $arg_bucket; }}
  map $arg_bucket $policy {{ ~(%2F|/)(?<rp>.+)$ $rp; default autogen; }}
  map $http_authorization $account {{ "~^Token (?<u>[^:]+):(?<p>.+)$" u=$u&p=$p; default ""; }}
  server {{
    listen 127.0.0.1:{self.front};
    location = /api/v2/write {{
      set $target /write?db=$database&rp=$policy&precision=$arg_precision&$account;
      proxy_set_header Authorization ""; proxy_pass http://127.0.0.1:{self.port}$target;
    }}
    location / {{ proxy_set_header Authorization ""; proxy_pass http://127.0.0.1:{self.port}; }}
  }}
}}
""",
            encoding="utf-8",
        )

    def start(self) -> None:
        log = (self.folder / "influxd.log").open("ab")
        self.process = subprocess.Popen(
            ["/usr/bin/influxd", "-config", str(self.folder / "influxdb.conf")], stdout=log, stderr=log
        )
        wait_until(lambda: listens(self.port), "InfluxDB listens")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None


@contextlib.contextmanager
def influx_behind_nginx(folder: Path) -> Iterator[InfluxServer]:
    server = InfluxServer(folder)
    server.start()
    nginx = subprocess.Popen(["/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        wait_until(lambda: listens(server.front), "nginx listens")
        yield server
    finally:
        nginx.terminate()
        nginx.wait(10)
        server.stop()
