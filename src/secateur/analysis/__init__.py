"""Pictures of a run, made when it runs: the report only embeds them."""
