"""The console commands, one module each, and what they share before anything heavy is imported."""
