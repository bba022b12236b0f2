"""What every phase shares under Lightning: the module, its optimization, the trainer, going on where a fit stopped."""
