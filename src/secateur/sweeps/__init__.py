"""Many runs: what is left to do of them, where they run, and what became of each."""
