"""The SQL of the lake: one file per product, and `lake.sql` and `times.sql` that the others stand on."""
