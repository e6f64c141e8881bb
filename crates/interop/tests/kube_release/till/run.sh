#!/bin/sh
settings="$(/opt/enmesh/enmesh env --cookie-file /etc/enmesh/cookie)" || exit 1
eval "$settings"
exec /till/bin/till "$@"
