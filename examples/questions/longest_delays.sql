-- Which flights left over ten hours late, and in which hour, in UTC, should they have left?
SELECT carrier || flight AS flight, round(dep_delay / 60.0, 1) AS hours,
  sched_dep / 3600000 % 24 AS hour, CASE WHEN distance > 2000 THEN 'yes' ELSE 'no' END AS far,
  coalesce(tailnum, 'unknown') AS tail
FROM flights WHERE dep_delay > 600 ORDER BY i;
