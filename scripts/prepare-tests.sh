#!/bin/sh
# Install what the live tiers of the tests need, as root on Debian or Ubuntu. OPENLXD_TEST_PREPARE=0 leaves the system
# alone. What is missing elsewhere is skipped by name (or failed, with OPENLXD_REQUIRE_LIVE=1).
set -eu
packages="lxd lxd-client btrfs-progs dnsmasq-base iptables nftables openssh-client tmux php-cli chromium busybox-static squashfs-tools"
say() { printf '%s\n' "$*" >&2; }

[ "${OPENLXD_TEST_PREPARE:-1}" = 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say "Not root on Debian or Ubuntu: tiers that need LXD, Chromium or OpenSSH run only if those are here already."
    exit 0
fi
missing=""
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
say "Installing for the live tests (OPENLXD_TEST_PREPARE=0 would leave the system alone):$missing"
apt-get -q update >/dev/null
offered=""
for package in $missing; do
    candidate=$(LC_ALL=C apt-cache policy "$package" | sed -n 's/^ *Candidate: //p')
    case $candidate in
        "" | "(none)" | 1:0.*) say "This distribution does not offer $package; what needs it is skipped." ;;
        *) offered="$offered $package" ;;
    esac
done
# LXD is not to be started by its package: the tests start one of their own.
# shellcheck disable=SC2086
[ -z "$offered" ] || DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $offered >/dev/null
