"""Pictures of a run: those drawn when it finishes, and those of ``secateur-analyze``; the report embeds them."""
