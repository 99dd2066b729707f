"""Fetching: what the archive has and the lake lacks is planned, got, filed and ingested."""
