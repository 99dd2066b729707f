-- Observation parameters.

-- A row per observation and revision, a typed column for each parameter that one of them has. `WHERE isdefault` has each
-- observation once.
--     SELECT detector, count(*) FROM obspar WHERE isdefault GROUP BY ALL
CREATE OR REPLACE TEMP VIEW obspar AS
    SELECT * FROM read_parquet(files_of('obspar'), hive_partitioning = false);

-- A row per parameter as the files have it: name, type (s, i, r), value as text, number, description.
--     SELECT name, value, description FROM obspar_kv WHERE obsid = 16505 AND isdefault ORDER BY number
CREATE OR REPLACE TEMP VIEW obspar_kv AS
    SELECT * FROM read_parquet(files_of('obspar_kv'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO obspar_files(start, stop) AS
    if_in_order(start, stop, files_of('obspar'));

CREATE OR REPLACE TEMP MACRO obspar_kv_files(start, stop) AS
    if_in_order(start, stop, files_of('obspar_kv'));

-- The rows of obspar_kv of the observations that began in one year.
--     SELECT value, count(*) FROM obspar_kv_of_year(2012) WHERE name = 'detector' AND isdefault GROUP BY ALL
CREATE OR REPLACE TEMP MACRO obspar_kv_of_year(year) AS TABLE
    SELECT *
    FROM read_parquet(
        list_concat(
            [no_rows_file('obspar_kv')],
            list_filter(files_of('obspar_kv'), LAMBDA file: contains(file, '/obspar_kv/' || year || '/'))
        ),
        hive_partitioning = false
    );
