"""Simulators of flight archives, for the demo, the tests and the benchmarks."""
