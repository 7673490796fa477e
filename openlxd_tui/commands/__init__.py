"""The commands of both doors: ``ssh openlxd@HOST COMMAND`` and the ``openlxd`` program.

``table`` declares each command once, a module beside it holds what it does, ``arguments`` the options that several
share. ``call`` is the port through which a command reaches the core and prints; ``parsing`` reads words through
cyclopts, ``help`` and ``mistakes`` word what cyclopts would say in English only.
"""
