-- Dark current calibrations.

SET VARIABLE mica_lake_dark_cal_image = files_by_day('dark_cal_image');

-- A row per calibration: dark_id, time (CXC seconds), date, ccd_temp (°C), a column for each scalar property that one of them
-- has, and all its properties as JSON.
CREATE OR REPLACE TEMP VIEW dark_cal AS
    SELECT * FROM read_parquet(files_of('dark_cal'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO dark_cal_files(start, stop) AS
    if_in_order(start, stop, files_of('dark_cal'));

CREATE OR REPLACE TEMP MACRO dark_cal_image_files(start, stop) AS
    files_between('dark_cal_image', getvariable('mica_lake_dark_cal_image'), start, stop);

-- The images: a row per pixel, with row and col from -512 to 511 and value in e-/s.
CREATE OR REPLACE TEMP VIEW dark_cal_image AS
    SELECT * FROM read_parquet(dark_cal_image_files(0.0, 6.3e9), hive_partitioning = false);

-- One image; no rows if there is none.
--     SELECT max(value) FROM dark_image('2019155')
CREATE OR REPLACE TEMP MACRO dark_image(id) AS TABLE
    SELECT *
    FROM read_parquet(
        dark_cal_image_files(
            day_start(coalesce(try_strptime(id, '%Y%j')::DATE - DATE '1998-01-01', 0)),
            day_start(coalesce(try_strptime(id, '%Y%j')::DATE - DATE '1998-01-01', 0) + 1)
        ),
        hive_partitioning = false
    )
    WHERE dark_id = id;

-- Factor from the dark current at a temperature t to that at another, ref, in °C: it halves about every 8 degrees.
CREATE OR REPLACE TEMP MACRO dark_temp_scale(t, ref := -19.0) AS pow(1 / 0.7, (ref - t) / 4);

-- How many pixels of a calibration are warmer than a value in e-/s: a row for each value that a pixel has, and for 2^(n/8),
-- n from -80 to 160, sorted by value.
CREATE OR REPLACE TEMP VIEW dark_cal_distribution AS
    SELECT * FROM read_parquet(files_of('dark_cal_distribution'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO dark_cal_distribution_files(start, stop) AS
    if_in_order(start, stop, files_of('dark_cal_distribution'));

-- The temperatures between which the calibrations lie.
SET VARIABLE mica_lake_dark_cal_ccd_temp = (
    SELECT {'coldest': coalesce(min(ccd_temp), 0), 'warmest': coalesce(max(ccd_temp), 0)} FROM dark_cal
);

-- The factors by which the calibrations are scaled to a temperature lie between these.
CREATE OR REPLACE TEMP MACRO dark_cal_least_scale(ref) AS
    least(1, dark_temp_scale(getvariable('mica_lake_dark_cal_ccd_temp')['warmest'], ref));
CREATE OR REPLACE TEMP MACRO dark_cal_most_scale(ref) AS
    greatest(1, dark_temp_scale(getvariable('mica_lake_dark_cal_ccd_temp')['coldest'], ref));

-- The nearest that a pixel can have, of those that a pixel can have.
CREATE OR REPLACE TEMP MACRO as_float(value) AS
    greatest(least(value::DOUBLE, 3.4028234e38), -3.4028234e38)::FLOAT;

-- For each calibration, how many pixels are warmer than a threshold in e-/s and which fraction of them all that is: as they
-- were observed, and scaled to a temperature of ref °C. The number is that of the highest level that is not above the
-- threshold; there is one within a factor of 1.1 below it, so that only levels near the threshold are read.
--     FROM warm_pixels(100)
--     SELECT date, fraction_ref FROM warm_pixels(100, ref := -10)
CREATE OR REPLACE TEMP MACRO warm_pixels(threshold, ref := -19.0) AS TABLE
    SELECT
        calibration.dark_id,
        calibration.time,
        calibration.date,
        calibration.ccd_temp,
        min(level.warmer) FILTER (level.value <= as_float(threshold)) AS n_warm,
        min(level.warmer) FILTER (level.value <= as_float(threshold)) / 1048576 AS fraction,
        min(level.warmer) FILTER (level.value <= calibration.unscaled) AS n_warm_ref,
        min(level.warmer) FILTER (level.value <= calibration.unscaled) / 1048576 AS fraction_ref
    FROM (
        SELECT dark_id, time, date, ccd_temp, threshold / dark_temp_scale(ccd_temp, ref) AS unscaled FROM dark_cal
    ) AS calibration
    LEFT JOIN (
        SELECT time, value, warmer
        FROM read_parquet(files_of('dark_cal_distribution'), hive_partitioning = false)
        WHERE value BETWEEN CASE
            WHEN threshold / dark_cal_most_scale(ref) > 0.002
                THEN least(as_float(threshold), threshold / dark_cal_most_scale(ref), 1e6) / 1.1
            ELSE '-inf'::FLOAT
        END
        AND greatest(
            as_float(threshold), threshold / dark_cal_least_scale(ref), threshold / dark_cal_most_scale(ref)
        )
    ) AS level ON level.time = calibration.time
    GROUP BY ALL
    ORDER BY calibration.time;
