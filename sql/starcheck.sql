-- Load reviews (starcheck), and what ran of the loads.

-- A row per load: its folder mp_dir (/2015/MAY1815/oflsb/), its name (MAY1815B), when its report was written.
CREATE OR REPLACE TEMP VIEW starcheck_load AS
    SELECT * FROM read_parquet(files_of('starcheck_load'), hive_partitioning = false);

-- A row per observation of a load, as planned: attitude, target, instrument, dither, time of the star catalog.
CREATE OR REPLACE TEMP VIEW starcheck AS
    SELECT * FROM read_parquet(files_of('starcheck'), hive_partitioning = false);

-- A row per entry of a star catalog, as planned.
--     SELECT slot, type, id, mag FROM starcheck_catalog WHERE obsid = 8008 ORDER BY idx
CREATE OR REPLACE TEMP VIEW starcheck_catalog AS
    SELECT * FROM read_parquet(files_of('starcheck_catalog'), hive_partitioning = false);

-- A row per maneuver to an observation, as planned.
CREATE OR REPLACE TEMP VIEW starcheck_manvr AS
    SELECT * FROM read_parquet(files_of('starcheck_manvr'), hive_partitioning = false);

-- A row per finding of the checks of a load.
CREATE OR REPLACE TEMP VIEW starcheck_warning AS
    SELECT * FROM read_parquet(files_of('starcheck_warning'), hive_partitioning = false);

-- A row per observation with a predicted temperature of the CCD.
CREATE OR REPLACE TEMP VIEW starcheck_pred_temp AS
    SELECT * FROM read_parquet(files_of('starcheck_pred_temp'), hive_partitioning = false);

-- A row per observation that ran, in time order. mp_dir is null if it was commanded from no load.
CREATE OR REPLACE TEMP VIEW observation AS
    SELECT * FROM read_parquet(files_of('observation'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO starcheck_load_files(start, stop) AS
    if_in_order(start, stop, files_of('starcheck_load'));
CREATE OR REPLACE TEMP MACRO starcheck_files(start, stop) AS
    if_in_order(start, stop, files_of('starcheck'));
CREATE OR REPLACE TEMP MACRO starcheck_catalog_files(start, stop) AS
    if_in_order(start, stop, files_of('starcheck_catalog'));
CREATE OR REPLACE TEMP MACRO starcheck_manvr_files(start, stop) AS
    if_in_order(start, stop, files_of('starcheck_manvr'));
CREATE OR REPLACE TEMP MACRO starcheck_warning_files(start, stop) AS
    if_in_order(start, stop, files_of('starcheck_warning'));
CREATE OR REPLACE TEMP MACRO starcheck_pred_temp_files(start, stop) AS
    if_in_order(start, stop, files_of('starcheck_pred_temp'));
CREATE OR REPLACE TEMP MACRO observation_files(start, stop) AS
    if_in_order(start, stop, files_of('observation'));

-- The loads in the order in which their reports were written: sc_id is what mica numbers them by.
CREATE OR REPLACE TEMP VIEW starcheck_id AS
    SELECT (row_number() OVER (ORDER BY mtime, mp_dir) - 1)::INTEGER AS sc_id, mp_dir, mtime
    FROM starcheck_load;

-- A row per entry of the star catalogs that ran. obsid is as commanded; planned_obsid differs from it after SCS-107, when
-- the catalogs of a load go on under the last obsid.
--     SELECT slot, type, id, mag FROM star_catalog WHERE obsid = 8008 ORDER BY idx
CREATE OR REPLACE TEMP VIEW star_catalog AS
    SELECT
        observation.obsid,
        observation.obs_start,
        observation.obs_stop,
        observation.tstart,
        starcheck_catalog.obsid AS planned_obsid,
        starcheck_catalog.* EXCLUDE (obsid, load_tstart)
    FROM observation
    JOIN starcheck_catalog
        ON starcheck_catalog.mp_dir = observation.mp_dir
        AND starcheck_catalog.mp_starcat_time = observation.starcat_date;

-- A row per monitor window of the catalogs that ran as planned, in time order.
CREATE OR REPLACE TEMP VIEW monitor_window AS
    SELECT obsid, mp_starcat_time AS mp_starcat_date, type, sz, yang, zang, mp_dir AS dir
    FROM star_catalog
    WHERE type = 'MON' AND planned_obsid = obsid
    ORDER BY mp_starcat_time, mp_dir, obs_idx, idx;

-- The stars to be acquired in the catalogs that ran, each with what came of it; null where there are no statistics of it.
--     SELECT floor(mag * 2) / 2 AS bin, avg(acqid::INT) FROM star_catalog_acq WHERE acqid IS NOT NULL GROUP BY bin ORDER BY bin
CREATE OR REPLACE TEMP VIEW star_catalog_acq AS
    SELECT star_catalog.*, acq_stats.* EXCLUDE (obsid, slot, idx, type, yang, zang, halfw, mag)
    FROM star_catalog
    LEFT JOIN acq_stats
        ON acq_stats.obsid = star_catalog.obsid
        AND acq_stats.slot = star_catalog.slot
        AND acq_stats.agasc_id = star_catalog.id
    WHERE star_catalog.type IN ('ACQ', 'BOT');

-- The stars and fid lights to be tracked in the catalogs that ran, each with what came of it.
CREATE OR REPLACE TEMP VIEW star_catalog_guide AS
    SELECT star_catalog.*, guide_stats.* EXCLUDE (obsid, slot, idx, type, yang, zang, sz, mag)
    FROM star_catalog
    LEFT JOIN guide_stats
        ON guide_stats.obsid = star_catalog.obsid
        AND guide_stats.slot = star_catalog.slot
        AND (guide_stats.agasc_id = star_catalog.id OR star_catalog.type = 'FID')
    WHERE star_catalog.type IN ('GUI', 'BOT', 'FID');
