-- What is in the lake, and what somebody should look at.

-- A row per table: what is in it. Of a table by day, `days` is how many days have rows, and `span` how many there are from the
-- first to the last of these.
--     SELECT table_name, start, stop, rows FROM status
CREATE OR REPLACE TEMP VIEW status AS
    SELECT
        table_name, partitions, current.files, rows, bytes, utc(tstart) AS start, utc(tstop) AS stop, days, span
    FROM (
        SELECT
            table_name,
            count(*) AS partitions,
            sum(rows)::BIGINT AS rows,
            sum(bytes)::BIGINT AS bytes,
            min(tstart) AS tstart,
            max(tstop) AS tstop,
            CASE WHEN is_by_day(table_name) THEN count(DISTINCT day_number) END AS days,
            CASE WHEN is_by_day(table_name) THEN max(day_number) - min(day_number) + 1 END::BIGINT AS span
        FROM partition
        GROUP BY table_name
    ) AS of_table
    LEFT JOIN (
        SELECT product, count(*) AS files FROM source_file WHERE status IN ('current', 'incomplete') GROUP BY product
    ) AS current ON current.product = table_name
    ORDER BY table_name;

-- A row per year and day (of a table by year: per year, doy 1) that a table has rows of.
--     FROM coverage('aca_l0') WHERE slots < 8
CREATE OR REPLACE TEMP MACRO coverage(name) AS TABLE
    SELECT year, doy, day_number, count(slot) AS slots, sum(rows)::BIGINT AS rows, sum(bytes)::BIGINT AS bytes
    FROM partition
    WHERE table_name = name
    GROUP BY year, doy, day_number
    ORDER BY day_number;

-- The source files that somebody should look at.
CREATE OR REPLACE TEMP VIEW file_to_look_at AS
    SELECT filename, status, reason, directory
    FROM source_file
    WHERE status IN ('set aside', 'refused', 'wanted', 'incomplete')
    ORDER BY product, filename, directory;
