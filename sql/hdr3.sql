-- Header 3: the pseudo-MSIDs in the 8x8 readouts of the eight slots, derived from aca_l0.

SET VARIABLE mica_lake_hdr3 = files_by_day('hdr3');

-- The files that can have rows from start to stop.
CREATE OR REPLACE TEMP MACRO hdr3_files(start, stop) AS
    files_between('hdr3', getvariable('mica_lake_hdr3'), start, stop);

-- A row per time of 8x8 readouts with start <= TIME <= stop, in time order; a column per pseudo-MSID, null where no slot has
-- a good readout of it. SLOTS has a flag for each slot with an 8x8 readout at this time. zero_off32_quad_c, whose halves are in
-- slots 4 and 5, is at the times of slot 4.
--     SELECT TIME, ccd_temp FROM hdr3_data('2012:001', '2012:002') WHERE ccd_temp IS NOT NULL
CREATE OR REPLACE TEMP MACRO hdr3_data(start, stop) AS TABLE
    SELECT *
    FROM read_parquet(hdr3_files(cxcsec(start), cxcsec(stop)), hive_partitioning = false)
    WHERE TIME BETWEEN cxcsec_or_null(start) AND cxcsec_or_null(stop);

-- A row per pseudo-MSID: name, id, unit, description.
--     SELECT name, unit, description FROM hdr3_msid
CREATE OR REPLACE TEMP VIEW hdr3_msid AS
    SELECT * FROM read_parquet(table_file('hdr3_msid'), hive_partitioning = false);
