-- The lake that the environment's MICA_LAKE names, where DuckDB is in no lake and lets us see it, as its command line does.

SET VARIABLE mica_lake_query = (
    SELECT CASE WHEN count(*) > 0 THEN 'SELECT nullif(getenv(''MICA_LAKE''), '''') AS root' ELSE 'SELECT NULL AS root' END
    FROM duckdb_functions()
    WHERE function_name = 'getenv'
);
SET VARIABLE mica_lake = coalesce(getvariable('mica_lake'), '.');
SET VARIABLE mica_lake = (
    SELECT
        CASE
            WHEN getvariable('mica_lake') = '.' AND count(*) = 0
                THEN coalesce((SELECT root FROM query(getvariable('mica_lake_query'))), '.')
            ELSE getvariable('mica_lake')
        END
    FROM glob(current_file())
);
