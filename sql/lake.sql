-- Which source files and partitions the lake has, and what its macros need of them.

-- A row per source file known. Its status: 'current', its rows are in the lake; 'superseded', given up for a newer revision;
-- 'refused', between a newer and an older one; 'set aside', it cannot be taken; 'wanted', its rows should be in the lake and
-- are not; 'incomplete', not all of them are. The reason says why.
--     SELECT product, status, count(*) FROM source_file GROUP BY ALL ORDER BY ALL
CREATE OR REPLACE TEMP VIEW source_file AS
    SELECT * FROM read_parquet(table_file('source_file'), hive_partitioning = false);

-- A row per partition: its table, day, slot, path below the lake, rows and bytes.
--     SELECT path FROM partition WHERE table_name = 'aca_l0' AND slot = 3 ORDER BY path
CREATE OR REPLACE TEMP VIEW partition AS
    SELECT * FROM read_parquet(table_file('partition'), hive_partitioning = false);

-- The files of a table by day without slots as a list whose n-th element is that of day n - 1 (1998-01-01 is day 0), or null.
-- A list that a day indexes keeps the planning of a query independent of the archive's length.
CREATE OR REPLACE TEMP MACRO files_by_day(name) AS (
    SELECT list(getvariable('mica_lake') || '/' || file.path ORDER BY day.number)
    FROM (
        SELECT unnest(range(0, max(day_number) + 1)) AS number FROM partition WHERE table_name = name
    ) AS day
    LEFT JOIN (
        SELECT day_number, path FROM partition WHERE table_name = name
    ) AS file ON file.day_number = day.number
);

-- The files of each table that is not by day.
SET VARIABLE mica_lake_files = (
    SELECT map(list(table_name), list(paths))
    FROM (
        SELECT table_name, list(getvariable('mica_lake') || '/' || path ORDER BY day_number, slot) AS paths
        FROM partition
        WHERE NOT is_by_day(table_name)
        GROUP BY table_name
    )
);

-- All files of a table that is not by day; one without rows if there are none, so that an empty answer has the right
-- columns.
CREATE OR REPLACE TEMP MACRO files_of(name) AS
    coalesce(
        getvariable('mica_lake_files')[name],
        [no_rows_file(name)]
    );

-- `it`, or an error if there is no such slot.
CREATE OR REPLACE TEMP MACRO if_a_slot(slot, it) AS
    CASE
        WHEN slot::VARCHAR IN ('0', '1', '2', '3', '4', '5', '6', '7') THEN it
        ELSE error('slot ' || coalesce(slot::VARCHAR, 'null') || ' is not one of 0 to 7')
    END;

-- Those of some files of a table that are of one slot.
CREATE OR REPLACE TEMP MACRO files_of_slot(name, files, slot) AS
    if_a_slot(
        slot,
        coalesce(
            nullif(
                list_filter(files, LAMBDA file: regexp_matches(file, '_' || slot || '_[0-9a-f]+\.parquet$')),
                []
            ),
            [no_rows_file(name)]
        )
    );

-- `it`, or an error if stop is before start.
CREATE OR REPLACE TEMP MACRO if_in_order(start, stop, it) AS
    CASE
        WHEN start <= stop THEN it
        ELSE error(coalesce('stop ' || stop || ' is before start ' || start, 'start or stop is null'))
    END;

-- Those of `files` (from files_by_day) that can have rows from start to stop, both in CXC seconds, after a file without rows:
-- an empty answer has the right columns, too. Day n begins 63.184 s after 86400 n, and later by the leap seconds since 1998;
-- 80 s leave room for those to come, and cost a look into the day before for a query that starts at midnight.
CREATE OR REPLACE TEMP MACRO files_between(name, files, start, stop) AS
    list_transform(
        [[start, stop]],
        LAMBDA t: list_concat(
            [no_rows_file(name)],
            list_filter(
                list_slice(
                    if_in_order(t[1], t[2], files),
                    greatest(floor((least(greatest(t[1], 0), 6.4e9) - 80) / 86400)::INTEGER + 1, 1),
                    greatest(floor((least(greatest(t[2], 0), 6.4e9) - 63.184) / 86400)::INTEGER + 1, 0)
                ),
                LAMBDA file: file IS NOT NULL
            )
        )
    )[1];
