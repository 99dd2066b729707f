-- Dark current calibrations.

SET VARIABLE mica_lake_dark_cal = files_of('dark_cal');
SET VARIABLE mica_lake_dark_cal_image = files_by_day('dark_cal_image', NULL, NULL);

-- A row per calibration: dark_id, time (CXC seconds), date, ccd_temp (°C), a column for each scalar property that one of them
-- has, and all its properties as JSON.
CREATE OR REPLACE TEMP VIEW dark_cal AS
    SELECT * FROM read_parquet(getvariable('mica_lake_dark_cal'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO dark_cal_files(start, stop) AS
    if_in_order(start, stop, getvariable('mica_lake_dark_cal'));

CREATE OR REPLACE TEMP MACRO dark_cal_image_files(start, stop) AS
    files_between('dark_cal_image', getvariable('mica_lake_dark_cal_image'), start, stop);

-- The images: a row per pixel, with row and col from -512 to 511 and value in e-/s, warmest first.
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

-- The coldest calibration: its pixels grow most when they are scaled.
SET VARIABLE mica_lake_dark_cal_coldest = (SELECT min(ccd_temp) FROM dark_cal);

-- For each calibration, how many pixels are warmer than a threshold in e-/s and which fraction of them all that is: as they
-- were observed, and scaled to a temperature of ref °C.
--     FROM warm_pixels(100)
CREATE OR REPLACE TEMP MACRO warm_pixels(threshold, ref := -19.0) AS TABLE
    SELECT
        calibration.dark_id,
        calibration.time,
        calibration.date,
        calibration.ccd_temp,
        count(pixel.value) FILTER (pixel.value > threshold) AS n_warm,
        n_warm / 1048576 AS fraction,
        count(pixel.value) FILTER (pixel.value * dark_temp_scale(calibration.ccd_temp, ref) > threshold) AS n_warm_ref,
        n_warm_ref / 1048576 AS fraction_ref
    FROM dark_cal AS calibration
    LEFT JOIN (
        SELECT time, value
        FROM read_parquet(dark_cal_image_files(0.0, 6.3e9), hive_partitioning = false)
        -- The pixels of an image lie warmest first, so that this reads little of each.
        WHERE value > least(
            threshold, threshold / dark_temp_scale(coalesce(getvariable('mica_lake_dark_cal_coldest'), 0), ref)
        )
    ) AS pixel ON pixel.time = calibration.time
    GROUP BY ALL
    ORDER BY calibration.time;
