"""Benchmarks a user runs: `sae bench faults`. Floor 10."""
