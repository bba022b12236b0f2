"""The console commands, one module each, and what they share before any heavy imports."""
