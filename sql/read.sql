-- What somebody sees who has read this file.

SELECT
    getvariable('mica_lake') AS mica_lake,
    'FROM lake_objects' AS "its views and macros",
    'FROM status' AS "what is in it",
    'DESCRIBE obspar' AS "a view's columns";
