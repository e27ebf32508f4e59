#!/usr/bin/env bash
# What happens to the line between a sub-centre of `make demo-city` and its centre.
#   city-link.sh cut N    connections end and none can be made
#   city-link.sh hole N   nothing arrives any more, and nobody is told
#   city-link.sh slow N   64 kbit/s
#   city-link.sh heal N   a good line again
set -euo pipefail
cd "$(dirname "$0")/../.."
usage() { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
[[ $# = 2 && $1 =~ ^(cut|hole|slow|heal)$ && $2 =~ ^[0-9]+$ ]] || usage
control=demo-city-data/control
[ -s "$control" ] || { echo 'city-link: make demo-city does not run' >&2; exit 1; }
address=$(cat "$control")
exec 3<>"/dev/tcp/${address%:*}/${address##*:}" || { echo "city-link: nobody answers at $address" >&2; exit 1; }
echo "$1 $2" >&3
read -r answer <&3
echo "city-link: $answer"
[[ $answer == ok* ]]
