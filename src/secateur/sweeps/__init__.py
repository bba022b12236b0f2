"""Multiruns: which jobs are left to run, where they run, and the outcome of each."""
