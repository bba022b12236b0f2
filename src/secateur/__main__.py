"""``python -m secateur`` is ``secateur``."""

from secateur.compress import main

main()
