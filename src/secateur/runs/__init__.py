"""One run, from its settings to its record: its initial model, its steps, its figures and its folder."""
