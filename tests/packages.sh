#!/bin/sh
# The real servers and the browser that the tests drive, from Debian. Does nothing when they are there.
set -eu
PATH="$PATH:/usr/sbin"
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need mosquitto mosquitto
need influxd influxdb
need nginx nginx-light
# Outside PATH, a folder a version
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
need chromium chromium
need node nodejs
need npm npm
fc-list ':lang=zh-cn' 2>/dev/null | grep -q . || missing="$missing fontconfig fonts-noto-cjk"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "the tests need these Debian packages:$missing" >&2
    echo "install them (apt-get install$missing) and run make test again" >&2
    exit 1
fi
echo "installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
# A package must not start a server of its own on this machine
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends $missing >/dev/null
