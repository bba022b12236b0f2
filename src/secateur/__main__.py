"""``python -m secateur`` is ``secateur``."""

from secateur.commands.compress import main

main()
