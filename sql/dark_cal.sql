-- Dark current calibrations.

SET VARIABLE mica_lake_dark_cal_image = files_by_day('dark_cal_image');

-- A row per calibration: dark_id, time (CXC seconds), date, ccd_temp (°C), a column for each scalar property that one of them
-- has, and all its properties as JSON.
--     SELECT dark_id, date, ccd_temp FROM dark_cal ORDER BY time
CREATE OR REPLACE TEMP VIEW dark_cal AS
    SELECT * FROM read_parquet(files_of('dark_cal'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO dark_cal_files(start, stop) AS
    if_in_order(start, stop, files_of('dark_cal'));

CREATE OR REPLACE TEMP MACRO dark_cal_image_files(start, stop) AS
    files_between('dark_cal_image', getvariable('mica_lake_dark_cal_image'), start, stop);

-- The dark current images: a row per pixel, with row and col from -512 to 511 and value in e-/s.
--     SELECT dark_id, median(value) FROM dark_cal_image GROUP BY ALL
CREATE OR REPLACE TEMP VIEW dark_cal_image AS
    SELECT * FROM read_parquet(dark_cal_image_files(0.0, 6.3e9), hive_partitioning = false);

-- One dark current image, a row per pixel; no rows if there is none.
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
--     SELECT dark_temp_scale(-11, ref := -15)
CREATE OR REPLACE TEMP MACRO dark_temp_scale(t, ref := -19.0) AS pow(1 / 0.7, (ref - t) / 4);

-- How many pixels of a calibration are warmer than a value in e-/s: a row for each value that a pixel has, and for 2^(n/8),
-- n from -80 to 160, sorted by value.
--     SELECT value, warmer FROM dark_cal_distribution WHERE dark_id = '2019155' ORDER BY value
CREATE OR REPLACE TEMP VIEW dark_cal_distribution AS
    SELECT * FROM read_parquet(files_of('dark_cal_distribution'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO dark_cal_distribution_files(start, stop) AS
    if_in_order(start, stop, files_of('dark_cal_distribution'));

-- The temperatures between which the calibrations lie.
SET VARIABLE mica_lake_dark_cal_ccd_temp = (
    SELECT {'coldest': coalesce(min(ccd_temp), 0), 'warmest': coalesce(max(ccd_temp), 0)} FROM dark_cal
);

-- The least of the factors by which the calibrations are scaled to a temperature.
CREATE OR REPLACE TEMP MACRO dark_cal_least_scale(ref) AS
    least(1, dark_temp_scale(getvariable('mica_lake_dark_cal_ccd_temp')['warmest'], ref));
-- The greatest of them.
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

-- The dark current model, fitted to calibrations at -14 °C: mica_lake.archive.aca_dark.dark_model. Its 74 bins, numbered from 0,
-- lie between 2 * 10^(n / 20) e-/s, n from 0 to 74.

-- The model's parameters: exponents g1, g2, g3, between which it changes at x_b and 1000 e-/s, and ampl, the pixels of a bin at
-- 50 e-/s, before smoothing. They change linearly with time from 2012 on, given in years, and at another rate before.
CREATE OR REPLACE TEMP MACRO dark_model_pars(years) AS {
    'g1': 0.075 + CASE WHEN years < 0 THEN -0.00692 ELSE -0.0207 END * years,
    'g2': 3.32 + CASE WHEN years < 0 THEN 0.0203 ELSE 0 END * years,
    'g3': 2.40 + 0.061 * years,
    'x_b': 192 + 0.1 * years,
    'ampl': 18400 + CASE WHEN years < 0 THEN 1450 ELSE 742 END * years
};
-- Years since 2012 of CXC seconds.
CREATE OR REPLACE TEMP MACRO dark_model_years(secs) AS
    list_transform(
        [year(utc_day(secs))],
        LAMBDA y: list_transform(
            [list_transform([y, y + 1], LAMBDA each: list_transform([date_diff('day', DATE '1998-01-01', make_date(each, 1, 1))], LAMBDA day: day_start(day))[1])],
            LAMBDA starts: y - 2012 + (secs - starts[1]) / (starts[2] - starts[1])
        )[1]
    )[1];

-- Pixels in each bin of the dark current model, before smoothing.
CREATE OR REPLACE TEMP MACRO dark_model_unsmoothed(pars) AS
    list_transform(
        range(74),
        LAMBDA n: list_transform(
            [pow(10, (2 * n + 1) / 40) / 25],  -- the centre of the bin, in units of 50 e-/s
            LAMBDA x: pars['ampl'] * CASE
                WHEN x < pars['x_b'] / 50 THEN pow(x, -pars['g1'])
                WHEN x < 20 THEN pow(pars['x_b'] / 50, pars['g2'] - pars['g1']) * pow(x, -pars['g2'])
                ELSE pow(pars['x_b'] / 50, pars['g2'] - pars['g1']) * pow(20, pars['g3'] - pars['g2']) * pow(x, -pars['g3'])
            END
        )[1]
    );

-- Pixels in each bin of the dark current model: the mean of the 15 around it, by a Gaussian that is not symmetric.
CREATE OR REPLACE TEMP MACRO dark_model_smoothed(pixels) AS
    list_transform(
        range(74),
        LAMBDA n: list_sum(list_transform(
            range(greatest(n - 7, 0), least(n + 8, 74)),
            LAMBDA m: pixels[m + 1] * exp(-pow((-0.75 + 0.1 * (n + 7 - m)) / 0.3, 2) / 2)
        ))
        / list_sum(list_transform(range(15), LAMBDA j: exp(-pow((-0.75 + 0.1 * j) / 0.3, 2) / 2)))
    );

-- Pixels in each bin of the dark current model at a time, in CXC seconds.
CREATE OR REPLACE TEMP MACRO dark_model_pixels(secs) AS
    list_transform(
        list_transform([dark_model_years(secs)], LAMBDA years: dark_model_pars(years)),
        LAMBDA pars: list_transform([dark_model_unsmoothed(pars)], LAMBDA pixels: dark_model_smoothed(pixels))[1]
    )[1];

-- The pixels above a threshold, given those of the bins, their edges' scale, and in which bin it is. In that bin the logarithm
-- of the threshold counts, to a power that the next bin gives.
CREATE OR REPLACE TEMP MACRO dark_model_warmer(threshold, pixels, scale, n) AS
    list_transform(
        [[ln(threshold), ln(2 * pow(10, (n - 1) / 20) * scale), ln(2 * pow(10, n / 20) * scale), pixels[n + 1]]],
        LAMBDA v: list_transform(
            [ln(v[4] / pixels[n]) / (v[3] - v[2])],
            LAMBDA m: list_sum(list_transform(range(n, 74), LAMBDA k: pixels[k + 1])) + v[4] * (pow(v[3], m) - pow(v[1], m)) / (pow(v[3], m) - pow(v[2], m))
        )[1]
    )[1];

-- The same as warm_fraction, of CXC seconds.
CREATE OR REPLACE TEMP MACRO dark_model_warm_fraction(threshold, secs, t_ccd) AS
    list_transform(
        [{'threshold': threshold::DOUBLE, 'secs': secs, 'scale': dark_temp_scale(-14.0, t_ccd)}],
        LAMBDA given: list_transform(
            [{
                'pixels': dark_model_pixels(given['secs']),
                'n': list_sum(list_transform(
                    range(75), LAMBDA n: (2 * pow(10, n / 20) * given['scale'] < given['threshold'])::INTEGER
                ))::INTEGER
            }],
            LAMBDA model: CASE
                WHEN model['pixels'][1] <= 0 THEN NULL  -- in 1999, before the model begins
                WHEN given['threshold'] = 2 * given['scale'] THEN list_sum(model['pixels']) / 1048576
                WHEN model['n'] BETWEEN 1 AND 73 AND 2 * pow(10, (model['n'] - 1) / 20) * given['scale'] > 1
                    THEN dark_model_warmer(given['threshold'], model['pixels'], given['scale'], model['n']) / 1048576
            END
        )[1]
    )[1];

-- Fraction of the pixels that are warmer than a threshold in e-/s at a time t (in any form) and a CCD temperature in °C, by the
-- model; null outside its
-- bins and years. warm_pixels(threshold) has what was measured.
--     SELECT warm_fraction(100, '2030:001', -5)
CREATE OR REPLACE TEMP MACRO warm_fraction(threshold, t, t_ccd) AS
    dark_model_warm_fraction(threshold, cxcsec(t), t_ccd);

-- The model's histogram at a time t (in any form) and a CCD temperature in °C: a row per bin, its edges in e-/s and the number of
-- pixels in it.
--     FROM dark_model_histogram('2030:001', -5)
CREATE OR REPLACE TEMP MACRO dark_model_histogram(t, t_ccd) AS TABLE
    SELECT
        2 * pow(10, n / 20) * dark_temp_scale(-14.0, t_ccd) AS low,
        2 * pow(10, (n + 1) / 20) * dark_temp_scale(-14.0, t_ccd) AS high,
        dark_model_pixels(cxcsec(t))[n + 1] AS pixels
    FROM (SELECT unnest(range(74)) AS n)
    ORDER BY n;

-- For each calibration the fraction of pixels above 100 e-/s at its temperature: as measured and by the model, and their difference.
--     SELECT date, residual FROM warm_fraction_by_dark_cal
CREATE OR REPLACE TEMP VIEW warm_fraction_by_dark_cal AS
    SELECT
        dark_id,
        time,
        date,
        ccd_temp,
        measured,
        modelled,
        measured - modelled AS residual
    FROM (
        SELECT
            dark_id,
            time,
            date,
            ccd_temp,
            warmer / 1048576 AS measured,
            dark_model_warm_fraction(100.0, time, ccd_temp) AS modelled
        FROM dark_cal
        LEFT JOIN (
            -- There is a level within a factor of 1.1 below each value.
            SELECT dark_id, min(warmer) AS warmer
            FROM dark_cal_distribution
            WHERE value BETWEEN 90 AND 100
            GROUP BY dark_id
        ) AS level USING (dark_id)
    )
    ORDER BY time;
