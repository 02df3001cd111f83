-- Which aircraft left New York three times or more in one day, and what were their flights?
SELECT tailnum, count(*) AS flights, json_group_array(origin) AS "from", json_group_array(dest) AS "to",
  dep - dep % 86400000 AS window_start, dep - dep % 86400000 + 86400000 AS window_end
FROM (SELECT * FROM flights ORDER BY dep, i) GROUP BY 5, 1 HAVING tailnum IS NOT NULL AND count(*) >= 3 ORDER BY 5, 1;
