#!/bin/sh
# Debian's qgis_process hands the desktop's options of /etc/default/qgis (--noversioncheck) to a program that takes
# them for a command, so that every call of it fails. Where that is so, and only there, clear them for qgis_process;
# the desktop keeps them.
set -eu

settings=${1:-/etc/default/qgis}
export QT_QPA_PLATFORM="${QT_QPA_PLATFORM:-offscreen}"

command -v qgis_process >/dev/null 2>&1 || exit 0
qgis_process --version >/dev/null 2>&1 && exit 0
grep -q noversioncheck "$settings" 2>/dev/null || exit 0
grep -qF "*qgis_process)" "$settings" && exit 0

line='case "$0" in *qgis_process) QGIS_OPTS= ;; esac  # qgis_process refuses options of the desktop'
as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
# An empty $as_root must vanish.
# shellcheck disable=SC2086
if printf '%s\n' "$line" | $as_root tee -a "$settings" >/dev/null 2>&1; then
    echo "mended $settings: qgis_process no longer gets the desktop's --noversioncheck, with which each call failed"
else
    echo "note: qgis_process of this system fails whatever it is asked. Call qgis_process.bin, or append to $settings:"
    echo "  $line"
fi
