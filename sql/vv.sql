-- Verification and validation of aspect solutions: residuals of guide stars and fid lights.

-- A row per slot of an observation's revision: medians, means and rms of the residuals. `WHERE isdefault` has each
-- observation once.
--     SELECT utc(tstart), slot, dy_rms, dz_rms FROM vv_rms WHERE obsid = 16505 AND isdefault ORDER BY slot
CREATE OR REPLACE TEMP VIEW vv_rms AS
    SELECT position, obsid, revision, isdefault = 1 AS isdefault, * EXCLUDE (position, obsid, revision, isdefault)
    FROM read_parquet(files_of('vv_rms'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO vv_rms_files(start, stop) AS
    if_in_order(start, stop, files_of('vv_rms'));

-- A row per report: slots is a list of structs, report the whole of it as JSON.
--     SELECT obsid, revision, json_extract(report, '$.sim.max_medf_dy') FROM vv_report WHERE isdefault
CREATE OR REPLACE TEMP VIEW vv_report AS
    SELECT * FROM read_parquet(files_of('vv_report'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO vv_report_files(start, stop) AS
    if_in_order(start, stop, files_of('vv_report'));

-- A row per slot of a report: all that it tells of the slot, with the observation, revision and time.
--     SELECT slot, type, id_status, enc_rad1, enc_rad2 FROM vv_slot WHERE obsid = 16505 AND isdefault
CREATE OR REPLACE TEMP VIEW vv_slot AS
    SELECT obsid, revision, isdefault, tstart, of_slot.*
    FROM (SELECT obsid, revision, isdefault, tstart, unnest(slots) AS of_slot FROM vv_report) AS report;

-- The limits of the residuals of a slot: an absolute value that reaches one is outside. `fid` says of what.
CREATE OR REPLACE TEMP VIEW vv_limit AS
    SELECT fid, name, level, "limit"::DOUBLE AS "limit"
    FROM (
        VALUES
            (true, 'dy_rms', 'bad', 0.05),
            (true, 'dz_rms', 'bad', 0.05),
            (true, 'dy_med', 'bad', 0.4),
            (true, 'dz_med', 'bad', 0.4),
            (true, 'rad_off', 'bad', 0.4),
            (false, 'dy_rms', 'bad', 0.4),
            (false, 'dz_rms', 'bad', 0.4),
            (false, 'rad_off', 'bad', 1.5),
            (false, 'frac_dy_big', 'bad', 0.05),
            (false, 'frac_dz_big', 'bad', 0.05),
            (false, 'frac_mag_big', 'bad', 0.05),
            (false, 'dy_rms', 'warn', 0.25),
            (false, 'dz_rms', 'warn', 0.25)
    ) AS limits (fid, name, level, "limit");

-- The values of slots that are outside the limits: each once, as bad or as to be looked at (warn). A value that is not
-- known (NaN or null, as all samples are masked) is bad.
--     FROM vv_outside WHERE isdefault AND level = 'bad' ORDER BY tstart
CREATE OR REPLACE TEMP VIEW vv_outside AS
    SELECT
        obsid,
        revision,
        isdefault,
        tstart,
        slot,
        type,
        name,
        arg_max(level, "limit") AS level,
        value,
        max("limit") AS "limit"
    FROM (
        SELECT
            obsid, revision, isdefault, tstart, slot, type,
            dy_rms, dz_rms, dy_med, dz_med, rad_off, frac_dy_big, frac_dz_big, frac_mag_big
        FROM vv_rms
    )
    UNPIVOT INCLUDE NULLS (
        value FOR name IN (dy_rms, dz_rms, dy_med, dz_med, rad_off, frac_dy_big, frac_dz_big, frac_mag_big)
    ) AS measured
    JOIN vv_limit USING (name)
    WHERE fid = (type = 'FID') AND NOT coalesce(abs(value) < "limit", false)
    GROUP BY ALL;

-- Mean temperature of the CCD (°C) from start to stop, of the good readouts of all slots; null where there are none.
--     SELECT * FROM mean_ccd_temp('2024:001', '2024:002')
CREATE OR REPLACE TEMP MACRO mean_ccd_temp(start, stop) AS TABLE
    SELECT avg(TEMPCCD) - 273.15 AS celsius
    FROM read_parquet(aca_l0_files(cxcsec(start), cxcsec(stop)), hive_partitioning = false)
    WHERE QUALITY = 0 AND TIME BETWEEN cxcsec_or_null(start) AND cxcsec_or_null(stop);
