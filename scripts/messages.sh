#!/bin/sh
# Collect the wording from the source, bring the catalogues in line with it, and compile them.
set -eu
cd "$(dirname "$0")/.."
bin=${BIN:-.venv/bin}
locale=openlxd_core/locale
"$bin/pybabel" -q extract -k N_ --no-location --sort-output --omit-header --project OpenLXD \
    -o "$locale/openlxd.pot" openlxd_core openlxd_tui openlxd_api
for language in zh; do
    catalogue=$locale/$language/LC_MESSAGES/openlxd.po
    if [ -f "$catalogue" ]; then
        "$bin/pybabel" -q update --no-fuzzy-matching --ignore-obsolete --omit-header -N \
            -i "$locale/openlxd.pot" -o "$catalogue" -l "$language" 2>/dev/null ||
            "$bin/pybabel" -q update --no-fuzzy-matching --ignore-obsolete -i "$locale/openlxd.pot" -o "$catalogue" -l "$language"
    else
        "$bin/pybabel" -q init -i "$locale/openlxd.pot" -o "$catalogue" -l "$language"
    fi
    "$bin/pybabel" compile -f -i "$catalogue" -o "${catalogue%.po}.mo" --statistics
done
rm -f "$locale/openlxd.pot"
