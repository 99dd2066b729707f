-- The archive's own list of ACA level 0 files.

-- A row per file that the archive has: its name without .gz, slot, revision, start in CXC seconds; and what else the list says.
CREATE OR REPLACE TEMP VIEW aca0_list AS
    SELECT * FROM read_parquet(files_of('aca0_list'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO aca0_list_files(start, stop) AS
    if_in_order(start, stop, files_of('aca0_list'));

-- The files that the archive has and the lake does not know, whatever became of those that it knows.
--     SELECT day, slot, count(*) FROM aca_l0_missing GROUP BY ALL ORDER BY ALL
CREATE OR REPLACE TEMP VIEW aca_l0_missing AS
    SELECT utc_day(tstart) AS day, aca0_list.*
    FROM aca0_list
    WHERE slot IS NOT NULL
        AND filename NOT IN (
            SELECT regexp_replace(source_file.filename, '\.gz$', '') FROM source_file WHERE product = 'aca_l0'
        )
    ORDER BY tstart, slot, filename;
