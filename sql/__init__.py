"""The SQL of the lake: one file per product, and `times.sql` and `lake.sql` that all others stand on."""
