"""Pictures of a run: those it leaves when it ends, and those of ``secateur-analyze``; the report embeds them."""
