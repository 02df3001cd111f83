-- Which three destinations were flown to most, day by day before Christmas?
WITH counted AS (
  SELECT dep - dep % 86400000 AS day, dest, count(*) AS n,
    row_number() OVER (PARTITION BY dep - dep % 86400000 ORDER BY count(*) DESC, dest) AS place,
    sum(count(*)) OVER (PARTITION BY dep - dep % 86400000) AS flights
  FROM flights WHERE dep >= 1387497600000 and dep < 1388016000000 GROUP BY 1, 2)
SELECT json_group_array(json_object('value', dest, 'count', n)) AS top, max(flights) AS flights, day AS window_start, day + 86400000 AS window_end
FROM (SELECT * FROM counted WHERE place <= 3 ORDER BY day, place) GROUP BY day ORDER BY day;
