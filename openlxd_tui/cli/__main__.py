"""``python -m openlxd_tui.cli``: the command line without its installed script."""

from openlxd_tui.cli import main

main()
