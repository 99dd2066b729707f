-- Where the lake is, and which generation of its catalog holds.
--
-- In DuckDB started in the lake's directory:    .read mica_lake.sql
-- From anywhere else:                           SET VARIABLE mica_lake = '/path/of/the/lake';
--                                               .read /path/of/the/lake/mica_lake.sql
-- Where MICA_LAKE is set, at the command line:  duckdb -init $MICA_LAKE/mica_lake.sql
-- Read it again to see what was ingested since.

SET VARIABLE mica_lake = coalesce(getvariable('mica_lake'), '.');

SET VARIABLE mica_lake_catalog = (
    SELECT
        CASE
            WHEN count(*) = 0 THEN error(
                'no mica lake at ' || getvariable('mica_lake')
                || ': start DuckDB in the lake, set MICA_LAKE to it, or SET VARIABLE mica_lake = ''/path/of/the/lake'' and read this again'
            )
            ELSE catalog_folder() || '/' || coalesce(
                getvariable('mica_lake_generation'),
                (
                    SELECT
                        CASE
                            WHEN regexp_matches(content::VARCHAR, '^\d{8}( |\\x0A|$)') THEN (content::VARCHAR)[:8]
                            ELSE error(
                                'the catalog is damaged (' || filename || '): run ''mica-lake reindex --lake '
                                || getvariable('mica_lake') || ''''
                            )
                        END
                    FROM read_blob(current_file())
                )
            )
        END
    FROM glob(current_file())
);
