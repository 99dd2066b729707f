"""Statistics of stars computed from telemetry, star catalog and AGASC: arrays in, rows out, no files."""
