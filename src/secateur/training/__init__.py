"""What every training phase shares under Lightning: the module, its optimization, the trainer, and resuming."""
