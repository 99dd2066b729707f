-- Whether the files of the catalog that every answer depends on are those that were written. `_catalog/current` has the SHA-256
-- of the list `checksums` of its generation, and that list those of the others; source_file.parquet is left to `mica-lake verify`.

CREATE OR REPLACE TEMP MACRO damaged_catalog(path) AS
    error('the catalog is damaged (' || path || '): run ''mica-lake reindex --lake ' || getvariable('mica_lake') || '''');

SET VARIABLE mica_lake_checksum = (
    SELECT
        CASE
            WHEN regexp_full_match(content::VARCHAR, '\d{8} [0-9a-f]{64}( \d+)?(\\x0A)?') THEN (content::VARCHAR)[10:73]
            ELSE damaged_catalog(filename)
        END
    FROM read_blob(current_file())
);

SET VARIABLE mica_lake_listed = coalesce(
    (
        SELECT
            map_from_entries(
                list_transform(
                    string_split(trim(decode(content), chr(10)), chr(10)),
                    LAMBDA line: {'k': getvariable('mica_lake_catalog') || '/' || line[67:], 'v': line[:64]}
                )
            )
        FROM read_blob(checksums_file())
        WHERE sha256(content) = getvariable('mica_lake_checksum')
    ),
    damaged_catalog(checksums_file())
);

SET VARIABLE mica_lake_small = list_filter(
    map_keys(getvariable('mica_lake_listed')), LAMBDA path: path != table_file('source_file')
);

SET VARIABLE mica_lake_checked = (
    SELECT
        CASE
            WHEN count(*) = len(getvariable('mica_lake_small')) THEN count(*)
            ELSE
                damaged_catalog(
                    list_filter(getvariable('mica_lake_small'), LAMBDA path: NOT list_contains(list(filename), path))[1]
                )
        END
    FROM read_blob(getvariable('mica_lake_small'))
    WHERE sha256(content) = getvariable('mica_lake_listed')[filename]
);
