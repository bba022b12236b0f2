"""``python -m secateur`` is equivalent to ``secateur``."""

from secateur.commands.compress import main

main()
