"""Ingest: from the files of the archive to the lake, one module per product."""
