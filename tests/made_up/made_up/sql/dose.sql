-- The dose that the made-up instrument measured.

SET VARIABLE mica_lake_dose = files_by_day('dose');

-- The files that can have rows from start to stop.
CREATE OR REPLACE TEMP MACRO dose_files(start, stop) AS
    files_between('dose', getvariable('mica_lake_dose'), start, stop);

-- A row per measurement with start <= time <= stop.
--     SELECT time, dose FROM dose_data('2024:002', '2024:003')
CREATE OR REPLACE TEMP MACRO dose_data(start, stop) AS TABLE
    SELECT *
    FROM read_parquet(dose_files(cxcsec(start), cxcsec(stop)), hive_partitioning = false)
    WHERE time BETWEEN cxcsec_or_null(start) AND cxcsec_or_null(stop);
