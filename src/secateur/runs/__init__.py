"""One run from its settings to its record: what it starts from, its steps, its figures and its folder."""
