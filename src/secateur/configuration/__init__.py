"""What a run is asked: the schema of its config, the checks of it, and what runs are called by it."""
