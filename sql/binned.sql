-- Statistics over time of header 3, and of columns and images of ACA level 0: n, mean, min, max, std and midval of the good
-- values of each bin, for each day also percentiles. Bins begin at multiples of 328 s and of 86400 s in CXC seconds, and TIME is
-- the middle of a bin; a bin without good values has no row.

-- A row per pseudo-MSID and bin of 328 s: n, mean, min, max, std and midval of its good values.
--     SELECT TIME, mean FROM hdr3_5min WHERE msid = 'ccd_temp' ORDER BY TIME
CREATE OR REPLACE TEMP VIEW hdr3_5min AS
    SELECT * FROM read_parquet(files_of('hdr3_5min'), hive_partitioning = false);

-- A row per pseudo-MSID and day: n, mean, min, max, std, midval and percentiles of its good values.
--     SELECT TIME, mean, min, max FROM hdr3_daily WHERE msid = 'ccd_temp' ORDER BY TIME
CREATE OR REPLACE TEMP VIEW hdr3_daily AS
    SELECT * FROM read_parquet(files_of('hdr3_daily'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO hdr3_5min_files(start, stop) AS
    if_in_order(start, stop, files_of('hdr3_5min'));

CREATE OR REPLACE TEMP MACRO hdr3_daily_files(start, stop) AS
    if_in_order(start, stop, files_of('hdr3_daily'));

-- A row per slot, image size, msid and bin of 328 s; msid is a column of aca_l0, or IMGSUM, IMGMAX, IMGROW and IMGCOL of its
-- images.
--     SELECT TIME, mean FROM slot_5min WHERE msid = 'TEMPCCD' AND slot = 3 AND imgsize = 6 ORDER BY TIME
CREATE OR REPLACE TEMP VIEW slot_5min AS
    SELECT * FROM read_parquet(files_of('slot_5min'), hive_partitioning = false);

-- A row per slot, image size, msid and day, with percentiles; msid is as in slot_5min.
--     SELECT TIME, mean, p95 FROM slot_daily WHERE msid = 'BGDAVG' AND slot = 3 AND imgsize = 6 ORDER BY TIME
CREATE OR REPLACE TEMP VIEW slot_daily AS
    SELECT * FROM read_parquet(files_of('slot_daily'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO slot_5min_files
    (start, stop, slot) AS files_of_slot('slot_5min', if_in_order(start, stop, files_of('slot_5min')), slot),
    (start, stop) AS if_in_order(start, stop, files_of('slot_5min'));

CREATE OR REPLACE TEMP MACRO slot_daily_files
    (start, stop, slot) AS files_of_slot('slot_daily', if_in_order(start, stop, files_of('slot_daily')), slot),
    (start, stop) AS if_in_order(start, stop, files_of('slot_daily'));
