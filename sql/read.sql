-- What somebody sees who has read this file with DuckDB's shell.

SELECT
    getvariable('mica_lake') AS mica_lake,
    'FROM lake_objects' AS "its views and macros",
    'FROM status' AS "what is in it",
    'FROM lake_columns WHERE table_name = ''aca_l0''' AS "what columns mean";

-- The last statement leaves no rows, which a client that executes this file as one text would have to fetch.
SET VARIABLE mica_lake = getvariable('mica_lake');
